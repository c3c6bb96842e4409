"""What the consumer holds stays hidden, up to SQS's twelve hours."""

from __future__ import annotations

import asyncio

import pytest

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.testing import run_in_virtual_time
from tests.core.consumer_fakes import (
    DENIED,
    LateQueue,
    SlowQueue,
    consumer_of,
    drain,
    first_batch,
    queue_with,
    seconds,
)


def test_what_is_held_stays_hidden_however_long_the_work_takes() -> None:
    async def scenario() -> None:
        queue = queue_with(25)
        async with consumer_of(queue, batch_seconds=1, max_in_flight=25, batch_count=25) as consumer:
            batch = await first_batch(consumer)
            for _ in range(100):
                await asyncio.sleep(60)
                assert (await queue.describe()).in_flight == 25
            for message in batch:
                consumer.acknowledge(message)
            await consumer.flush()

        assert consumer.stats.received == consumer.stats.acknowledged == 25
        # 6,000 s in steps of 150 s, three calls of ten entries each.
        assert consumer.stats.extend_calls <= 3 * 41

    run_in_virtual_time(scenario())


def test_a_message_lapses_at_twelve_hours_and_its_redelivery_is_handed_over() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(queue, idle_seconds=None) as consumer:
            batches = consumer.batches()
            first = (await batches.__anext__())[0]
            second = (await batches.__anext__())[0]

            assert second.message_id == first.message_id
            assert second.receive_count == 2
            assert 43_200 - 61 <= seconds() <= 43_200
            assert consumer.stats.lapsed == 1
            consumer.acknowledge(second)

        assert len(queue) == 0

    run_in_virtual_time(scenario())


def test_a_visibility_of_twelve_hours_needs_no_extension() -> None:
    async def scenario() -> None:
        async with consumer_of(queue_with(1), visibility_seconds=43_200) as consumer:
            await first_batch(consumer)
            await asyncio.sleep(43_201)

            assert consumer.stats.extend_calls == 0
            assert consumer.stats.lapsed == 1

    run_in_virtual_time(scenario())


def test_a_message_that_lapsed_is_not_handed_over_from_the_buffer() -> None:
    async def scenario() -> None:
        queue = queue_with(2)
        async with consumer_of(queue, batch_count=1, idle_seconds=None, max_in_flight=2) as consumer:
            batches = consumer.batches()
            await batches.__anext__()
            await asyncio.sleep(43_300)
            message = (await batches.__anext__())[0]

            assert message.receive_count == 2

    run_in_virtual_time(scenario())


def test_a_refused_extension_is_tried_again_before_the_timeout_ends() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        queue.faults.refuse_entries("change_visibility", times=3)
        async with consumer_of(queue, visibility_seconds=100) as consumer:
            await first_batch(consumer)
            await asyncio.sleep(200)

            assert consumer.stats.lapsed == 0
            assert (await queue.describe()).in_flight == 1

    run_in_virtual_time(scenario())


def test_a_message_whose_extensions_are_refused_lapses_when_its_timeout_ends() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        queue.faults.refuse_entries("change_visibility", times=1000)
        async with consumer_of(queue, visibility_seconds=100) as consumer:
            await first_batch(consumer)
            consumer.pause()
            await asyncio.sleep(101)

            assert consumer.stats.lapsed == 1

    run_in_virtual_time(scenario())


def test_an_extension_refused_for_a_setting_reaches_the_caller() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        queue.faults.fail("change_visibility", times=1, error=DENIED)
        async with consumer_of(queue, idle_seconds=None) as consumer:
            batches = consumer.batches()
            await batches.__anext__()
            with pytest.raises(ConfigurationError, match="not allowed"):
                await batches.__anext__()

    run_in_virtual_time(scenario())


def test_a_redelivery_of_what_is_held_renews_its_handle_and_nothing_else() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        queue.faults.duplicate(2)
        async with consumer_of(queue, batch_seconds=5) as consumer:
            batch = await first_batch(consumer)
            assert len(batch) == 1
            consumer.acknowledge(batch[0])
            await consumer.flush()

            assert len(queue) == 0
            assert consumer.stats.redelivered == 2
            assert consumer.stats.received == 3

    run_in_virtual_time(scenario())


def test_a_message_redelivered_while_it_is_deleted_is_deleted_by_its_latest_handle() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        slow = SlowQueue(queue, delete_seconds=3)
        async with consumer_of(slow, visibility_seconds=1000) as consumer:
            message = (await first_batch(consumer))[0]
            consumer.acknowledge(message)
            await asyncio.sleep(1)
            # Somebody makes it visible; this consumer receives it again while its delete is under way.
            await queue.change_visibility([(message, 0)])
            poll = asyncio.ensure_future(consumer.batches().__anext__())
            await asyncio.sleep(20)

            assert len(queue) == 0
            assert consumer.stats.acknowledged == 1
            poll.cancel()

    run_in_virtual_time(scenario())


def test_a_message_redelivered_while_it_is_released_is_released_again_after_its_delay() -> None:
    async def scenario() -> None:
        queue = LateQueue()
        queue.put("body")
        queue.change_seconds = 20
        asyncio.get_running_loop().call_later(15, setattr, queue, "change_seconds", 0)
        async with consumer_of(queue, visibility_seconds=1000, idle_seconds=None) as consumer:
            batches = consumer.batches()
            consumer.release((await batches.__anext__())[0], delay_seconds=10)
            again = (await batches.__anext__())[0]

            # Shown after 10 s, before the answer came: its receive then is nobody's.
            assert again.receive_count == 3
            assert seconds() == pytest.approx(30, abs=1)
            assert (consumer.stats.redelivered, consumer.stats.released) == (1, 1)

    run_in_virtual_time(scenario())


def test_a_message_redelivered_while_its_release_waits_for_an_extension_is_released_once() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(
            SlowQueue(queue, change_seconds=10), visibility_seconds=100, idle_seconds=None
        ) as consumer:
            message = (await first_batch(consumer))[0]
            coming = asyncio.ensure_future(first_batch(consumer))
            await asyncio.sleep(52)
            consumer.release(message)
            await asyncio.sleep(1)
            await queue.change_visibility([(message, 0)])
            await asyncio.sleep(20)

            assert coming.done()
            assert queue.peek()[0].receive_count == 3
            assert consumer.stats.released == 1

    run_in_virtual_time(scenario())


def test_a_message_that_was_settled_while_it_was_extended_is_not_counted_again() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        queue.faults.refuse_entries("change_visibility", times=1000)
        async with consumer_of(SlowQueue(queue, change_seconds=60), visibility_seconds=100) as consumer:
            message = (await first_batch(consumer))[0]
            await asyncio.sleep(55)
            consumer.lapse(message)
            await asyncio.sleep(100)

            assert consumer.stats.lapsed == 1

    run_in_virtual_time(scenario())


def test_a_redelivery_during_an_extension_counts_from_its_own_receive() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        slow = SlowQueue(queue, change_seconds=10)
        async with consumer_of(slow, visibility_seconds=100, idle_seconds=None) as consumer:
            message = (await first_batch(consumer))[0]
            waiting = asyncio.ensure_future(drain(consumer))
            await asyncio.sleep(55)
            await queue.change_visibility([(message, 0)])
            await asyncio.sleep(100)
            waiting.cancel()

            assert consumer.stats.redelivered == 1
            assert (await queue.describe()).in_flight == 1

    run_in_virtual_time(scenario())


def test_what_waits_for_its_delete_does_not_lapse_here() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(queue, visibility_seconds=100) as consumer:
            message = (await first_batch(consumer))[0]
            consumer.pause()
            queue.faults.fail("delete", times=9)
            queue.faults.refuse_entries("change_visibility", times=1000)
            consumer.acknowledge(message)
            await asyncio.sleep(1000)

            assert (consumer.stats.lapsed, consumer.stats.acknowledged) == (0, 1)

        assert len(queue) == 0

    run_in_virtual_time(scenario())
