"""Policies of whatever watches, waits for objects or only looks, against the calls really made."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_s3events import LeastRate, S3ExpectedObjectsSensor
from airflow_s3events.cli import main
from airflow_s3events.filters import prefix
from airflow_s3events.policies import role_policy
from airflow_s3events.testing.bodies import object_created_body
from tests.adapters.test_dead_letter_iam_calls import ANSWERS, calls
from tests.adapters.test_iam_calls import Account, account, dispatchers_queue, judge, world
from tests.adapters.watched import watched
from tests.emulators import moto_server
from tests.lines import AIRFLOW
from tests.setup_world import Calls

__all__ = ["account", "calls", "world"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The emulator that has all of it: CloudWatch Logs, too."""
    with moto_server() as url:
        yield url


def prepared(account: Account, calls: Calls, *bodies: str) -> str:
    """Return the ARN of a queue with these messages."""
    with calls.unnoted():
        queue = dispatchers_queue(account)
        for body in bodies:
            account.world.client("sqs").send_message(QueueUrl=account.world.queue_url("q"), MessageBody=body)
    return queue


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2 has no asset watchers")
@pytest.mark.parametrize("kind", ["logs", "s3"])
async def test_watch(account: Account, calls: Calls, kind: str) -> None:
    name = f"{account.world.name}-audits"
    with calls.unnoted():
        account.world.client("logs").create_log_group(logGroupName=name)
        account.world.make_bucket(name)
    keys = ("in/ours/a", "in/shared/a", "out/a")
    queue = prepared(account, calls, "no event", *(object_created_body("landing", key) for key in keys))
    audit = f"logs:{name}" if kind == "logs" else f"s3://{name}/kept"
    elsewhere = {"other": prefix("in/shared/")}
    async with watched(queue, when=prefix("in/"), elsewhere=elsewhere, audit=audit) as (stream, watcher):
        working = asyncio.ensure_future(store_all(stream, watcher))
        while not {"malformed", "unmatched", "passed_on"} <= set(stream.counts):  # noqa: ASYNC110 - no word of it
            await asyncio.sleep(0.05)
        working.cancel()
    judge(calls, role_policy("watch", account.resources(audit=audit)), account)


async def store_all(stream: Any, watcher: Any) -> None:
    """As Airflow does that stores whatever it is given."""
    async for haul in stream.hauls():
        haul.take(watcher)
        haul.note_given(watcher)
        stream.resolve(haul)


def test_expect(account: Account, calls: Calls) -> None:
    bucket = account.world.bucket
    with calls.unnoted():
        account.world.client("s3").put_object(Bucket=bucket, Key="in/a", Body=b"1")
    rate = LeastRate(key="in/*", per_seconds=3600)
    sensor = S3ExpectedObjectsSensor(
        task_id="expect", bucket_name=bucket, expectations=rate, deferrable=False, poke_interval=1
    )
    sensor.execute({})
    judge(calls, role_policy("expect", account.resources()), account)


def test_tail(account: Account, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"RestApiStatusCode": 200, "RestApiResponse": {"dag_runs": [], "total_entries": 0}}
    monkeypatch.setitem(ANSWERS, "InvokeRestApi", answer)
    queue = prepared(account, calls, object_created_body("landing", "a"))
    for options in (["--queue", queue], ["--dag", "process", "--mwaa-environment", "landing"]):
        main(["tail", "--aws-conn-id", "aws_default", *options])
    role = account.arn("airflow", "role/landing/Op")
    judge(calls, role_policy("tail", account.resources(airflow_role=role)), account)
