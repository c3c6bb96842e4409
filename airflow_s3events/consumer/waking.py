"""Wait until something changed or a moment came: the one way this package waits inside a loop."""

from __future__ import annotations

import asyncio


class Wake:
    """An alarm that others may ring early.

    Time is the running event loop's (``loop.time()``), so a test that brings a loop with a clock of its own
    controls every wait of the package.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake the waiter; a ring while nobody waits is kept for the next wait."""
        self._event.set()

    async def wait(self, until: float | None = None) -> None:
        """Return when rung, or at the moment ``until`` of the loop's clock; None waits for a ring only."""
        alarm = asyncio.get_running_loop().call_at(until, self._event.set) if until is not None else None
        try:
            await self._event.wait()
        finally:
            if alarm is not None:
                alarm.cancel()
            self._event.clear()
