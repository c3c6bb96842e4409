"""``S3ArrivalTrigger`` against an emulated S3 and SQS: it fires when all is there, and tells nothing else."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from airflow.models.trigger import Trigger

from airflow_s3events.arrivals import awaited_of
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import predicate
from airflow_s3events.triggers.arrivals import S3ArrivalTrigger
from tests.adapters.conftest import Bucket
from tests.adapters.test_trigger import counts, receive
from tests.emulators import free_port


def trigger_of(seconds: float = 30.0, *, sqs_queue: str | None = None, **kwargs: Any) -> S3ArrivalTrigger:
    names = ("quiet_seconds", "poke_seconds", "consume", "aws_conn_id", "botocore_config")
    own = {name: kwargs.pop(name) for name in names if name in kwargs}
    return S3ArrivalTrigger(
        awaited=awaited_of(**kwargs).serialize(),
        until=time.time() + seconds,
        sqs_queue=sqs_queue,
        **{"quiet_seconds": 0.0, **own},
    )


async def reason_of(trigger: S3ArrivalTrigger) -> Any:
    """Run it; there is exactly one event."""
    (event,) = [event async for event in trigger.run()]
    return event.payload


def test_survives_airflow_s_own_storage_with_every_argument() -> None:
    trigger = S3ArrivalTrigger(
        awaited=awaited_of(prefix="s3://b/in/", count=3, when={"suffix": ".csv"}).serialize(),
        until=1_800_000_000.25,
        quiet_seconds=4.5,
        poke_seconds=30.0,
        sqs_queue="q",
        consume="matching",
        aws_conn_id=None,
        region_name="eu-west-1",
        verify="/etc/bundle.pem",
        botocore_config={"retries": {"mode": "standard"}},
    )
    row = Trigger.from_object(trigger)
    again = S3ArrivalTrigger(**row.kwargs)
    assert row.classpath == f"{S3ArrivalTrigger.__module__}.{S3ArrivalTrigger.__qualname__}"
    assert again.serialize() == trigger.serialize()


def test_its_stored_form_says_its_version_and_is_plain_data() -> None:
    kwargs = trigger_of(bucket_key="s3://b/k").serialize()[1]
    assert kwargs["v"] == 1
    assert json.loads(json.dumps(kwargs)) == kwargs


async def test_fires_at_once_for_an_object_that_came_before_it(bucket: Bucket) -> None:
    bucket.put("a")
    assert await reason_of(trigger_of(bucket_key=bucket.uri("a"))) == {"reason": "arrived"}


async def test_fires_at_its_deadline_without_the_object(bucket: Bucket) -> None:
    assert await reason_of(trigger_of(1.0, bucket_key=bucket.uri("a"))) == {"reason": "deadline"}


async def test_never_fires_before_the_quiet_time_is_over(bucket: Bucket) -> None:
    bucket.put("a")
    began = time.monotonic()
    await reason_of(trigger_of(bucket_key=bucket.uri("a"), quiet_seconds=1.5))
    assert time.monotonic() - began >= 1.5


async def test_a_message_in_its_own_queue_wakes_it_and_is_gone(bucket: Bucket, sqs: Any) -> None:
    trigger = trigger_of(
        bucket_key=bucket.uri("a"), sqs_queue=bucket.queue, consume="all", poke_seconds=3600.0
    )
    waiting = asyncio.ensure_future(reason_of(trigger))
    await asyncio.sleep(1.0)
    bucket.put("other")
    bucket.put("a")
    assert await asyncio.wait_for(waiting, 15) == {"reason": "arrived"}
    assert counts(sqs, bucket.queue) == (0, 0)


async def test_a_foreign_queue_wakes_it_and_keeps_its_message_unreceived(bucket: Bucket, sqs: Any) -> None:
    trigger = trigger_of(bucket_key=bucket.uri("a"), sqs_queue=bucket.queue, poke_seconds=3600.0)
    waiting = asyncio.ensure_future(reason_of(trigger))
    await asyncio.sleep(1.0)
    bucket.put("a")
    assert await asyncio.wait_for(waiting, 15) == {"reason": "arrived"}
    (message,) = receive(sqs, bucket.queue)
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


async def test_two_for_one_object_on_one_queue_both_find_it(bucket: Bucket, sqs: Any) -> None:
    settings: dict[str, Any] = {"sqs_queue": bucket.queue, "consume": "all", "poke_seconds": 2.0}
    both = [
        asyncio.ensure_future(reason_of(trigger_of(bucket_key=bucket.uri("a"), **settings))) for _ in range(2)
    ]
    await asyncio.sleep(1.0)
    bucket.put("a")
    assert await asyncio.gather(*both) == [{"reason": "arrived"}] * 2
    assert counts(sqs, bucket.queue) == (0, 0)


async def test_what_it_is_told_does_not_reach_its_event(bucket: Bucket) -> None:
    bucket.put("hush-hush")
    payload = await reason_of(trigger_of(prefix=bucket.uri("hush")))
    assert payload == {"reason": "arrived"}


async def test_a_queue_that_does_not_exist_is_named(bucket: Bucket) -> None:
    with pytest.raises(ConfigurationError, match="no-such-queue"):
        await reason_of(trigger_of(bucket_key=bucket.uri("a"), sqs_queue="no-such-queue", consume="all"))


async def test_a_bucket_out_of_reach_is_asked_again_until_the_deadline(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    extra = {"endpoint_url": f"http://127.0.0.1:{free_port()}", "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "a", "password": "hush", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", json.dumps(connection))
    config = {"retries": {"max_attempts": 0}}
    trigger = trigger_of(2.5, bucket_key="s3://b/k", aws_conn_id="nowhere", botocore_config=config)
    assert await reason_of(trigger) == {"reason": "deadline"}
    assert "out of reach" in caplog.text
    assert "hush" not in caplog.text


async def test_is_cancelled_at_once_in_a_long_poll(bucket: Bucket) -> None:
    trigger = trigger_of(bucket_key=bucket.uri("a"), sqs_queue=bucket.queue, consume="all")
    waiting = asyncio.ensure_future(reason_of(trigger))
    await asyncio.sleep(1.0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 5)


async def test_a_predicate_that_is_not_here_is_named_before_anything_is_looked_at() -> None:
    trigger = trigger_of(prefix="s3://b/in/", when=predicate("not_on_triggerers:wanted"))
    with pytest.raises(ConfigurationError, match=r"when: predicate 'not_on_triggerers:wanted'"):
        await reason_of(trigger)
