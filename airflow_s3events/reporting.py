"""A meter's samples, sent on every few seconds while something works, and at its end."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import TracebackType

from airflow_s3events.consumer import Consumer
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.messages import QueueAttributes
from airflow_s3events.metrics import Meter, Sample

log = logging.getLogger(__name__)

#: Seconds between two reports.
REPORT_SECONDS = 10.0
#: Reports between two questions for the counts of the queue: one call a minute.
_SAMPLE_EACH = 6
#: Metrics by the member of ``ConsumerStats`` that they say the growth of.
_OF_CONSUMER = {
    "messages.received": "received",
    "messages.redelivered": "redelivered",
    "messages.acknowledged": "acknowledged",
    "messages.released": "released",
    "messages.lapsed": "lapsed",
    "receive.calls": "receive_calls",
    "receive.empty": "empty_receives",
    "receive.failures": "receive_failures",
    "receive.foreign": "foreign_receives",
    "delete.calls": "delete_calls",
    "delete.failures": "delete_call_failures",
    "delete.refused": "delete_failures",
    "visibility.extensions": "extend_calls",
    "outages": "outages",
}
#: Metrics of the counts of a ``Dispatcher``,
DISPATCHED = (
    *("events.started", "events.duplicate", "events.joined", "events.restarted", "events.stale"),
    *("events.unmatched", "events.ignored", "events.malformed", "events.put_off", "events.gave_up"),
    *("events.dropped", "events.not_stored", "events.grouped", "events.waiting", "events.batched"),
)
#: of those of a ``HaulStream``,
HAULED = (
    *("events.packed", "events.unmatched", "events.owed", "events.error", "events.malformed"),
    *("events.rejected", "events.failed", "events.passed_on"),
)
#: and of those of a ``Holder``.
HELD = ("runs.succeeded", "runs.failed", "runs.gave_up", "runs.vanished", "runs.lapsed")

Emit = Callable[[Sequence[Sample]], None]


def note_consumer(meter: Meter, consumer: Consumer) -> None:
    """Take down what a consumer has done so far, and how it is."""
    stats = consumer.stats
    for name, member in _OF_CONSUMER.items():
        meter.total(name, getattr(stats, member))
    meter.gauge("messages.in_flight", stats.in_flight)
    for breaker, is_closed in consumer.breakers.items():
        meter.gauge("breaker.open", int(not is_closed), breaker)


def note_outcomes(meter: Meter, counts: Counter[str], names: Iterable[str]) -> None:
    """Take down how often each of these metrics' outcomes has come, those included that have not."""
    for name in names:
        meter.total(name, counts[name.partition(".")[2]])


def note_queue(meter: Meter, found: QueueAttributes) -> None:
    """Take down SQS's own counts."""
    meter.gauge("queue.waiting", found.waiting)
    meter.gauge("queue.in_flight", found.in_flight)
    meter.gauge("queue.delayed", found.delayed)


def send(meter: Meter, emit: Emit) -> None:
    """Send what the meter holds; what cannot be sent is lost, and logged: work goes on without it."""
    try:
        emit(meter.drain())
    except Exception as error:
        log.warning("Metrics could not be sent: %s: %s", type(error).__name__, error)


def report_failure(queue: str, emit: Emit | None, error: Exception) -> None:
    """Send that a queue could not be opened or asked about: nothing else reports yet."""
    if emit is not None:
        meter = Meter(queue)
        meter.count("queue.failures")
        if isinstance(error, OutageError):
            meter.count("outages")
        send(meter, emit)


class Reporter:
    """Sends on what a meter holds, every ``REPORT_SECONDS`` and at the end of the ``async with`` block.

    Args:
        meter: What is sent.
        emit: Where to; None: nothing is sent, and nothing asked for.
        note: Takes down what nobody counts by itself, just before.
        describe: Asks the queue for its counts, once a minute.
    """

    def __init__(
        self,
        meter: Meter,
        emit: Emit | None,
        *,
        note: Callable[[], None],
        describe: Callable[[], Awaitable[QueueAttributes]],
    ) -> None:
        self._meter = meter
        self._emit = emit
        self._note = note
        self._describe = describe
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Reporter:
        if self._emit is not None:
            self._task = asyncio.ensure_future(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._report()

    async def _run(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            rounds += 1
            if rounds % _SAMPLE_EACH == 0:
                await self._sample()
            self._report()

    async def _sample(self) -> None:
        try:
            note_queue(self._meter, await self._describe())
        except (ConfigurationError, OutageError) as error:
            log.info("The counts of the queue are not reported: %s", error)

    def _report(self) -> None:
        if self._emit is not None:
            self._note()
            send(self._meter, self._emit)
