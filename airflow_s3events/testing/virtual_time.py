"""An event loop whose time jumps to whatever is scheduled next."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

#: Where virtual time starts, as seconds since the epoch: 2027-01-15 08:00 UTC.
_EPOCH = 1_800_000_000.0
#: A loop with nothing scheduled really waits so long for a thread of its to answer.
_DEADLOCK_SECONDS = 5.0
#: More than a loop's clock can tell apart: a timer as near as that is called at once.
_TICK_SECONDS = 1e-6


def run_in_virtual_time(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run ``coroutine`` on a loop whose time jumps to the next thing scheduled; return its result.

    Hours of visibility timeouts pass in milliseconds, in the same order on every machine; ``asyncio.sleep``
    lets time pass. Sockets and threads work, but time does not wait for them.

    Raises:
        RuntimeError: Nothing is scheduled and nothing can happen any more.
    """
    loop = _VirtualTimeLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.run_until_complete(_cancel_others())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def now() -> float:
    """Return seconds since the epoch, as the running loop sees time."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return time.time()
    return _EPOCH + loop.time() if isinstance(loop, _VirtualTimeLoop) else time.time()


async def _cancel_others() -> None:
    """End what the coroutine left running, as ``asyncio.run`` does."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class _VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        return self._now

    def call_at(  # type: ignore[override]  # typed with what only Python 3.11 has
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Put off what is nearer than the loop can tell apart: it would be called before time has passed.

        Whoever waits for what is left until a moment would then find the same left again, for ever.
        """
        if self._now < when < self._now + _TICK_SECONDS:
            when = self._now + _TICK_SECONDS
        return super().call_at(when, callback, *args, context=context)

    def _jump(self, seconds: float) -> None:
        self._now += seconds


class _JumpingSelector(selectors.SelectSelector):
    """Where a selector would wait for the next timer, lets the loop's time jump there."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            ready = super().select(_DEADLOCK_SECONDS)
            if not ready:
                raise RuntimeError("nothing is scheduled and nothing can happen any more")
            return ready
        ready = super().select(0)
        if not ready and timeout > 0:
            self._jump(timeout)
        return ready
