"""Outages are waited out, and a stop leaves everything in a known place."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from airflow_s3events.consumer import Consumer
from airflow_s3events.exceptions import (
    AwsOutageError,
    ConfigurationError,
    LedgerOutageError,
    OutageError,
)
from airflow_s3events.testing import InMemoryQueue, run_in_virtual_time
from tests.core.consumer_fakes import (
    AWAY,
    DENIED,
    BrokenQueue,
    SlowQueue,
    consumer_of,
    drain,
    first_batch,
    queue_with,
    seconds,
)


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


@pytest.mark.parametrize(
    ("outage", "breaker"),
    [
        (AWAY, "airflow"),
        (LedgerOutageError("the ledger's database: refused"), "ledger"),
        (AwsOutageError("GetObjectTagging: timed out"), "aws"),
    ],
)
def test_what_the_caller_finds_away_is_told_by_its_name_until_it_is_back(
    outage: OutageError, breaker: str
) -> None:
    async def scenario() -> None:
        async with consumer_of(queue_with(1), idle_seconds=10) as consumer:
            await consumer.wait_out(outage)
            assert [name for name, is_closed in consumer.breakers.items() if not is_closed] == [breaker]
            assert consumer.away == [outage]
            consumer.resume()
            assert all(consumer.breakers.values())
            assert consumer.away == []

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
        async with consumer_of(slow, stop_seconds=5) as consumer:
            waiting = asyncio.ensure_future(drain(consumer))
            await asyncio.sleep(1)
        left = await queue.describe()

        assert await waiting == []
        assert (left.waiting, left.in_flight) == (1, 0)
        assert consumer.stats.released == 1
        assert 3 <= seconds() < 4

    run_in_virtual_time(scenario())


def test_a_stop_cuts_off_a_long_poll_and_counts_it() -> None:
    async def scenario() -> None:
        async with consumer_of(InMemoryQueue(), idle_seconds=None, stop_seconds=2) as consumer:
            waiting = asyncio.ensure_future(drain(consumer))
            await asyncio.sleep(1)

        assert await waiting == []
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


def test_a_caller_whose_service_is_away_does_not_wait_after_a_stop() -> None:
    async def scenario() -> None:
        async with consumer_of(queue_with(1)) as consumer:
            consumer.stop()
            await consumer.wait_out(AWAY)

        assert seconds() == 0

    run_in_virtual_time(scenario())


def test_a_receive_that_breaks_reaches_the_caller_and_is_not_repeated() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        queue.faults.fail("receive", times=1000, error=LookupError("a bug"))
        async with consumer_of(queue, idle_seconds=None) as consumer:
            with pytest.raises(LookupError, match="a bug"):
                await drain(consumer)

        assert consumer.stats.receive_calls == 1

    run_in_virtual_time(scenario())
