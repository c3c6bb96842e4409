"""The consumer on a queue in memory, in virtual time: hours pass at once, in the same order every time."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from airflow_s3events.consumer import Consumer, ConsumerSettings
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.messages import Message
from airflow_s3events.testing import InMemoryQueue, run_in_virtual_time

AWAY = OutageError("away")
DENIED = ConfigurationError("aws_conn_id: not allowed")


def consumer_of(queue: Any, dead_letters: InMemoryQueue | None = None, **settings: Any) -> Consumer:
    settings.setdefault("idle_seconds", 10)
    return Consumer(queue, ConsumerSettings(**settings), dead_letters=dead_letters, random=lambda: 1.0)


def queue_with(count: int, **kwargs: Any) -> InMemoryQueue:
    """Make a queue with so many messages; inside the loop, because it reads the loop's time."""
    queue = InMemoryQueue(**kwargs)
    for number in range(count):
        queue.put(f"body {number}")
    return queue


def seconds() -> float:
    return asyncio.get_running_loop().time()


async def drain(consumer: Consumer) -> list[str]:
    """Acknowledge everything; return the bodies."""
    bodies: list[str] = []
    async for batch in consumer.batches():
        for message in batch:
            bodies.append(message.body)
            consumer.acknowledge(message)
    return bodies


async def first_batch(consumer: Consumer) -> list[Message]:
    return await consumer.batches().__anext__()


# Receiving


def test_everything_is_handed_over_once_and_deleted() -> None:
    async def scenario() -> None:
        queue = queue_with(35)
        async with consumer_of(queue) as consumer:
            bodies = await drain(consumer)

        assert bodies == [f"body {number}" for number in range(35)]
        assert len(queue) == 0
        stats = consumer.stats
        assert (stats.received, stats.acknowledged, stats.in_flight) == (35, 35, 0)
        assert stats.delete_calls == 4

    run_in_virtual_time(scenario())


def test_an_idle_queue_costs_one_long_poll_at_a_time() -> None:
    async def scenario() -> None:
        async with consumer_of(InMemoryQueue(), idle_seconds=None, life_seconds=3600) as consumer:
            assert await drain(consumer) == []

        assert seconds() == 3600
        assert consumer.stats.receive_calls == 180
        assert consumer.stats.empty_receives == 180
        assert consumer.stats.cancelled_receives == 0

    run_in_virtual_time(scenario())


def test_batches_end_after_idle_seconds_and_no_poll_outlasts_them() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(queue, idle_seconds=10) as consumer:
            await drain(consumer)

        assert seconds() == pytest.approx(10, abs=0.01)
        assert consumer.stats.cancelled_receives == 0

    run_in_virtual_time(scenario())


def test_the_time_in_which_the_caller_works_is_not_idle() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(queue, idle_seconds=10) as consumer:
            async for batch in consumer.batches():
                await asyncio.sleep(25)
                consumer.acknowledge(batch[0])

        assert seconds() == pytest.approx(35, abs=1.01)

    run_in_virtual_time(scenario())


def test_a_late_message_prolongs_the_idle_time() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        queue.put("late", delay_seconds=7)
        async with consumer_of(queue, idle_seconds=10) as consumer:
            assert await drain(consumer) == ["late"]

        assert seconds() == pytest.approx(17, abs=1.01)

    run_in_virtual_time(scenario())


def test_idle_zero_takes_what_is_there_and_ends() -> None:
    async def scenario() -> None:
        queue = queue_with(25)
        async with consumer_of(queue, idle_seconds=0) as consumer:
            assert len(await drain(consumer)) == 25

        assert seconds() <= 2

    run_in_virtual_time(scenario())


def test_batches_end_with_the_life_of_the_consumer() -> None:
    async def scenario() -> None:
        async with consumer_of(InMemoryQueue(), idle_seconds=None, life_seconds=30) as consumer:
            await drain(consumer)

        assert seconds() == pytest.approx(30, abs=1.01)

    run_in_virtual_time(scenario())


def test_a_queue_that_does_not_long_poll_is_not_hammered() -> None:
    async def scenario() -> None:
        async with consumer_of(InMemoryQueue(), wait_seconds=0, idle_seconds=60) as consumer:
            await drain(consumer)

        assert consumer.stats.receive_calls <= 61

    run_in_virtual_time(scenario())


def test_several_receives_are_under_way_while_messages_come() -> None:
    async def scenario() -> None:
        queue = SlowQueue(queue_with(200), seconds=0.1)
        async with consumer_of(queue, receivers=4) as consumer:
            await drain(consumer)

        assert queue.most_receives == 4

    run_in_virtual_time(scenario())


def test_in_flight_stays_within_its_bound() -> None:
    async def scenario() -> None:
        queue = queue_with(100)
        async with consumer_of(queue, max_in_flight=25, receivers=4) as consumer:
            held = 0
            async for batch in consumer.batches():
                held = max(held, (await queue.describe()).in_flight)
                await asyncio.sleep(1)
                for message in batch:
                    consumer.acknowledge(message)

        assert held == 25
        assert consumer.stats.acknowledged == 100

    run_in_virtual_time(scenario())


def test_a_bound_below_ten_is_kept_too() -> None:
    async def scenario() -> None:
        queue = queue_with(20)
        async with consumer_of(queue, max_in_flight=3) as consumer:
            async for batch in consumer.batches():
                assert (await queue.describe()).in_flight <= 3
                for message in batch:
                    consumer.acknowledge(message)

        assert consumer.stats.acknowledged == 20

    run_in_virtual_time(scenario())


def test_bodies_in_flight_stay_within_their_bound_but_for_one_receive() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        for _ in range(60):
            queue.put("x" * 1000)
        async with consumer_of(queue, max_in_flight_bytes=5000, receivers=1) as consumer:
            async for batch in consumer.batches():
                assert (await queue.describe()).in_flight <= 14
                await asyncio.sleep(1)
                for message in batch:
                    consumer.acknowledge(message)

        assert consumer.stats.acknowledged == 60

    run_in_virtual_time(scenario())


# Handing over


def test_a_batch_has_batch_count_messages_at_most() -> None:
    async def scenario() -> None:
        async with consumer_of(queue_with(25), batch_count=4) as consumer:
            sizes = []
            async for batch in consumer.batches():
                sizes.append(len(batch))
                for message in batch:
                    consumer.acknowledge(message)

        assert max(sizes) == 4
        assert sum(sizes) == 25

    run_in_virtual_time(scenario())


def test_a_batch_is_complete_when_it_has_batch_bytes() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        for _ in range(9):
            queue.put("é" * 50)
        async with consumer_of(queue, batch_bytes=250, batch_seconds=60) as consumer:
            sizes = []
            async for batch in consumer.batches():
                sizes.append(len(batch))
                for message in batch:
                    consumer.acknowledge(message)

        assert sizes == [3, 3, 3]
        assert seconds() < 12

    run_in_virtual_time(scenario())


def test_an_incomplete_batch_waits_for_batch_seconds() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        queue.put("soon", delay_seconds=3)
        queue.put("too late", delay_seconds=8)
        async with consumer_of(queue, batch_seconds=5) as consumer:
            batch = await first_batch(consumer)

            assert [message.body for message in batch] == ["body 0", "soon"]
            assert seconds() == pytest.approx(5)

    run_in_virtual_time(scenario())


def test_an_incomplete_batch_goes_on_receiving_past_the_idle_time() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        queue.put("much later", delay_seconds=40)
        async with consumer_of(queue, batch_seconds=60, idle_seconds=5) as consumer:
            batch = await first_batch(consumer)

            assert [message.body for message in batch] == ["body 0", "much later"]

    run_in_virtual_time(scenario())


def test_a_batch_that_may_not_grow_is_handed_over_at_once() -> None:
    async def scenario() -> None:
        async with consumer_of(queue_with(9), max_in_flight=5, batch_seconds=60) as consumer:
            assert len(await first_batch(consumer)) == 5
            assert seconds() == 0

    run_in_virtual_time(scenario())


# Keeping in flight


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


# Settling


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


# Dead letters


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
        assert "lacks attributes ['a8', 'a9']" in caplog.text

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


# Outages


def test_after_an_outage_of_receives_everything_comes() -> None:
    async def scenario() -> None:
        queue = queue_with(15)
        queue.faults.fail("receive", times=12)
        async with consumer_of(queue, idle_seconds=None, life_seconds=3000) as consumer:
            assert len(await drain(consumer)) == 15

        assert consumer.stats.outages == 12

    run_in_virtual_time(scenario())


def test_an_outage_is_asked_about_less_and_less_often() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        queue.faults.fail("receive", times=10_000)
        async with consumer_of(queue, idle_seconds=None, life_seconds=3600) as consumer:
            await drain(consumer)

        assert 55 <= consumer.stats.receive_calls <= 70

    run_in_virtual_time(scenario())


def test_an_idle_consumer_ends_although_the_queue_is_away() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        queue.faults.fail("receive", times=10_000)
        async with consumer_of(queue, idle_seconds=10) as consumer:
            await drain(consumer)

        assert seconds() <= 12

    run_in_virtual_time(scenario())


def test_a_receive_whose_answer_is_lost_brings_its_messages_later() -> None:
    async def scenario() -> None:
        queue = queue_with(10)
        queue.faults.lose_answers("receive")
        async with consumer_of(queue, idle_seconds=400) as consumer:
            assert len(await drain(consumer)) == 10

        assert consumer.stats.foreign_receives == 10

    run_in_virtual_time(scenario())


def test_an_outage_of_deletes_is_waited_out_and_nothing_is_released() -> None:
    async def scenario() -> None:
        queue = queue_with(20)
        queue.faults.fail("delete", times=12)
        async with consumer_of(queue, visibility_seconds=60) as consumer:
            assert len(await drain(consumer)) == 20

        assert consumer.stats.acknowledged == 20
        assert consumer.stats.released == consumer.stats.lapsed == 0

    run_in_virtual_time(scenario())


def test_what_is_held_is_extended_again_after_an_outage() -> None:
    async def scenario() -> None:
        queue = queue_with(12)
        async with consumer_of(queue, visibility_seconds=100, batch_count=12, batch_seconds=1) as consumer:
            batch = await first_batch(consumer)
            queue.faults.fail("change_visibility", times=8)
            await asyncio.sleep(300)

            assert consumer.stats.outages >= 1
            assert (await queue.describe()).in_flight == 12
            for message in batch:
                consumer.acknowledge(message)

        assert len(queue) == 0

    run_in_virtual_time(scenario())


def test_while_the_callers_own_service_is_away_nothing_is_received_and_everything_kept() -> None:
    async def scenario() -> None:
        queue = queue_with(100)
        async with consumer_of(queue, idle_seconds=10) as consumer:
            back_at = 600.0
            done = 0
            async for batch in consumer.batches():
                while seconds() < back_at:
                    await consumer.wait_out(AWAY)
                consumer.resume()
                for message in batch:
                    consumer.acknowledge(message)
                done += len(batch)

        assert done == 100
        assert consumer.stats.received == 100
        assert consumer.stats.released == consumer.stats.lapsed == 0
        assert seconds() < back_at + 60

    run_in_virtual_time(scenario())


def test_a_paused_consumer_is_never_idle() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(queue, idle_seconds=5) as consumer:
            consumer.pause()
            asyncio.get_running_loop().call_later(100, consumer.resume)

            assert await drain(consumer) == ["body 0"]

        assert seconds() >= 100

    run_in_virtual_time(scenario())


# The end


def test_a_stop_releases_what_is_held_and_settles_what_was_decided() -> None:
    async def scenario() -> None:
        queue = queue_with(30)
        async with consumer_of(queue) as consumer:
            async for batch in consumer.batches():
                consumer.acknowledge(batch[0])
                consumer.stop()
        left = await queue.describe()

        assert (left.waiting, left.in_flight) == (29, 0)
        assert consumer.stats.acknowledged == 1
        assert consumer.stats.in_flight == 0
        assert consumer.stopping

    run_in_virtual_time(scenario())


def test_after_an_outage_of_the_callers_what_is_held_lapses_instead() -> None:
    async def failing(queue: InMemoryQueue) -> None:
        async with consumer_of(queue) as consumer:
            consumer.acknowledge((await first_batch(consumer))[0])
            raise AWAY

    async def scenario() -> None:
        queue = queue_with(10)
        with pytest.raises(OutageError):
            await failing(queue)
        left = await queue.describe()

        assert (left.waiting, left.in_flight) == (0, 9)

    run_in_virtual_time(scenario())


def test_a_stop_waits_for_a_receive_that_ends_soon() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        slow = SlowQueue(queue, seconds=3)
        async with consumer_of(slow, stop_seconds=5):
            await asyncio.sleep(1)
        left = await queue.describe()

        assert (left.waiting, left.in_flight) == (1, 0)
        assert seconds() < 4

    run_in_virtual_time(scenario())


def test_a_stop_cuts_off_a_long_poll_and_counts_it() -> None:
    async def scenario() -> None:
        async with consumer_of(InMemoryQueue(), idle_seconds=None, stop_seconds=2) as consumer:
            await asyncio.sleep(1)

        assert seconds() == 3
        assert consumer.stats.cancelled_receives == 1

    run_in_virtual_time(scenario())


def test_a_close_spends_no_more_than_its_time_and_counts_what_lapses() -> None:
    async def scenario() -> None:
        queue = queue_with(10)
        async with consumer_of(queue, close_seconds=30) as consumer:
            batch = await first_batch(consumer)
            queue.faults.fail("delete", times=1000)
            queue.faults.fail("change_visibility", times=1000)
            consumer.acknowledge(batch[0])

        assert seconds() <= 40
        assert (consumer.stats.lapsed, consumer.stats.in_flight) == (10, 0)

    run_in_virtual_time(scenario())


def test_a_stop_from_another_thread_ends_the_batches() -> None:
    async def scenario() -> None:
        async with consumer_of(InMemoryQueue(), idle_seconds=None, stop_seconds=0) as consumer:
            thread = threading.Thread(target=consumer.stop)
            thread.start()
            await asyncio.to_thread(thread.join)

            assert await drain(consumer) == []

    asyncio.run(scenario())


def test_a_stop_before_the_start_and_after_the_end_does_no_harm() -> None:
    async def scenario() -> Consumer:
        consumer = consumer_of(queue_with(1))
        consumer.stop()
        async with consumer:
            assert await drain(consumer) == []
        assert consumer.stats.receive_calls == 0
        return consumer

    run_in_virtual_time(scenario()).stop()


def test_a_receive_refused_for_a_setting_reaches_the_caller() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        queue.faults.fail("receive", error=DENIED)
        async with consumer_of(queue, idle_seconds=None) as consumer:
            with pytest.raises(ConfigurationError, match="not allowed"):
                await drain(consumer)
            consumer.resume()

            assert await drain(consumer) == []

        assert consumer.stats.receive_calls == 1

    run_in_virtual_time(scenario())


def test_an_error_that_nobody_asked_for_reaches_the_caller_at_the_end() -> None:
    async def work() -> None:
        queue = queue_with(1)
        queue.faults.fail("delete", times=1000, error=DENIED)
        async with consumer_of(queue) as consumer:
            consumer.acknowledge((await first_batch(consumer))[0])

    async def scenario() -> None:
        with pytest.raises(ConfigurationError, match="not allowed"):
            await work()

    run_in_virtual_time(scenario())


def test_an_error_of_the_block_is_not_hidden_by_one_of_the_background() -> None:
    async def work() -> None:
        queue = InMemoryQueue()
        queue.faults.fail("receive", error=DENIED)
        async with consumer_of(queue):
            await asyncio.sleep(1)
            raise LookupError("the block's own")

    async def scenario() -> None:
        with pytest.raises(LookupError, match="own"):
            await work()

    run_in_virtual_time(scenario())


def test_a_bug_in_the_background_reaches_the_caller() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        async with consumer_of(BrokenQueue(queue), idle_seconds=None) as consumer:
            batches = consumer.batches()
            await batches.__anext__()
            with pytest.raises(TypeError):
                await batches.__anext__()

    run_in_virtual_time(scenario())


def test_a_cancelled_consumer_releases_what_it_holds() -> None:
    async def work(queue: InMemoryQueue) -> None:
        async with consumer_of(queue) as consumer:
            async for _ in consumer.batches():
                await asyncio.sleep(1000)

    async def scenario() -> None:
        queue = queue_with(5)
        task = asyncio.ensure_future(work(queue))
        await asyncio.sleep(10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        left = await queue.describe()

        assert (left.waiting, left.in_flight) == (5, 0)

    run_in_virtual_time(scenario())


def test_no_log_line_has_a_body_or_a_receipt_handle(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        queue, dead_letters = queue_with(12), InMemoryQueue("dlq")
        queue.faults.fail("delete", times=2)
        queue.faults.fail("receive", times=2)
        queue.faults.refuse_entries("delete", times=10)
        async with consumer_of(queue, dead_letters, batch_count=12, idle_seconds=60) as consumer:
            first, second, third, fourth, *rest = await first_batch(consumer)
            consumer.release(first, reason="later")
            consumer.lapse(second, reason="no route")
            await consumer.dead_letter(third, "bad")
            consumer.acknowledge(fourth)
            await asyncio.sleep(44_000)
            for message in rest:
                consumer.acknowledge(message)
        assert repr(first) in caplog.text or first.message_id in caplog.text

    with caplog.at_level(logging.DEBUG):
        run_in_virtual_time(scenario())

    assert "handle/" not in caplog.text
    assert "body " not in caplog.text


class SlowQueue:
    """A queue whose calls take time."""

    def __init__(self, queue: InMemoryQueue, seconds: float = 0.0, delete_seconds: float = 0.0) -> None:
        self._queue = queue
        self._seconds = seconds
        self._delete_seconds = delete_seconds
        self._receives = 0
        self.most_receives = 0
        self.change_visibility = queue.change_visibility
        self.send = queue.send
        self.describe = queue.describe

    async def receive(self, **kwargs: Any) -> list[Message]:
        self._receives += 1
        self.most_receives = max(self.most_receives, self._receives)
        await asyncio.sleep(self._seconds)
        try:
            return await self._queue.receive(**kwargs)
        finally:
            self._receives -= 1

    async def delete(self, messages: Sequence[Message]) -> list[Message]:
        await asyncio.sleep(self._delete_seconds)
        return await self._queue.delete(messages)


class BrokenQueue(SlowQueue):
    """A queue that answers an extension with what is no list."""

    def __init__(self, queue: InMemoryQueue) -> None:
        super().__init__(queue)

        async def change_visibility(entries: Sequence[tuple[Message, int]]) -> Any:
            return len(entries)

        self.change_visibility = change_visibility
