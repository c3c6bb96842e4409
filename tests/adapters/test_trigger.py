"""``S3EventTrigger`` against an emulated SQS: it wakes, and leaves everything as it was."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from airflow.models.trigger import Trigger

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.messages import QueueAttributes
from airflow_s3events.metrics import Meter
from airflow_s3events.settlement import check_redrive
from airflow_s3events.testing import InMemoryQueue, run_in_virtual_time
from airflow_s3events.triggers.s3_event import S3EventTrigger, _is_received
from tests.emulators import free_port


def trigger_of(queue: str, seconds: float = 30.0, **kwargs: Any) -> S3EventTrigger:
    return S3EventTrigger(sqs_queue=queue, until=time.time() + seconds, **{"quiet_seconds": 0.0, **kwargs})


async def reason_of(trigger: S3EventTrigger) -> Any:
    """Run it; there is exactly one event."""
    (event,) = [event async for event in trigger.run()]
    return event.payload


def counts(sqs: Any, queue: str) -> tuple[int, int]:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


def receive(sqs: Any, queue: str, **kwargs: Any) -> list[dict[str, Any]]:
    names = ["ApproximateReceiveCount"]
    answer = sqs.receive_message(QueueUrl=queue, MessageSystemAttributeNames=names, **kwargs)
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    return messages


def test_survives_airflow_s_own_storage_with_every_argument() -> None:
    trigger = S3EventTrigger(
        sqs_queue="q",
        until=1_800_000_000.25,
        quiet_seconds=4.5,
        recheck_seconds=60.0,
        aws_conn_id=None,
        region_name="eu-west-1",
        verify="/etc/bundle.pem",
        botocore_config={"retries": {"mode": "standard"}},
    )
    row = Trigger.from_object(trigger)
    again = S3EventTrigger(**row.kwargs)
    assert row.classpath == f"{S3EventTrigger.__module__}.{S3EventTrigger.__qualname__}"
    assert again.serialize() == trigger.serialize()


def test_its_stored_form_says_its_version() -> None:
    assert trigger_of("q").serialize()[1]["v"] == 1


async def test_wakes_at_a_message_and_leaves_it_receivable(sqs: Any, queue: str) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="the body")
    await reason_of(trigger_of(queue))
    (message,) = receive(sqs, queue)
    assert message["Body"] == "the body"
    assert message["Attributes"]["ApproximateReceiveCount"] == "2"


async def test_wakes_at_a_message_that_comes_while_it_waits(sqs: Any, queue: str) -> None:
    waiting = asyncio.ensure_future(reason_of(trigger_of(queue)))
    await asyncio.sleep(0.5)
    sqs.send_message(QueueUrl=queue, MessageBody="late")
    assert await asyncio.wait_for(waiting, 10) == {"reason": "messages"}


async def test_its_event_says_why_it_fired_and_nothing_else(sqs: Any, queue: str) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="the body")
    assert await reason_of(trigger_of(queue)) == {"reason": "messages"}


async def test_fires_at_its_deadline_without_a_message(sqs: Any, queue: str) -> None:  # noqa: ARG001
    assert await reason_of(trigger_of(queue, 1.2)) == {"reason": "deadline"}


async def test_never_fires_before_the_quiet_time_is_over(sqs: Any, queue: str) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="early")
    began = time.monotonic()
    await reason_of(trigger_of(queue, quiet_seconds=1.5))
    assert time.monotonic() - began >= 1.5


async def test_a_recheck_does_not_touch_the_queue(sqs: Any, queue: str) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="waits")
    assert await reason_of(trigger_of(queue, recheck_seconds=0.3)) == {"reason": "recheck"}
    (message,) = receive(sqs, queue)
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


async def test_a_message_put_off_is_not_received_to_wake(sqs: Any, queue: str) -> None:
    for body in ("put off", "new"):
        sqs.send_message(QueueUrl=queue, MessageBody=body)
    (put_off,) = receive(sqs, queue, VisibilityTimeout=60)
    assert await reason_of(trigger_of(queue)) == {"reason": "messages"}
    (other,) = receive(sqs, queue)
    assert other["Attributes"]["ApproximateReceiveCount"] == "1"
    assert other["MessageId"] != put_off["MessageId"]


async def test_while_all_is_put_off_it_waits_until_that_is_visible_again(sqs: Any, queue: str) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="put off")
    receive(sqs, queue, VisibilityTimeout=3)
    assert await reason_of(trigger_of(queue)) == {"reason": "messages"}
    assert counts(sqs, queue) == (1, 0)
    assert receive(sqs, queue)[0]["Attributes"]["ApproximateReceiveCount"] == "2"


async def test_a_queue_out_of_reach_is_asked_again_until_the_deadline(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    extra = {"endpoint_url": f"http://127.0.0.1:{free_port()}", "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "a", "password": "hush", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", json.dumps(connection))
    config = {"retries": {"max_attempts": 0}}
    trigger = trigger_of("https://q/1/q", 2.5, aws_conn_id="nowhere", botocore_config=config)
    assert await reason_of(trigger) == {"reason": "deadline"}
    assert "hush" not in caplog.text


async def test_an_outage_of_days_does_not_overflow_its_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_s3events.exceptions import OutageError

    asked = 0

    async def away(*_: Any) -> str:
        nonlocal asked
        asked += 1
        if asked == 3000:
            return "messages"
        raise OutageError("away")

    turn = asyncio.sleep

    async def at_once(seconds: float) -> None:
        assert 0 <= seconds <= 60
        await turn(0)

    monkeypatch.setattr(S3EventTrigger, "_poll", away)
    monkeypatch.setattr("airflow_s3events.triggers.s3_event.asyncio.sleep", at_once)
    assert await reason_of(trigger_of("q")) == {"reason": "messages"}


async def test_a_queue_that_does_not_exist_is_named(endpoint: str) -> None:  # noqa: ARG001
    with pytest.raises(ConfigurationError, match="no-such-queue"):
        await reason_of(trigger_of("no-such-queue"))


async def test_is_cancelled_at_once_in_a_long_poll(sqs: Any, queue: str) -> None:
    waiting = asyncio.ensure_future(reason_of(trigger_of(queue)))
    await asyncio.sleep(0.5)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 5)
    sqs.send_message(QueueUrl=queue, MessageBody="later")
    # Not how often it was received: the emulator may still serve a poll whose caller has gone.
    assert receive(sqs, queue)[0]["Body"] == "later"


@pytest.mark.parametrize("dispatchers", [1, 2, 5])
def test_a_message_that_wakes_every_dispatcher_can_still_be_read_and_put_off_once(dispatchers: int) -> None:
    least = next(most for most in range(1, 99) if _takes(most, dispatchers))

    async def scenario() -> list[int]:
        queue = InMemoryQueue(dead_letters=InMemoryQueue("dlq"), max_receive_count=least)
        waiting = [asyncio.ensure_future(_is_received(queue, 60.0, Meter())) for _ in range(dispatchers)]
        await asyncio.sleep(1)
        queue.put("{}")
        assert all(await asyncio.gather(*waiting))
        read = await queue.receive(visibility_seconds=0)
        again = await queue.receive()
        return [message.receive_count for message in read + again]

    assert run_in_virtual_time(scenario()) == [dispatchers + 1, dispatchers + 2]


def _takes(most: int, dispatchers: int) -> bool:
    attributes = QueueAttributes(arn="q", visibility_seconds=30, retention_seconds=60, max_receive_count=most)
    try:
        check_redrive(attributes, dispatchers=dispatchers)
    except ConfigurationError:
        return False
    return True
