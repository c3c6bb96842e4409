"""Where audit records go, against moto: objects of JSON lines, and log events."""

from __future__ import annotations

import json
import time
from uuid import uuid4

import pytest

from airflow_s3events.audit import AuditStore, LogsAuditStore, S3AuditStore
from airflow_s3events.exceptions import ConfigurationError
from tests.contract.conftest import open_client
from tests.core.test_audit import record_of


async def test_a_write_is_one_object_of_json_lines_however_often_it_is_tried(moto_url: str) -> None:
    name = f"audits-{uuid4().hex}"
    async with open_client(moto_url, "s3") as client:
        await client.create_bucket(Bucket=name)
        store = S3AuditStore(client, name, "a/")
        for _ in range(2):
            await store.write([record_of(1), record_of(2)])
        (found,) = (await client.list_objects_v2(Bucket=name))["Contents"]
        answer = await client.get_object(Bucket=name, Key=found["Key"])
        lines = (await answer["Body"].read()).decode().splitlines()
    assert found["Key"].startswith("a/2027/01/15/dispatcher/dispatch/")
    assert [json.loads(line)["message_id"] for line in lines] == ["m1", "m2"]


async def test_one_task_after_the_other_writes_into_the_stream_of_the_dispatcher(moto_url: str) -> None:
    group = f"/s3events/{uuid4().hex}"
    async with open_client(moto_url, "logs") as client:
        await client.create_log_group(logGroupName=group)
        for number in (1, 2):
            store = LogsAuditStore(client, group, "dispatcher/dispatch")
            await store.write([record_of(number, at=time.time() - 60)])
        answer = await client.get_log_events(
            logGroupName=group, logStreamName="dispatcher/dispatch", startFromHead=True
        )
    assert [json.loads(event["message"])["message_id"] for event in answer["events"]] == ["m1", "m2"]


async def test_what_cloudwatch_logs_rejects_for_its_time_is_no_success(moto_url: str) -> None:
    group = f"/s3events/{uuid4().hex}"
    async with open_client(moto_url, "logs") as client:
        await client.create_log_group(logGroupName=group)
        with pytest.raises(ConfigurationError, match="a clock is wrong"):
            await LogsAuditStore(client, group, "x").write([record_of(at=time.time() + 100_000)])


@pytest.mark.parametrize("service", ["s3", "logs"])
async def test_a_place_that_is_not_there_is_named(moto_url: str, service: str) -> None:
    async with open_client(moto_url, service) as client:
        stores: dict[str, AuditStore] = {
            "s3": S3AuditStore(client, "no-such-bucket", ""),
            "logs": LogsAuditStore(client, "no-such-group", "x"),
        }
        with pytest.raises(ConfigurationError, match="audit: there is no such"):
            await stores[service].write([record_of()])
