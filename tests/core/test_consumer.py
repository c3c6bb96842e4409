"""Receiving and handing over: on a queue in memory, in virtual time, where hours pass at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airflow_s3events.consumer import ConsumerSettings
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.testing import InMemoryQueue, run_in_virtual_time
from tests.core.consumer_fakes import (
    SlowQueue,
    consumer_of,
    drain,
    first_batch,
    queue_with,
    seconds,
)


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


def test_a_caller_that_is_to_be_woken_gets_an_empty_batch_and_is_not_idle_before() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        woken: list[tuple[int, float]] = []
        async with consumer_of(queue, idle_seconds=10) as consumer:
            async for batch in consumer.batches():
                woken.append((len(batch), seconds()))
                consumer.wake_in(45 if len(woken) < 3 else None)

        assert woken == [(1, 0.0), (0, 45.0), (0, 90.0)]
        assert seconds() == pytest.approx(100, abs=0.01)

    run_in_virtual_time(scenario())


def test_messages_come_before_the_caller_is_woken() -> None:
    async def scenario() -> None:
        queue = queue_with(1)
        sizes = []
        async with consumer_of(queue, idle_seconds=10, life_seconds=100) as consumer:
            async for batch in consumer.batches():
                sizes.append((len(batch), seconds()))
                consumer.wake_in(30)
                if len(sizes) == 1:
                    asyncio.get_running_loop().call_later(20, queue.put, "another")

        assert sizes == [(1, 0.0), (1, 20.0), (0, 50.0), (0, 80.0)]

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


def test_a_limit_on_what_is_held_can_be_lowered_and_raised() -> None:
    async def scenario() -> None:
        queue = queue_with(50)
        consumer = consumer_of(queue, max_in_flight=30, batch_count=30, batch_seconds=1)
        consumer.limit(5)
        async with consumer:
            few = await first_batch(consumer)
            consumer.limit(1000)
            await asyncio.sleep(1)

            assert len(few) == 5
            assert consumer.stats.in_flight == 30

    run_in_virtual_time(scenario())


def test_receive_counts_are_remembered_for_a_bounded_number_of_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        queue = queue_with(5)
        async with consumer_of(queue, visibility_seconds=100, idle_seconds=150) as consumer:
            async for batch in consumer.batches():
                for message in batch:
                    if message.receive_count == 1:
                        consumer.lapse(message)
                    else:
                        consumer.acknowledge(message)

        # All were forgotten by the time they came again, so their first receives look like somebody else's.
        assert consumer.stats.foreign_receives == 5

    monkeypatch.setattr("airflow_s3events.consumer.receiver._REMEMBERED", 2)
    run_in_virtual_time(scenario())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("receivers", 0),
        ("receivers", True),
        ("wait_seconds", 21),
        ("wait_seconds", 2.5),
        ("visibility_seconds", 43_201),
        ("max_in_flight", 0),
        ("max_in_flight", "100"),
        ("batch_count", None),
        ("batch_seconds", -1),
        ("idle_seconds", float("nan")),
        ("life_seconds", -0.1),
    ],
)
def test_a_setting_out_of_range_is_named(setting: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{setting}="):
        ConsumerSettings(**{setting: value})


def test_a_quiet_queue_is_not_asked_while_the_caller_works() -> None:
    async def scenario() -> None:
        async with consumer_of(queue_with(1), idle_seconds=0) as consumer:
            async for batch in consumer.batches():
                await asyncio.sleep(9000)
                consumer.acknowledge(batch[0])

        assert consumer.stats.receive_calls == 2

    run_in_virtual_time(scenario())
