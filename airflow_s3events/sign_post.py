"""``SignPost``: writes a dispatcher's signs down while it works, and at its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType

from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.metrics import Meter
from airflow_s3events.signs import Sign, Signs, sign_of

log = logging.getLogger(__name__)

#: Seconds between two looks.
LOOK_SECONDS = 5.0

Write = Callable[[Sign], Awaitable[None]]


def nothing_away() -> Iterable[OutageError]:
    """Return that all is there."""
    return ()


class SignPost:
    """Writes signs within ``LOOK_SECONDS``, and at the end of the ``async with`` block.

    An error that ends the block is a sign itself: an outage, or a refusal. What cannot be written is lost,
    with a line in the log: no work stops for it.

    Args:
        meter: Is asked for what was remarked.
        write: Writes a sign, over what was written of it before; None: nowhere.
        away: Returns the outages that are not over.
    """

    def __init__(
        self,
        meter: Meter,
        write: Write | None,
        *,
        away: Callable[[], Iterable[OutageError]] = nothing_away,
    ) -> None:
        self._meter, self._write, self._away = meter, write, away
        self._signs = Signs()
        self._task: asyncio.Task[None] | None = None
        self._met: list[OutageError] = []

    async def met(self, outage: OutageError) -> None:
        """Take down an outage that nothing else tells of, until ``is_well``."""
        self._met = [outage]
        await self.look()

    def is_well(self) -> None:
        """Take down that the outage which was met is over."""
        self._met = []

    async def __aenter__(self) -> SignPost:
        self._task = asyncio.ensure_future(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if isinstance(error, ConfigurationError):
            self._signs.note({sign_of(error, "refused"): str(error)}, time.time())
        if not isinstance(error, asyncio.CancelledError):
            await self.look([error] if isinstance(error, OutageError) else None)

    async def look(self, away: Iterable[OutageError] | None = None) -> None:
        """Write what is new; ``away`` is instead of what is asked for."""
        now = time.time()
        self._signs.note(self._meter.remarks(), now)
        lasting = [*self._away(), *self._met] if away is None else away
        for sign in self._signs.due(lasting, now):
            await self._leave(sign)

    async def _leave(self, sign: Sign) -> None:
        if self._write is None:
            return
        try:
            await self._write(sign)
        except Exception as error:
            log.warning("Sign %s could not be written: %s: %s", sign.code, type(error).__name__, error)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()
