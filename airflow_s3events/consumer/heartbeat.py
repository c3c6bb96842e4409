"""Keep in flight: extend what is held before SQS shows it to others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from airflow_s3events.consumer.breaker import Breaker
from airflow_s3events.consumer.in_flight import Held, InFlight
from airflow_s3events.consumer.queue import Queue
from airflow_s3events.consumer.settler import tens
from airflow_s3events.consumer.waking import Wake
from airflow_s3events.exceptions import OutageError

#: After a failed extension: part of the visibility timeout until the next try.
_RETRY_SHARE = 0.05


class Heartbeat:
    """Extends what is held at half of its visibility timeout, in tens.

    A message lapses here when SQS's 12 hours are used up, or when its visibility timeout has ended and SQS
    refuses to extend it (somebody else has it, or deleted it). An outage alone makes nothing lapse: it is
    held, and extended when SQS answers again. It goes on asking while the breaker is open, because what it
    keeps is at stake.

    Args:
        queue: Where the messages are.
        in_flight: What is held.
        breaker: Told of outages.
        visibility: Held around every change of visibility.
        counts: Gets ``extend_calls`` and ``lapsed``.
        visibility_seconds: As in the settings.
        on_error: Told of an error that waiting does not help.
        on_lapse: Told of each message that lapsed.
    """

    def __init__(
        self,
        queue: Queue,
        in_flight: InFlight,
        *,
        breaker: Breaker,
        visibility: asyncio.Lock,
        counts: Counter[str],
        visibility_seconds: int,
        on_error: Callable[[BaseException], None],
        on_lapse: Callable[[Held], None],
    ) -> None:
        self._queue = queue
        self._in_flight = in_flight
        self._breaker = breaker
        self._visibility = visibility
        self._counts = counts
        self._first_seconds = visibility_seconds / 2
        self._until: float | None = None
        self._retry_seconds = max(0.5, visibility_seconds * _RETRY_SHARE)
        self._on_error = on_error
        self._on_lapse = on_lapse
        self._wake = Wake()

    def ring(self) -> None:
        """Look again when the next extension is due: something new is held.

        Mostly that is long after what it waits for, and looking goes through all that is held.
        """
        if self._until is None or self._until > self._now() + self._first_seconds:
            self._wake.ring()

    async def run(self) -> None:
        """Extend until cancelled."""
        while True:
            self._until = self._in_flight.next_extension()
            await self._wake.wait(self._until)
            for chunk in tens(self._in_flight.due(self._now())):
                async with self._visibility:
                    await self._extend(chunk)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _extend(self, chunk: Sequence[Held]) -> None:
        now = self._now()
        entries: list[tuple[Held, int]] = []
        for held in chunk:
            # Settled, or about to be released, since it was found to be due.
            if self._in_flight.get(held.message) is not held or held.decision == "release":
                held.extend_at = float("inf")
            elif (seconds := self._in_flight.extension(held, now)) > 0:
                entries.append((held, seconds))
            else:
                self._expire(held, now)
        if entries:
            await self._call(entries, now)

    async def _call(self, entries: list[tuple[Held, int]], now: float) -> None:
        self._counts["extend_calls"] += 1
        sent = [(held.message, seconds) for held, seconds in entries]
        try:
            failed = await self._queue.change_visibility(sent)
        except OutageError as outage:
            self._breaker.failed(outage, self._now())
            self._postpone(held for held, _ in entries)
            return
        except Exception as error:
            self._on_error(error)
            self._postpone(held for held, _ in entries)
            return
        refused = set(map(id, failed))
        for (held, seconds), (message, _) in zip(entries, sent, strict=True):
            if id(message) in refused:
                self._expire(held, self._now())
            else:
                self._in_flight.extended(held, seconds, now)

    def _postpone(self, entries: Iterable[Held]) -> None:
        for held in entries:
            held.extend_at = self._now() + self._retry_seconds

    def _expire(self, held: Held, now: float) -> None:
        """Let it lapse if its time is over; else look again when it is, or sooner where SQS may yet agree."""
        if held.decision is not None:
            held.extend_at = float("inf")
        elif now < held.visible_at:
            held.extend_at = min(held.visible_at, now + self._retry_seconds)
        elif self._in_flight.remove(held):
            self._counts["lapsed"] += 1
            self._on_lapse(held)
