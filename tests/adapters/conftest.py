"""An emulated SQS behind ``aws_default``, and Airflow's side of a task's channel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest

from tests.adapters.channel import Channel
from tests.emulators import ministack_server

REGION = "us-east-1"
SECRET = "secret-access-key-of-the-test"


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    with ministack_server() as url:
        yield url


@pytest.fixture(scope="session")
def sqs(endpoint: str) -> Any:
    """A boto3 client, to look at queues from outside."""
    return boto3.client(
        "sqs", endpoint_url=endpoint, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
    )


@pytest.fixture(autouse=True)
def connection(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """``aws_default`` leads to the emulator, in tests that use one."""
    if "endpoint" not in request.fixturenames:
        return
    extra = {"endpoint_url": request.getfixturevalue("endpoint"), "region_name": REGION}
    uri = {"conn_type": "aws", "login": "AKIATEST", "password": SECRET, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(uri))


@pytest.fixture
def queue(sqs: Any) -> str:
    """URL of a new queue with a redrive policy of five receives."""
    name = f"q-{uuid4().hex[:8]}"
    dlq = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dlq, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
    url: str = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})["QueueUrl"]
    return url


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Channel:
    """Airflow's side of the channel, answering from memory."""
    from airflow.sdk.execution_time import task_runner

    fake = Channel("process", "archive")
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", fake, raising=False)
    return fake
