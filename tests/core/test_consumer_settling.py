"""Each message gets its disposition once, and each entry's result is looked at."""

from __future__ import annotations

import asyncio

import pytest

from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.testing import InMemoryQueue, run_in_virtual_time
from tests.core.consumer_fakes import (
    DENIED,
    consumer_of,
    drain,
    first_batch,
    queue_with,
    seconds,
)


def test_a_trickle_is_deleted_at_once() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(queue) as consumer:
            consumer.acknowledge((await first_batch(consumer))[0])
            await asyncio.sleep(0.21)

            assert len(queue) == 0

    run_in_virtual_time(scenario())


def test_ten_decisions_do_not_wait_for_more() -> None:
    async def scenario() -> None:
        queue = queue_with(10)
        async with consumer_of(queue, settle_seconds=60) as consumer:
            for message in await first_batch(consumer):
                consumer.acknowledge(message)
            await asyncio.sleep(0.001)

            assert len(queue) == 0
            assert consumer.stats.delete_calls == 1

    run_in_virtual_time(scenario())


def test_flush_returns_when_everything_decided_is_settled() -> None:
    async def scenario() -> None:
        queue = queue_with(3)
        async with consumer_of(queue, settle_seconds=60) as consumer:
            for message in await first_batch(consumer):
                consumer.acknowledge(message)
            await consumer.flush()

            assert (len(queue), seconds()) == (0, 0)

    run_in_virtual_time(scenario())


def test_an_entry_that_fails_is_tried_again() -> None:
    async def scenario() -> None:
        queue = queue_with(10)
        queue.faults.refuse_entries("delete", times=2, indexes={0, 3})
        async with consumer_of(queue) as consumer:
            await drain(consumer)

        assert len(queue) == 0
        assert consumer.stats.acknowledged == 10
        assert consumer.stats.delete_failures >= 3

    run_in_virtual_time(scenario())


def test_an_entry_that_goes_on_failing_is_left_to_lapse_and_counted() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        queue.faults.refuse_entries("delete", times=1000)
        async with consumer_of(queue, visibility_seconds=300) as consumer:
            message = (await first_batch(consumer))[0]
            consumer.acknowledge(message)
            await consumer.flush()

            assert consumer.stats.delete_failures == 5
            assert (consumer.stats.lapsed, consumer.stats.in_flight) == (1, 0)

        assert len(queue) == 1

    run_in_virtual_time(scenario())


def test_a_delete_that_is_confirmed_and_not_done_brings_the_message_again() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        queue.faults.ignore_deletes(1)
        async with consumer_of(queue, idle_seconds=400) as consumer:
            assert await drain(consumer) == ["body 0", "body 0"]

        assert len(queue) == 0

    run_in_virtual_time(scenario())


def test_a_released_message_comes_again_after_its_delay() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(queue, idle_seconds=None) as consumer:
            batches = consumer.batches()
            consumer.release((await batches.__anext__())[0], delay_seconds=599.5, reason="paused")
            again = (await batches.__anext__())[0]

            assert again.receive_count == 2
            assert seconds() == pytest.approx(600.2, abs=0.01)
            assert consumer.stats.released == 1

    run_in_virtual_time(scenario())


def test_a_release_asks_for_no_more_than_is_left_of_twelve_hours() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(queue) as consumer:
            message = (await first_batch(consumer))[0]
            await asyncio.sleep(43_000)
            consumer.release(message, delay_seconds=43_200)
            await consumer.flush()

            assert consumer.stats.released == 1

    run_in_virtual_time(scenario())


def test_a_released_message_is_not_extended_while_its_release_is_tried_again() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(queue, visibility_seconds=100) as consumer:
            message = (await first_batch(consumer))[0]
            consumer.pause()
            queue.faults.fail("change_visibility", times=8)
            consumer.release(message)
            await asyncio.sleep(1000)

            assert consumer.stats.released + consumer.stats.lapsed == 1
            assert consumer.stats.extend_calls == 0

    run_in_virtual_time(scenario())


def test_a_message_left_to_lapse_comes_again_when_its_timeout_ends() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(queue, visibility_seconds=300, idle_seconds=None) as consumer:
            batches = consumer.batches()
            consumer.lapse((await batches.__anext__())[0], reason="no route")
            again = (await batches.__anext__())[0]

            assert again.receive_count == 2
            assert seconds() == pytest.approx(300)
            assert consumer.stats.lapsed == 1

    run_in_virtual_time(scenario())


def test_the_first_decision_about_a_message_stands() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(queue) as consumer:
            message = (await first_batch(consumer))[0]
            consumer.acknowledge(message)
            consumer.release(message)
            consumer.lapse(message)
            consumer.acknowledge(message)
            await consumer.flush()

            assert consumer.stats.acknowledged == 1
            assert consumer.stats.released == consumer.stats.lapsed == 0

    run_in_virtual_time(scenario())


def test_a_message_acknowledged_after_it_lapsed_is_deleted_all_the_same() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(queue) as consumer:
            message = (await first_batch(consumer))[0]
            consumer.lapse(message)
            consumer.acknowledge(message)
            await consumer.flush()

            assert len(queue) == 0

    run_in_virtual_time(scenario())


def test_a_late_acknowledgement_that_is_refused_counts_as_lapsed_once() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(queue) as consumer:
            message = (await first_batch(consumer))[0]
            consumer.lapse(message)
            queue.faults.refuse_entries("delete", times=1000)
            consumer.acknowledge(message)
            await consumer.flush()

            assert consumer.stats.lapsed == 1

    run_in_virtual_time(scenario())


def test_a_delete_refused_for_a_setting_reaches_the_caller() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        queue.faults.fail("delete", times=1000, error=DENIED)
        async with consumer_of(queue) as consumer:
            consumer.acknowledge((await first_batch(consumer))[0])
            with pytest.raises(ConfigurationError, match="not allowed"):
                await consumer.flush()
            await consumer.flush()

            assert [batch async for batch in consumer.batches()] == []

        assert len(queue) == 1

    run_in_virtual_time(scenario())


def test_receives_that_others_made_are_counted() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        for _ in range(3):
            await queue.receive(visibility_seconds=0)
        async with consumer_of(queue, idle_seconds=None) as consumer:
            batches = consumer.batches()
            consumer.release((await batches.__anext__())[0])
            await batches.__anext__()

            assert consumer.stats.foreign_receives == 3

    run_in_virtual_time(scenario())


def test_a_dead_letter_is_a_copy_with_the_reason_and_the_message_is_deleted() -> None:
    async def scenario() -> None:
        queue, dead_letters = InMemoryQueue(), InMemoryQueue("dlq")
        queue.put("not an event", attributes={"s3events.attempt": "2", "s3events.reason": "an older one"})
        async with consumer_of(queue, dead_letters) as consumer:
            await consumer.dead_letter((await first_batch(consumer))[0], "no\x00 JSON " + "x" * 300)

        copy = dead_letters.peek()[0]
        assert copy.body == "not an event"
        assert copy.attributes["s3events.reason"] == ("no\N{REPLACEMENT CHARACTER} JSON " + "x" * 300)[:256]
        assert copy.attributes["s3events.receives"] == "1"
        assert copy.attributes["s3events.attempt"] == "2"
        assert len(queue) == 0
        assert consumer.stats.dead_lettered == consumer.stats.acknowledged == 1

    run_in_virtual_time(scenario())


def test_a_dead_letter_has_ten_attributes_at_most_and_says_what_it_lacks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        queue, dead_letters = InMemoryQueue(), InMemoryQueue("dlq")
        queue.put("body", attributes={f"a{number}": "x" for number in range(10)})
        async with consumer_of(queue, dead_letters) as consumer:
            await consumer.dead_letter((await first_batch(consumer))[0], "")

        attributes = dead_letters.peek()[0].attributes
        assert len(attributes) == 10
        assert attributes["s3events.reason"] == "no reason given"
        assert "lacks attributes ['a7', 'a8', 'a9']" in caplog.text

    run_in_virtual_time(scenario())


def test_without_a_dead_letter_queue_the_setting_is_named_and_the_message_kept() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(queue) as consumer:
            message = (await first_batch(consumer))[0]
            with pytest.raises(ConfigurationError, match="dead_letter_queue"):
                await consumer.dead_letter(message, "bad")

            assert consumer.stats.in_flight == 1

        assert len(queue) == 1

    run_in_virtual_time(scenario())


def test_an_outage_of_the_dead_letter_queue_is_waited_out() -> None:
    async def scenario() -> None:
        queue, dead_letters = queue_with(1), InMemoryQueue("dlq")
        dead_letters.faults.fail("send", times=5)
        async with consumer_of(queue, dead_letters) as consumer:
            await consumer.dead_letter((await first_batch(consumer))[0], "bad")

        assert (len(queue), len(dead_letters)) == (0, 1)
        assert consumer.stats.outages == 5

    run_in_virtual_time(scenario())


def test_a_stop_ends_the_wait_for_the_dead_letter_queue_and_keeps_the_message() -> None:
    async def scenario() -> None:
        queue, dead_letters = queue_with(1), InMemoryQueue("dlq")
        dead_letters.faults.fail("send", times=1000)
        async with consumer_of(queue, dead_letters) as consumer:
            message = (await first_batch(consumer))[0]
            asyncio.get_running_loop().call_later(3600, consumer.stop)
            with pytest.raises(OutageError):
                await consumer.dead_letter(message, "bad")

        assert len(queue) == 1
        assert seconds() <= 3601

    run_in_virtual_time(scenario())


def test_a_release_that_an_outage_delayed_asks_for_no_more_than_is_left_then() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(queue, visibility_seconds=43_200) as consumer:
            message = (await first_batch(consumer))[0]
            await asyncio.sleep(43_000)
            queue.faults.fail("change_visibility", times=7)
            consumer.release(message, delay_seconds=200)
            await consumer.flush()

            assert (consumer.stats.released, consumer.stats.lapsed) == (1, 0)

    run_in_virtual_time(scenario())
