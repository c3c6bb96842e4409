"""The longest that one callback of an event loop works without giving way, and what the collector adds.

Wall-clock time between two turns of a loop is what other triggers feel, and on a shared machine mostly what
other processes took. So the work is counted in the CPU time of its thread, and each of Python's passes over
the whole process apart: they come in whatever code happens to make the next object.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Sections:
    """What was seen of callbacks and collections while ``watching``; milliseconds of CPU time."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self.longest_collection_ms = 0.0
        self.collections = 0
        self._collecting_since = 0.0
        self._collected = 0.0

    def ran(self, seconds: float) -> None:
        """Note one callback and what of it was the collector's."""
        self.longest_ms = max(self.longest_ms, round((seconds - self._collected) * 1000, 1))

    def begins(self) -> None:
        """Note that a callback begins."""
        self._collected = 0.0

    def collector(self, phase: str, info: dict[str, int]) -> None:
        """For ``gc.callbacks``."""
        if phase == "start":
            self._collecting_since = time.thread_time()
            return
        seconds = time.thread_time() - self._collecting_since
        self._collected += seconds
        self.collections += info["generation"] == 2
        self.longest_collection_ms = max(self.longest_collection_ms, round(seconds * 1000, 1))


@contextmanager
def watching() -> Iterator[Sections]:
    """Watch every callback of every event loop of this process."""
    found = Sections()
    original: Any = asyncio.Handle._run

    def run(handle: asyncio.Handle) -> None:
        found.begins()
        start = time.thread_time()
        original(handle)
        found.ran(time.thread_time() - start)

    asyncio.Handle._run = run  # type: ignore[method-assign, assignment]
    gc.callbacks.append(found.collector)
    try:
        yield found
    finally:
        gc.callbacks.remove(found.collector)
        asyncio.Handle._run = original  # type: ignore[method-assign]
