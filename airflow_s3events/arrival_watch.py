"""``ArrivalWatch``: looks into the bucket whenever that is worth it, until all has come or time is up."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from airflow_s3events.arrivals import Awaited
from airflow_s3events.looks import Location, Seen
from airflow_s3events.wake_ups import WakeUp

log = logging.getLogger(__name__)


class Looks(Protocol):
    """What a watch asks of S3."""

    async def look(self, awaited: Awaited, first: Location | None = None) -> Seen:
        """Return whether all has come; ``first`` is what the look before found to be absent."""


class ArrivalWatch:
    """Looks at the start, at each wake-up, every ``poke_seconds`` in any case, and when time is up.

    Nothing depends on a message: it only says that a look is worth it now. So whoever is killed, whenever,
    has lost nothing, because each start begins with a look.

    Args:
        awaited: What is waited for.
        bucket: Answers looks.
        open_wake_up: Opens what the watch waits for between two looks; not called when the first look is
            enough.
        poke_seconds: Seconds between two looks when nothing wakes it.
        until: Seconds since the epoch of the last look.
        now: Returns seconds since the epoch.
    """

    def __init__(
        self,
        awaited: Awaited,
        bucket: Looks,
        open_wake_up: Callable[[], Awaitable[WakeUp]],
        *,
        poke_seconds: float,
        until: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._awaited = awaited
        self._bucket = bucket
        self._open_wake_up = open_wake_up
        self._poke_seconds = poke_seconds
        self._until = until
        self._now = now

    async def run(self) -> Seen:
        """Return what the last look saw: all that is awaited, or what was missing when time was up.

        Raises:
            OutageError: S3 or SQS is away.
            ConfigurationError: A setting is wrong; names it.
        """
        seen = await self._look(None)
        wake_up: WakeUp | None = None
        while not seen.has_arrived and (left := self._until - self._now()) > 0:
            wake_up = wake_up or await self._open_wake_up()
            await wake_up.wait(min(left, self._poke_seconds))
            seen = await self._look(seen)
            await wake_up.looked()
        return seen

    async def _look(self, before: Seen | None) -> Seen:
        seen = await self._bucket.look(self._awaited, before.absent if before else None)
        if not seen.has_arrived and (before is None or seen.missing != before.missing):
            log.info("Still to come: %s", seen.missing)
        return seen
