"""One suite, four queues: in memory, and ``SqsQueue`` against three emulators.

LocalStack judges where ``S3EVENTS_LOCALSTACK`` names a Python that has it (``docs/contributing.md``).
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol
from uuid import uuid4

import pytest
from aiobotocore.session import AioSession

from airflow_s3events.consumer import Queue
from airflow_s3events.sqs import SqsQueue
from airflow_s3events.testing import InMemoryQueue
from tests.emulators import localstack_server, ministack_server, moto_server
from tests.setup_world import World, world_at

#: A Python that has LocalStack, which judges only where there is one.
LOCALSTACK = os.environ.get("S3EVENTS_LOCALSTACK")
KINDS = ("memory", "moto", "ministack", *(("localstack",) if LOCALSTACK else ()))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lacks(kind, reason): what an emulator of SQS does not do as AWS does")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which judge was not there."""
    if LOCALSTACK is None:
        terminalreporter.write_line(
            "LocalStack did not judge: S3EVENTS_LOCALSTACK names no Python that has it"
        )


class MakeQueue(Protocol):
    """Makes a new, empty queue; with ``dead_letters`` also its redrive policy."""

    async def __call__(
        self, *, dead_letters: Queue | None = None, max_receive_count: int | None = None
    ) -> Queue: ...


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture(scope="session")
def ministack_url() -> Iterator[str]:
    with ministack_server() as url:
        yield url


@pytest.fixture(scope="session")
def localstack_url() -> Iterator[str]:
    if LOCALSTACK is None:
        pytest.skip("S3EVENTS_LOCALSTACK names no Python with localstack-core 4.14")
    with localstack_server(LOCALSTACK) as url:
        yield url


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which queue a test runs on; a mark ``lacks(kind, reason)`` says what an emulator cannot."""
    for mark in request.node.iter_markers("lacks"):
        if mark.args[0] == request.param:
            pytest.skip(f"{request.param} lacks it: {mark.args[1]}")
    return str(request.param)


@pytest.fixture
async def sqs_client(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """An aiobotocore client for the emulator; None for the queue in memory."""
    if kind == "memory":
        yield None
        return
    async with open_client(request.getfixturevalue(f"{kind}_url")) as client:
        yield client


def open_client(url: str, service: str = "sqs") -> Any:
    """Return a context manager that opens an aiobotocore client for a service at ``url``."""
    return _session().create_client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


@functools.cache
def _session() -> AioSession:
    """One session for all tests: reading the service model takes longer than most of them."""
    return AioSession()


@pytest.fixture
def make_queue(kind: str, sqs_client: Any) -> MakeQueue:
    async def make(*, dead_letters: Queue | None = None, max_receive_count: int | None = None) -> Queue:
        if kind == "memory":
            return _make_in_memory(dead_letters, max_receive_count)
        return await _make_on_emulator(sqs_client, dead_letters, max_receive_count)

    return make


def _make_in_memory(dead_letters: Any, max_receive_count: int | None) -> Queue:
    return InMemoryQueue(
        f"q-{uuid4()}", dead_letters=dead_letters, max_receive_count=max_receive_count, visibility_seconds=30
    )


async def _make_on_emulator(client: Any, dead_letters: Queue | None, max_receive_count: int | None) -> Queue:
    attributes = {"VisibilityTimeout": "30"}
    if dead_letters is not None:
        policy = {
            "deadLetterTargetArn": (await dead_letters.describe()).arn,
            "maxReceiveCount": str(max_receive_count),
        }
        attributes["RedrivePolicy"] = json.dumps(policy)
    answer = await client.create_queue(QueueName=f"q-{uuid4()}", Attributes=attributes)
    return SqsQueue(client, answer["QueueUrl"])


@pytest.fixture(params=("moto", "ministack", "localstack"))
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    """A bucket of the test's own on an emulator behind ``aws_default``; a test says what one lacks."""
    return world_at(request.getfixturevalue(f"{request.param}_url"), monkeypatch)
