"""Reports: every ten seconds and at the end, the counts of the queue once a minute."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from airflow_s3events.consumer import Consumer, ConsumerSettings
from airflow_s3events.exceptions import OutageError
from airflow_s3events.messages import QueueAttributes
from airflow_s3events.metrics import Meter, Sample
from airflow_s3events.reporting import HELD, Reporter, note_consumer, note_outcomes
from airflow_s3events.testing import InMemoryQueue, run_in_virtual_time


async def report(seconds: float, *, fails: bool = False) -> tuple[list[list[str]], int]:
    """Work for so long; return the names of each report, and how often the queue was asked."""
    sent: list[list[str]] = []
    asked: list[None] = []

    def emit(samples: Sequence[Sample]) -> None:
        sent.append(sorted(sample.name for sample in samples))

    async def describe() -> QueueAttributes:
        asked.append(None)
        if fails:
            raise OutageError("SQS is away")
        return QueueAttributes(arn="q", visibility_seconds=30, retention_seconds=60, waiting=3)

    meter = Meter("q")
    async with Reporter(meter, emit, note=lambda: meter.total("outages", 0), describe=describe):
        await asyncio.sleep(seconds)
    return sent, len(asked)


def test_a_short_work_is_reported_at_its_end() -> None:
    assert run_in_virtual_time(report(1)) == ([["s3events.outages"]], 0)


def test_a_long_work_is_reported_each_ten_seconds_and_asks_the_queue_once_a_minute() -> None:
    sent, asked = run_in_virtual_time(report(125))
    assert (len(sent), asked) == (13, 2)
    assert "s3events.queue.waiting" in sent[5]


def test_a_queue_that_does_not_answer_ends_no_report() -> None:
    sent, asked = run_in_virtual_time(report(125, fails=True))
    assert (len(sent), asked) == (13, 2)


def test_where_metrics_are_off_nothing_is_asked_for() -> None:
    def fail() -> None:
        pytest.fail("noted")

    async def scenario() -> None:
        async with Reporter(Meter("q"), None, note=fail, describe=InMemoryQueue().describe):
            await asyncio.sleep(500)

    run_in_virtual_time(scenario())


def test_the_breaker_of_what_is_away_is_open() -> None:
    async def scenario() -> dict[str, float]:
        queue = InMemoryQueue()
        queue.faults.fail("receive", times=3)
        meter = Meter("q")
        async with Consumer(queue, ConsumerSettings(idle_seconds=30)) as consumer:
            reading = asyncio.ensure_future(consumer.batches().__anext__())
            await asyncio.sleep(0.1)
            note_consumer(meter, consumer)
            reading.cancel()
        found = meter.drain()
        assert {sample.tags["breaker"]: sample.value for sample in found if "breaker" in sample.tags} == {
            "receive": 1,
            "settle": 0,
            "extend": 0,
            "dead_letters": 0,
            "airflow": 0,
            "ledger": 0,
            "aws": 0,
        }
        return {sample.name: sample.value for sample in found}

    found = run_in_virtual_time(scenario())
    names = ("s3events.receive.calls", "s3events.receive.failures", "s3events.outages")
    assert [found[name] for name in names] == [1, 1, 1]


def test_a_delete_call_that_fails_is_told_apart_from_an_entry_that_is_refused() -> None:
    async def scenario() -> tuple[int, int, int]:
        queue = InMemoryQueue()
        queue.put("{}")
        queue.faults.fail("delete")
        async with Consumer(queue, ConsumerSettings(idle_seconds=30)) as consumer:
            async for batch in consumer.batches():
                for message in batch:
                    consumer.acknowledge(message)
        stats = consumer.stats
        return stats.delete_calls, stats.delete_call_failures, stats.delete_failures

    assert run_in_virtual_time(scenario()) == (2, 1, 0)


def test_an_outcome_that_has_not_come_is_said_to_be_none() -> None:
    meter = Meter("q")
    note_outcomes(meter, Counter(succeeded=2), HELD)
    found = {sample.name: sample.value for sample in meter.drain()}
    assert found == dict.fromkeys((f"s3events.{name}" for name in HELD), 0) | {"s3events.runs.succeeded": 2}


def test_what_cannot_be_sent_ends_no_work_and_is_said(caplog: pytest.LogCaptureFixture) -> None:
    def emit(_: Sequence[Sample]) -> None:
        raise OSError("no buffer space")

    async def scenario() -> str:
        meter = Meter("q")
        describe = InMemoryQueue().describe
        async with Reporter(meter, emit, note=lambda: meter.total("outages", 0), describe=describe):
            await asyncio.sleep(25)
        return "done"

    assert run_in_virtual_time(scenario()) == "done"
    assert caplog.text.count("no buffer space") == 3
