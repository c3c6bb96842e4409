"""What the package brings for users' tests."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from airflow_s3events.envelopes import parse_body
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.identity import event_id
from airflow_s3events.testing import (
    FaultPlan,
    InMemoryQueue,
    eventbridge_created_body,
    object_created_body,
    object_record,
    records_body,
    run_in_virtual_time,
    sns_body,
    test_event_body,
)

KEY = "in/räum +1%.csv"


# Virtual time


def test_hours_pass_at_once() -> None:
    async def scenario() -> float:
        started = asyncio.get_running_loop().time()
        await asyncio.sleep(12 * 3600)
        return asyncio.get_running_loop().time() - started

    started = time.monotonic()

    assert run_in_virtual_time(scenario()) == 12 * 3600
    assert time.monotonic() - started < 60


def test_threads_work_in_virtual_time() -> None:
    async def scenario() -> int:
        return await asyncio.to_thread(sum, [1, 2])

    assert run_in_virtual_time(scenario()) == 3


def test_what_can_never_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_s3events.testing.virtual_time._DEADLOCK_SECONDS", 0.01)

    async def scenario() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="nothing is scheduled"):
        run_in_virtual_time(scenario())


def test_tasks_left_behind_are_cancelled() -> None:
    cancelled: list[bool] = []

    async def left_behind() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            cancelled.append(True)

    async def scenario() -> asyncio.Task[None]:
        task = asyncio.ensure_future(left_behind())
        await asyncio.sleep(1)
        return task

    assert run_in_virtual_time(scenario()).cancelled()
    assert cancelled == [True]


# The queue


def test_put_and_peek_need_no_loop() -> None:
    queue = InMemoryQueue()

    message_id = queue.put("body", attributes={"a": "b"})

    message = queue.peek()[0]
    assert (message.message_id, message.body, dict(message.attributes)) == (message_id, "body", {"a": "b"})
    assert message.receive_count == 0
    assert abs((message.sent_at or 0) - time.time()) < 60


def test_a_clock_of_the_users_own_rules_visibility() -> None:
    now = [1000.0]
    queue = InMemoryQueue(clock=lambda: now[0], visibility_seconds=30)
    queue.put("body")

    async def receive() -> int:
        return len(await queue.receive(wait_seconds=0))

    assert asyncio.run(receive()) == 1
    now[0] += 29
    assert asyncio.run(receive()) == 0
    now[0] += 1
    assert asyncio.run(receive()) == 1


def test_calls_are_counted() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        await queue.send("body", attributes={})
        messages = await queue.receive()
        await queue.delete(messages)
        await queue.delete([])

        assert queue.calls == {"send": 1, "receive": 1, "delete": 1}

    run_in_virtual_time(scenario())


@pytest.mark.parametrize(
    ("body", "attributes"),
    [
        ("", {}),
        ("\x00", {}),
        ("\ufffe", {}),
        ("\ud800", {}),
        ("body", {"empty": ""}),
        ("body", {"AWS.name": "x"}),
        ("body", {"a b": "x"}),
        ("body", {f"a{n}": "x" for n in range(11)}),
        ("x" * 1025, {}),
        ("x" * 1023, {"a": "b"}),
    ],
)
def test_what_sqs_refuses_is_refused(body: str, attributes: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        InMemoryQueue(max_message_bytes=1024).put(body, attributes=attributes)


def test_a_redrive_policy_is_whole_or_not_there() -> None:
    with pytest.raises(ConfigurationError, match="max_receive_count"):
        InMemoryQueue(dead_letters=InMemoryQueue())


def test_a_wait_longer_than_sqs_allows_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="WaitTimeSeconds=21"):
        run_in_virtual_time(InMemoryQueue().receive(wait_seconds=21))


# Faults


def test_a_failed_call_does_nothing() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue(faults=FaultPlan())
        queue.put("body")
        queue.faults.fail("receive")

        with pytest.raises(OutageError):
            await queue.receive()
        assert (await queue.receive())[0].receive_count == 1

    run_in_virtual_time(scenario())


def test_a_lost_answer_leaves_the_work_done() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        queue.faults.lose_answers("send")

        with pytest.raises(OutageError):
            await queue.send("body", attributes={})
        assert len(queue) == 1

    run_in_virtual_time(scenario())


def test_an_error_of_the_users_own_is_raised() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        queue.faults.fail("describe", error=ConfigurationError("aws_conn_id: not allowed"))

        with pytest.raises(ConfigurationError, match="not allowed"):
            await queue.describe()

    run_in_virtual_time(scenario())


# Bodies


def test_a_created_body_is_read_back() -> None:
    event = parse_body(object_created_body("landing", KEY, size=7, version_id="v1")).events[0]

    assert (event.bucket, event.key, event.size, event.version_id) == ("landing", KEY, 7, "v1")
    assert event.event_type == "ObjectCreated:Put"
    assert event.sequencer is not None


def test_each_body_is_another_event_and_later_ones_have_higher_sequencers() -> None:
    first, second = (parse_body(object_created_body("landing", "same")).events[0] for _ in range(2))

    assert event_id(first) != event_id(second)
    assert (first.sequencer or "") < (second.sequencer or "")


def test_a_removed_record_may_lack_size_and_etag() -> None:
    record = object_record("landing", KEY, event_name="ObjectRemoved:Delete", size=None, etag=None)
    event = parse_body(records_body(record, record)).events[1]

    assert (event.event_type, event.size, event.etag) == ("ObjectRemoved:Delete", None, None)
    assert set(record["s3"]["object"]) == {"key", "sequencer"}


def test_an_sns_body_holds_the_same_event() -> None:
    body = object_created_body("landing", KEY)

    assert event_id(parse_body(sns_body(body)).events[0]) == event_id(parse_body(body).events[0])


def test_an_eventbridge_body_is_read_back_with_its_key_as_it_is() -> None:
    event = parse_body(eventbridge_created_body("landing", KEY, version_id="v1", size=7)).events[0]

    assert (event.bucket, event.key, event.size, event.version_id) == ("landing", KEY, 7, "v1")
    assert event.event_type == "ObjectCreated:Put"


def test_the_same_upload_is_one_event_through_both_roads() -> None:
    direct = object_created_body("landing", KEY, sequencer="00678A5F00000000AB")
    bridged = eventbridge_created_body("landing", KEY, sequencer="00678A5F00000000AB")

    assert event_id(parse_body(direct).events[0]) == event_id(parse_body(bridged).events[0])


def test_a_test_event_has_no_events() -> None:
    parsed = parse_body(test_event_body("landing"))

    assert (parsed.kind, parsed.events) == ("test", ())
    assert json.loads(test_event_body("landing"))["Bucket"] == "landing"
