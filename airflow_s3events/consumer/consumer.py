"""``Consumer``: joins receiver, buffer, heartbeat, settler and the rest; what its caller talks to."""

from __future__ import annotations

import asyncio
import random as chance
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import fields
from types import TracebackType

from airflow_s3events.consumer.breaker import Breaker
from airflow_s3events.consumer.buffer import Buffer
from airflow_s3events.consumer.deciding import Decisions
from airflow_s3events.consumer.ending import Ending
from airflow_s3events.consumer.handover import Handover
from airflow_s3events.consumer.heartbeat import Heartbeat
from airflow_s3events.consumer.in_flight import Held, InFlight
from airflow_s3events.consumer.queue import Queue
from airflow_s3events.consumer.receiver import Receiver
from airflow_s3events.consumer.settings import ConsumerSettings
from airflow_s3events.consumer.settler import Settler
from airflow_s3events.consumer.stats import ConsumerStats
from airflow_s3events.consumer.waking import Wake
from airflow_s3events.dead_letters import dead_letter_attributes
from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.exceptions import AwsOutageError, ConfigurationError, LedgerOutageError, OutageError
from airflow_s3events.messages import Message

#: What SQS is called for; each has a breaker of its own.
_CALLS = ("receive", "settle", "extend", "dead_letters")
#: What the caller may find away, and what the log calls it.
_CALLERS = {"airflow": "Airflow", "ledger": "the ledger", "aws": "AWS"}
#: Longest wait between two tries of a caller whose own service is away.
_CALLER_WAIT_SECONDS = 30.0


class Consumer:
    """Receives from one queue, hands messages over in batches, and settles them as it is told.

    ::

        async with Consumer(queue, ConsumerSettings(idle_seconds=10)) as consumer:
            async for batch in consumer.batches():
                for message in batch:
                    ...
                    consumer.acknowledge(message)

    Everything handed over is kept in flight until it is settled: its visibility is extended at half of
    ``visibility_seconds``, never past SQS's 12 hours, at which it lapses. A redelivery of a message that is
    held only renews its receipt handle; one that comes while it is released is released as well. Nothing is
    released because of an outage: while AWS is away it is held. The first decision about a message stands,
    later ones are ignored.

    A stop (the end of the ``async with`` block) waits shortly for receives under way, carries out what was
    decided and releases the rest; where the block ended in an ``OutageError`` the rest lapses instead,
    because releasing would bring each message one receive nearer to the dead letter queue at once. A receive
    that had to be cut off may have been given messages by SQS: they lapse, and come back after
    ``visibility_seconds``.

    Time is the running event loop's. Do not block the loop for longer than a quarter of
    ``visibility_seconds``: use ``asyncio.to_thread``.

    Args:
        queue: Where messages come from.
        settings: See there.
        dead_letters: Where ``dead_letter`` sends its copies.
        random: Returns a number from 0 up to 1; jitter for back-off.
        lines: Gets a line for each decision that is not the normal one.
    """

    def __init__(
        self,
        queue: Queue,
        settings: ConsumerSettings | None = None,
        *,
        dead_letters: Queue | None = None,
        random: Callable[[], float] = chance.random,
        lines: DecisionLog | None = None,
    ) -> None:
        self._queue = queue
        self._settings = settings = settings or ConsumerSettings()
        self._dead_letters = dead_letters
        self._counts: Counter[str] = Counter()
        self._lines = lines = lines or DecisionLog(clock=self._now)
        self._in_flight = InFlight(settings.visibility_seconds)
        self._buffer = Buffer(settings.batch_count, settings.batch_bytes, settings.batch_seconds)
        self._breakers = {name: Breaker(_of_sqs(name), random, lines=lines) for name in _CALLS}
        receiving, settling, extending, self._sending = self._breakers.values()
        self._callers = _caller_breakers(random, lines)
        self._breakers |= self._callers
        self._ending = Ending(settings.idle_seconds, settings.life_seconds, settings.wait_seconds)
        visibility = asyncio.Lock()
        self._settler = Settler(
            queue,
            self._in_flight,
            breaker=settling,
            visibility=visibility,
            counts=self._counts,
            lines=lines,
            linger_seconds=settings.settle_seconds,
            on_error=self._fail,
            on_settled=self._look_again,
        )
        self._heartbeat = Heartbeat(
            queue,
            self._in_flight,
            breaker=extending,
            visibility=visibility,
            counts=self._counts,
            visibility_seconds=settings.visibility_seconds,
            on_error=self._fail,
            on_lapse=self._lapsed,
        )
        self._receiver = Receiver(
            queue,
            settings,
            self._in_flight,
            self._buffer,
            breaker=receiving,
            counts=self._counts,
            wait_seconds=self._wait_seconds,
            on_received=self._received,
            on_ended=self._receive_ended,
            on_error=self._fail,
        )
        self._decisions = Decisions(
            self._in_flight, self._buffer, self._settler, counts=self._counts, lines=lines
        )
        self._decisions.on_room = self._look_again
        self._handover = Handover(self._buffer, self._ending, self._receiver, self._settler, self._is_stopped)
        self._halt = Wake()
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None
        self._failure_raised = False
        #: True once ``stop`` was called: no further batch comes.
        self.stopping = False

    async def __aenter__(self) -> Consumer:
        self._loop = asyncio.get_running_loop()
        self._ending.open(self._now())
        self._tasks = [
            asyncio.ensure_future(part.run()) for part in (self._heartbeat, self._settler, self._lines)
        ]
        for task in self._tasks:
            task.add_done_callback(self._task_ended)
        self.resume()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        try:
            await self._receiver.end(self._settings.stop_seconds)
            self._decisions.give_back(error)
            settled = asyncio.ensure_future(self._settler.flush())
            await asyncio.wait([settled], timeout=self._settings.close_seconds)
            settled.cancel()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._decisions.lapse_rest()
            self._lines.tell_all()
        if error is None:
            self._raise_failure()

    @property
    def stats(self) -> ConsumerStats:
        """What was done so far."""
        counts = {field.name: self._counts[field.name] for field in fields(ConsumerStats)}
        counts["in_flight"] = len(self._in_flight)
        counts["outages"] = sum(breaker.outages for breaker in self._breakers.values())
        return ConsumerStats(**counts)

    @property
    def breakers(self) -> dict[str, bool]:
        """Whether each circuit breaker is closed, by what would be away: closed is well."""
        return {name: breaker.is_closed for name, breaker in self._breakers.items()}

    @property
    def away(self) -> list[OutageError]:
        """The outages that are not over."""
        return [breaker.outage for breaker in self._breakers.values() if breaker.outage is not None]

    async def batches(self) -> AsyncIterator[list[Message]]:
        """Yield batches until stopped, idle for ``idle_seconds`` or at the end of ``life_seconds``.

        Raises:
            ConfigurationError: A call was refused for a reason that waiting does not cure; also any other
                error of the loop that works in the background.
        """
        while (batch := await self._handover.next_batch()) is not None:
            yield batch
        self._raise_failure()

    def holds(self, message: Message) -> bool:
        """Return whether the message is in flight for us, as far as we know, and not decided about."""
        held = self._in_flight.get(message)
        return held is not None and held.decision is None and held.visible_at > self._now()

    def acknowledge(self, message: Message) -> None:
        """Delete it: everything derived from it is stored. Also right for a message that lapsed meanwhile."""
        self._decisions.acknowledge(message)

    def release(
        self, message: Message, *, delay_seconds: float = 0.0, reason: str = "", outcome: str = ""
    ) -> None:
        """Have it redelivered after ``delay_seconds``, within 12 hours.

        With a ``reason`` it gets a line in the log; ``outcome`` says the same in one word.
        """
        self._decisions.release(message, delay_seconds, reason, outcome)

    def lapse(self, message: Message, *, reason: str = "", outcome: str = "") -> None:
        """Hold it no longer and do nothing: its visibility timeout brings it back."""
        self._decisions.lapse(message, reason, outcome)

    async def dead_letter(
        self, message: Message, reason: str, about: dict[str, str] | None = None, *, outcome: str = ""
    ) -> None:
        """Send a copy with the reason to the dead letter queue, then acknowledge the message.

        The copy has the body, message attributes ``s3events.reason`` (at most 256 characters),
        ``s3events.receives`` and ``s3events.message_id``, those of ``about``, and the message's own, ten at
        most. An outage is waited out.

        Raises:
            ConfigurationError: There is no dead letter queue, or it refuses the copy. The message stays held.
            OutageError: A stop came while the dead letter queue was out of reach. The message stays held.
        """
        if self._dead_letters is None:
            raise ConfigurationError(
                "dead_letter_queue: name a queue for what cannot be processed; this one has no redrive policy"
            )
        await self._send(self._dead_letters, message.body, dead_letter_attributes(message, reason, about))
        self._counts["dead_lettered"] += 1
        self._lines.note("dead_lettered", message=message, outcome=outcome, reason=reason)
        self.acknowledge(message)

    async def pass_on(self, message: Message, attributes: Mapping[str, str]) -> None:
        """Send a copy with ``attributes`` to the queue itself, then acknowledge the message.

        SQS cannot change a message, so this is how one consumer leaves word for another. An outage is waited
        out; what comes between the two leaves both messages there.

        Raises:
            ConfigurationError: The queue refuses the copy. The message stays held.
            OutageError: A stop came while the queue was out of reach. The message stays held.
        """
        await self._send(self._queue, message.body, dict(attributes))
        self.acknowledge(message)

    @property
    def has_full_batch(self) -> bool:
        """Whether the next batch is complete, or as complete as it may get: more is likely to follow it."""
        return len(self._buffer) >= self._settings.batch_count or self._receiver.is_full

    async def flush(self) -> None:
        """Return when everything decided so far is settled or given up.

        Raises:
            ConfigurationError: As ``batches``.
        """
        await self._settler.flush()
        self._raise_failure()

    def pause(self) -> None:
        """Receive no more; keep what is held in flight. Receives under way may still bring something."""
        self._receiver.is_paused = True

    def resume(self) -> None:
        """Receive again; also tells that the caller's own outage, if there was one, is over."""
        for breaker in self._callers.values():
            breaker.succeeded()
        self._receiver.is_paused = self._is_stopped()
        self._look_again()

    def limit(self, count: int) -> None:
        """Hold at most so many messages from now on (at least 1), or ``max_in_flight`` if that is less.

        Nothing that is held is given back for it.
        """
        self._receiver.most_in_flight = max(1, min(count, self._settings.max_in_flight))
        self._look_again()

    def wake_in(self, seconds: float | None) -> None:
        """Have ``batches()`` yield an empty batch after so long, and not end for want of messages before.

        None: have it end after ``idle_seconds`` again, and yield no empty batch.
        """
        self._handover.wake_at(None if seconds is None else self._now() + seconds)

    async def wait_out(self, outage: OutageError) -> None:
        """Pause, and return when it is time to try again what met ``outage``, or at a stop.

        The waits grow from 1 to 30 seconds, with jitter, until ``resume`` is called.
        """
        self.pause()
        await self._wait_open(self._callers[_caller_of(outage)], outage)

    def stop(self) -> None:
        """End ``batches()`` and every wait. May be called from another thread or a signal handler."""
        self.stopping = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_all)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _is_stopped(self) -> bool:
        return self.stopping or self._failure is not None

    def _wait_seconds(self) -> int | None:
        return self._handover.wait_seconds()

    def _received(self) -> None:
        self._heartbeat.ring()
        self._ending.message_came(self._now())

    def _receive_ended(self) -> None:
        self._ending.receive_ended()
        self._handover.ring()

    def _lapsed(self, held: Held) -> None:
        self._decisions.lapsed(held, self._now() - held.received_at)

    def _look_again(self) -> None:
        self._receiver.receive_more()
        self._handover.ring()

    async def _send(self, queue: Queue, body: str, attributes: dict[str, str]) -> None:
        while True:
            try:
                await queue.send(body, attributes=attributes)
            except OutageError as outage:
                if self.stopping:
                    raise
                await self._wait_open(self._sending, outage)
            else:
                self._sending.succeeded()
                return

    async def _wait_open(self, breaker: Breaker, outage: OutageError) -> None:
        breaker.failed(outage, self._now())
        if not self.stopping:
            await self._halt.wait(breaker.opens_until)

    def _wake_all(self) -> None:
        self._receiver.is_paused = True
        self._handover.ring()
        self._halt.ring()

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Keep the first error of the background for the caller, and stop receiving."""
        self._failure = self._failure or error
        self._wake_all()

    def _raise_failure(self) -> None:
        if self._failure is not None and not self._failure_raised:
            self._failure_raised = True
            raise self._failure


def _caller_breakers(random: Callable[[], float], lines: DecisionLog) -> dict[str, Breaker]:
    return {
        name: Breaker(what, random, most_seconds=_CALLER_WAIT_SECONDS, lines=lines)
        for name, what in _CALLERS.items()
    }


def _caller_of(outage: OutageError) -> str:
    """What is away, by its name in ``_CALLERS``."""
    if isinstance(outage, LedgerOutageError):
        return "ledger"
    return "aws" if isinstance(outage, AwsOutageError) else "airflow"


def _of_sqs(call: str) -> str:
    return f"SQS ({call.replace('_', ' ')})"
