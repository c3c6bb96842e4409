"""Receive calls: as many under way as there is demand and room for."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable

from airflow_s3events.consumer.breaker import Breaker
from airflow_s3events.consumer.buffer import Buffer
from airflow_s3events.consumer.in_flight import InFlight
from airflow_s3events.consumer.queue import Queue
from airflow_s3events.consumer.settings import ConsumerSettings
from airflow_s3events.exceptions import OutageError
from airflow_s3events.messages import Message

#: Most that one receive returns
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html).
_MOST_MESSAGES = 10
#: After a receive that came back empty none starts sooner than this after its start: a queue that cannot
#: long-poll is not hammered.
_EMPTY_PAUSE_SECONDS = 1.0
#: Message ids whose receive count is remembered, to tell our own receives from others'.
_REMEMBERED = 5_000


class Receiver:
    """Starts receives, and puts what they return in flight and into the buffer.

    One receive at a time while the queue is quiet or a breaker is being probed; up to ``receivers`` after a
    receive that came back at least half full. It prefetches as much as the next batches need, within the
    bounds on what is in flight, and counts what calls under way may still bring.

    Args:
        queue: Where messages come from.
        settings: The consumer's.
        in_flight: Gets what was received.
        buffer: Gets what of it was not held already.
        breaker: Nothing is received while it is open.
        counts: Gets ``received``, ``redelivered``, ``receive_calls``, ``empty_receives``,
            ``receive_failures``, ``cancelled_receives`` and ``foreign_receives``.
        wait_seconds: Says how long a receive that starts now may wait; None: start none.
        on_received: Called when something new is in the buffer.
        on_ended: Called when a receive has ended, however it did.
        on_error: Told of an error that waiting does not help; no further receive is started then.
    """

    def __init__(
        self,
        queue: Queue,
        settings: ConsumerSettings,
        in_flight: InFlight,
        buffer: Buffer,
        *,
        breaker: Breaker,
        counts: Counter[str],
        wait_seconds: Callable[[], int | None],
        on_received: Callable[[], None],
        on_ended: Callable[[], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._queue = queue
        self._settings = settings
        self._in_flight = in_flight
        self._buffer = buffer
        self._breaker = breaker
        self._counts = counts
        self._wait_seconds = wait_seconds
        self._on_received = on_received
        self._on_ended = on_ended
        self._on_error = on_error
        self._prefetch = max(settings.batch_count, _MOST_MESSAGES) * settings.receivers
        #: Receives under way, each with the number of messages it may bring.
        self._polls: dict[asyncio.Task[None], int] = {}
        self._receives: OrderedDict[str, int] = OrderedDict()
        self._alarm: asyncio.TimerHandle | None = None
        self._not_before = float("-inf")
        #: Whether the last receive came back less than half full.
        self.is_quiet = True
        #: No more than so many messages may be held.
        self.most_in_flight = settings.max_in_flight
        #: No receive is started while True.
        self.is_paused = True

    @property
    def is_polling(self) -> bool:
        """Whether a receive is under way."""
        return bool(self._polls)

    @property
    def is_full(self) -> bool:
        """Whether no further message may be held."""
        held = len(self._in_flight) >= self.most_in_flight
        return held or self._in_flight.size >= self._settings.max_in_flight_bytes

    def receive_more(self) -> None:
        """Start the receives that demand and room allow: call it whenever either may have grown."""
        if self.is_paused:
            return
        start_at = max(self._breaker.opens_until, self._not_before)
        if self._now() < start_at:
            self._set_alarm(start_at)
            return
        wanted = 1 if self.is_quiet or not self._breaker.is_closed else self._settings.receivers
        while len(self._polls) < wanted and (room := self._room()) > 0:
            wait = self._wait_seconds()
            if wait is None:
                return
            task = asyncio.ensure_future(self._poll(room, wait))
            self._polls[task] = room
            task.add_done_callback(self._ended)

    async def end(self, seconds: float) -> None:
        """Start no more; wait so long for receives under way, then cut them off."""
        self.is_paused = True
        if self._alarm is not None:
            self._alarm.cancel()
        if not self._polls:
            return
        _, late = await asyncio.wait(list(self._polls), timeout=seconds)
        for task in late:
            self._counts["cancelled_receives"] += 1
            task.cancel()
        if late:
            await asyncio.wait(late)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _set_alarm(self, when: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_at(when, self.receive_more)

    def _room(self) -> int:
        """How many messages to ask for; none rather than a few while a batch waits to be taken anyway."""
        coming = sum(self._polls.values())
        free = min(
            self.most_in_flight - len(self._in_flight),
            self._prefetch - len(self._buffer),
        )
        room = min(_MOST_MESSAGES, free - coming)
        enough = min(_MOST_MESSAGES, self.most_in_flight)
        if self.is_full or (room < enough and self._batch_waits()):
            return 0
        return room

    def _batch_waits(self) -> bool:
        ready_at = self._buffer.ready_at()
        return ready_at is not None and ready_at <= self._now()

    async def _poll(self, max_messages: int, wait_seconds: int) -> None:
        started_at = self._now()
        self._counts["receive_calls"] += 1
        try:
            messages = await self._queue.receive(
                max_messages=max_messages,
                wait_seconds=wait_seconds,
                visibility_seconds=self._settings.visibility_seconds,
            )
        except OutageError as outage:
            self._counts["receive_failures"] += 1
            self._breaker.failed(outage, self._now())
        else:
            self._breaker.succeeded()
            self._took(messages, max_messages)
            if not messages:
                self._not_before = started_at + _EMPTY_PAUSE_SECONDS

    def _took(self, messages: list[Message], asked: int) -> None:
        self.is_quiet = len(messages) * 2 < asked
        self._counts["received"] += len(messages)
        self._counts["empty_receives"] += not messages
        for message in messages:
            self._remember(message)
        new = self._in_flight.add(messages, self._now())
        self._counts["redelivered"] += len(messages) - len(new)
        self._buffer.add(new)
        if new:
            self._on_received()

    def _remember(self, message: Message) -> None:
        """Count the receives that somebody else must have made, by the message's own count."""
        known = self._receives.pop(message.message_id, 0)
        self._counts["foreign_receives"] += max(0, message.receive_count - known - 1)
        self._receives[message.message_id] = max(known, message.receive_count)
        if len(self._receives) > _REMEMBERED:
            self._receives.popitem(last=False)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._polls[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._counts["receive_failures"] += 1
            self.is_paused = True
            self._on_error(error)
        self._on_ended()
        self.receive_more()
