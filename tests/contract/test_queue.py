"""What a consumer may expect of a queue: the one in memory and two emulators of SQS alike.

What an emulator does otherwise than AWS is marked ``lacks`` with the reason, which pytest prints.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import Any
from uuid import uuid4

import pytest

from airflow_s3events.consumer import Consumer, ConsumerSettings, Queue
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.messages import Message
from airflow_s3events.sqs import SqsQueue, queue_url
from tests.contract.conftest import MakeQueue


async def _send(queue: Queue, *bodies: str) -> None:
    for body in bodies:
        await queue.send(body, attributes={})


async def _receive_one(
    queue: Queue, *, visibility_seconds: int | None = None, wait_seconds: int = 5
) -> Message:
    messages = await queue.receive(
        max_messages=1, wait_seconds=wait_seconds, visibility_seconds=visibility_seconds
    )
    assert len(messages) == 1
    return messages[0]


async def test_an_empty_receive_returns_no_message(make_queue: MakeQueue) -> None:
    queue = await make_queue()

    assert await queue.receive(wait_seconds=0) == []


async def test_a_message_comes_with_what_was_sent(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    before = time.time()

    message_id = await queue.send("körper", attributes={"s3events.attempt": "3", "note": "ä b"})
    message = await _receive_one(queue)

    assert (message.message_id, message.body) == (message_id, "körper")
    assert message.attributes == {"s3events.attempt": "3", "note": "ä b"}
    assert message.attempt == 3
    assert message.receive_count == 1
    assert message.sent_at is not None
    assert before - 2 <= message.sent_at <= time.time() + 2


async def test_a_long_poll_ends_when_a_message_comes(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    poll = asyncio.ensure_future(queue.receive(wait_seconds=20))
    await asyncio.sleep(0.2)

    await _send(queue, "late")

    assert [message.body for message in await asyncio.wait_for(poll, 5)] == ["late"]


async def test_a_received_message_is_hidden_from_others(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "one")

    await _receive_one(queue)

    assert await queue.receive(wait_seconds=0) == []


async def test_visibility_zero_hides_nothing_and_counts_each_receive(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "one")

    first = await _receive_one(queue, visibility_seconds=0)
    second = await _receive_one(queue, visibility_seconds=0)

    assert [first.receive_count, second.receive_count] == [1, 2]
    assert first.message_id == second.message_id


async def test_a_message_comes_back_when_its_visibility_timeout_ends(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "one")
    first = await _receive_one(queue, visibility_seconds=1)

    second = await _receive_one(queue)

    assert second.message_id == first.message_id
    assert second.receive_count == 2


async def test_a_receive_returns_ten_messages_at_most(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, *(f"body {n}" for n in range(12)))

    first = await queue.receive(wait_seconds=1)
    second = await queue.receive(wait_seconds=1)

    assert (len(first), len(second)) == (10, 2)
    assert {m.body for m in first + second} == {f"body {n}" for n in range(12)}


async def test_a_deleted_message_is_gone(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "one")
    message = await _receive_one(queue, visibility_seconds=1)

    assert await queue.delete([message]) == []

    assert await queue.receive(wait_seconds=2) == []


async def test_a_message_can_be_deleted_after_its_visibility_timeout_has_ended(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "one")
    message = await _receive_one(queue, visibility_seconds=0)

    assert await queue.delete([message]) == []

    assert await queue.receive(wait_seconds=1) == []


@pytest.mark.lacks("ministack", "refuses the receipt handle of a deleted message")
async def test_deleting_twice_succeeds(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "one")
    message = await _receive_one(queue)

    assert await queue.delete([message]) == []
    assert await queue.delete([message]) == []


@pytest.mark.lacks("ministack", "knows only the latest receipt handle")
async def test_an_old_receipt_handle_is_no_failure_of_its_batch(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "one")
    old = await _receive_one(queue, visibility_seconds=0)
    latest = await _receive_one(queue, visibility_seconds=30)

    assert await queue.delete([old]) == []
    assert await queue.delete([latest]) == []

    assert len(await queue.receive(wait_seconds=0)) == 0


@pytest.mark.lacks("moto", "takes one receipt handle twice for one entry id twice")
async def test_one_message_may_be_twice_in_a_batch(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "one")
    message = await _receive_one(queue)

    await queue.delete([message, message])

    assert (await queue.describe()).in_flight == 0


async def test_only_the_failed_entries_of_a_delete_are_returned(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "one", "two")
    good = await queue.receive(max_messages=2, wait_seconds=1)
    bad = dataclasses.replace(good[0], receipt_handle="not a receipt handle")

    assert await queue.delete([good[0], bad, good[1]]) == [bad]


async def test_released_messages_come_again_at_once(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "one")
    message = await _receive_one(queue)

    assert await queue.change_visibility([(message, 0)]) == []

    assert (await _receive_one(queue, wait_seconds=1)).receive_count == 2


async def test_visibility_can_be_prolonged(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "one")
    message = await _receive_one(queue, visibility_seconds=1)

    assert await queue.change_visibility([(message, 30)]) == []

    assert await queue.receive(wait_seconds=2) == []


@pytest.mark.lacks("moto", "counts from when it was sent, and fails the whole batch")
@pytest.mark.lacks("ministack", "has no limit in all, only one for each call")
@pytest.mark.lacks("localstack", "has no limit in all, only one for each call")
async def test_twelve_hours_from_the_receive_cannot_be_exceeded(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "one", "two")
    old, new = await queue.receive(max_messages=2, wait_seconds=1)
    await asyncio.sleep(1.1)

    failed = await queue.change_visibility([(old, 43_200), (new, 43_000)])

    assert failed == [old]


async def test_only_the_failed_entries_of_a_visibility_change_are_returned(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "one", "two")
    good = await queue.receive(max_messages=2, wait_seconds=1)
    bad = dataclasses.replace(good[0], receipt_handle="not a receipt handle")

    assert await queue.change_visibility([(good[0], 10), (bad, 10), (good[1], 10)]) == [bad]


@pytest.mark.lacks("moto", "changes it all the same")
@pytest.mark.lacks("ministack", "changes it all the same")
@pytest.mark.lacks("localstack", "changes it all the same")
async def test_visibility_of_a_message_that_is_not_in_flight_cannot_be_changed(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "one")
    message = await _receive_one(queue, visibility_seconds=0)

    assert await queue.change_visibility([(message, 30)]) == [message]


async def test_a_batch_has_ten_entries_at_most(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "one")
    message = await _receive_one(queue)

    with pytest.raises(ValueError, match="10 entries"):
        await queue.delete([message] * 11)
    with pytest.raises(ValueError, match="10 entries"):
        await queue.change_visibility([(message, 1)] * 11)


async def test_an_empty_batch_is_no_call_and_no_failure(make_queue: MakeQueue) -> None:
    queue = await make_queue()

    assert await queue.delete([]) == []
    assert await queue.change_visibility([]) == []


async def test_a_delayed_message_comes_after_its_delay(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await queue.send("later", attributes={}, delay_seconds=1)

    assert await queue.receive(wait_seconds=0) == []
    assert (await _receive_one(queue)).body == "later"


async def test_the_receive_after_max_receive_count_moves_the_message(make_queue: MakeQueue) -> None:
    dead_letters = await make_queue()
    queue = await make_queue(dead_letters=dead_letters, max_receive_count=2)
    await _send(queue, "poison")
    for _ in range(2):
        await _receive_one(queue, visibility_seconds=0)

    assert await queue.receive(wait_seconds=1, visibility_seconds=0) == []

    assert (await _receive_one(dead_letters)).body == "poison"


async def test_describe_tells_policy_and_counts(make_queue: MakeQueue) -> None:
    dead_letters = await make_queue()
    queue = await make_queue(dead_letters=dead_letters, max_receive_count=7)
    await _send(queue, "one", "two", "three")
    await _receive_one(queue)

    found = await queue.describe()

    assert found.arn.startswith("arn:aws:sqs:us-east-1:")
    assert found.dead_letter_arn == (await dead_letters.describe()).arn
    assert found.max_receive_count == 7
    assert (found.visibility_seconds, found.retention_seconds) == (30, 345_600)
    assert (found.waiting, found.in_flight, found.delayed) == (2, 1, 0)


async def test_describe_tells_that_there_is_no_redrive_policy(make_queue: MakeQueue) -> None:
    found = await (await make_queue()).describe()

    assert (found.dead_letter_arn, found.max_receive_count) == (None, None)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiohttp, of 1 MiB on loopback
async def test_a_body_longer_than_the_limit_is_refused(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    limit = (await queue.describe()).max_message_bytes

    with pytest.raises(ConfigurationError):
        await queue.send("x" * (limit + 1), attributes={})


@pytest.mark.lacks("moto", "takes it")
async def test_an_empty_body_is_refused(make_queue: MakeQueue) -> None:
    queue = await make_queue()

    with pytest.raises(ConfigurationError):
        await queue.send("", attributes={})


async def test_a_consumer_takes_each_message_once_and_leaves_nothing(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, *(f"body {n}" for n in range(37)))
    seen: list[str] = []

    async with Consumer(queue, ConsumerSettings(idle_seconds=1)) as consumer:
        async for batch in consumer.batches():
            for message in batch:
                seen.append(message.body)
                consumer.acknowledge(message)

    assert sorted(seen) == sorted(f"body {n}" for n in range(37))
    left = await queue.describe()
    assert (left.waiting, left.in_flight, left.delayed) == (0, 0, 0)


async def test_a_consumer_that_stops_gives_back_what_it_holds(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, *(f"body {n}" for n in range(12)))

    async with Consumer(queue, ConsumerSettings(idle_seconds=1)) as consumer:
        async for _ in consumer.batches():
            consumer.stop()

    left = await queue.describe()
    assert (left.waiting, left.in_flight) == (12, 0)


async def test_a_consumer_keeps_what_it_holds_in_flight(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await _send(queue, "slow")

    async with Consumer(queue, ConsumerSettings(idle_seconds=1, visibility_seconds=2)) as consumer:
        async for batch in consumer.batches():
            assert await queue.receive(wait_seconds=4) == []
            consumer.acknowledge(batch[0])

    assert consumer.stats.extend_calls >= 2
    assert (await queue.describe()).waiting == 0


class TestSqsQueue:
    """What only the calls over a client can show."""

    @pytest.fixture(params=["moto", "ministack"])
    def kind(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    async def test_a_name_and_an_arn_lead_to_the_url(self, make_queue: MakeQueue, sqs_client: Any) -> None:
        queue = await make_queue()
        assert isinstance(queue, SqsQueue)
        arn = (await queue.describe()).arn

        assert await queue_url(sqs_client, arn) == queue.url
        assert await queue_url(sqs_client, arn.rpartition(":")[2]) == queue.url
        assert await queue_url(sqs_client, queue.url) == queue.url

    async def test_a_missing_queue_is_named(self, sqs_client: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"nowhere.*sqs_queue"):
            await queue_url(sqs_client, "nowhere")

    async def test_a_receive_from_a_deleted_queue_names_the_setting(
        self, make_queue: MakeQueue, sqs_client: Any
    ) -> None:
        queue = await make_queue()
        assert isinstance(queue, SqsQueue)
        await sqs_client.delete_queue(QueueUrl=queue.url)

        with pytest.raises(ConfigurationError, match="sqs_queue"):
            await queue.receive(wait_seconds=0)

    async def test_a_queue_in_another_region_names_the_setting(self, sqs_client: Any) -> None:
        with pytest.raises(ConfigurationError, match="region_name"):
            await queue_url(sqs_client, "arn:aws:sqs:eu-west-1:123456789012:landing")


async def test_a_fifo_queue_takes_what_is_sent_for_it(kind: str, sqs_client: Any) -> None:
    if kind == "memory":
        pytest.skip("memory lacks it: it is a standard queue")
    attributes = {"FifoQueue": "true"}
    answer = await sqs_client.create_queue(QueueName=f"q-{uuid4()}.fifo", Attributes=attributes)
    queue = SqsQueue(sqs_client, answer["QueueUrl"])

    await queue.send("a dead letter", attributes={"s3events.reason": "no S3 event"}, delay_seconds=5)

    assert (await _receive_one(queue)).attributes == {"s3events.reason": "no S3 event"}
