"""``HaulShare``: one consumer for all watchers of a queue on Airflow 3.0 to 3.2, which have no shared stream.

Nor do they say when an asset event is stored. What can be observed from a trigger is that Airflow's main
process goes on: it takes what triggers have fired with each sync, stores all of it, and only then turns to
the next request. So a message is deleted only after several answers to requests that were made, one after the
other, when its asset events had been handed over: see ``stored_by_now``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from typing import TYPE_CHECKING

from airflow_s3events._compat.asset_events import read_variable
from airflow_s3events.triggers.watching.source import HaulSource

if TYPE_CHECKING:
    from airflow_s3events.hauls import Haul, HaulStream
    from airflow_s3events.watchers import Watcher

log = logging.getLogger(__name__)

#: Requests that have to be answered one after the other.
_ANSWERS = 3
#: Turns of a second between two of them: the loop that syncs what triggers fired sleeps one second.
_TURNS = 3


async def stored_by_now() -> None:
    """Return when Airflow's main process has stored what triggers had fired when this was called.

    The first answer may come in the same turn as that to an older sync, which did not yet have the events.
    Three turns of the loop later the next sync has been sent, since its own pause is one second; the second
    answer comes with that sync's or after it. The third one comes in a later turn of the main process, and
    between two turns it stores everything. If storing fails the main process ends, and there is no answer.
    """
    for number in range(_ANSWERS):
        if number:
            for _ in range(_TURNS):
                await asyncio.sleep(1.0)
        await read_variable("s3events_are_you_there")


class HaulShare:
    """Hands each haul to every watcher that wants part of it, and settles it when all of that is stored.

    Args:
        source: Gives the hauls.
        stored: Returns when everything is stored that was fired before it was called.
    """

    def __init__(self, source: HaulSource, *, stored: Callable[[], Awaitable[None]] = stored_by_now) -> None:
        self._source = source
        self._stored = stored
        self._queues: dict[Watcher, asyncio.Queue[Haul]] = {}
        #: Hauls that watchers are still to fire, with those watchers.
        self._due: dict[Haul, tuple[HaulStream, set[Watcher]]] = {}
        self._fired: list[tuple[HaulStream, Haul]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving: set[asyncio.Task[None]] = set()

    async def hauls(self, watcher: Watcher) -> AsyncGenerator[Haul, None]:
        """Yield the hauls of which ``watcher`` wants part: asking for the next says that one is fired."""
        queue = self._queues[watcher] = asyncio.Queue()
        if not self._tasks:
            self._tasks = [asyncio.ensure_future(work) for work in (self._hand_out(), self._settle())]
        if (task := asyncio.current_task()) is not None:
            # It may be cancelled while it has a haul in hand, and leave this generator where it is.
            task.add_done_callback(lambda _: self._leave_soon(watcher))
        try:
            while True:
                haul = await queue.get()
                yield haul
                self._note_fired(watcher, haul)
        finally:
            await self._leave(watcher)

    def _leave_soon(self, watcher: Watcher) -> None:
        if watcher in self._queues:
            leaving = asyncio.ensure_future(self._leave(watcher))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def _leave(self, watcher: Watcher) -> None:
        if self._queues.pop(watcher, None) is None:
            return
        for haul in [haul for haul, (_, due) in self._due.items() if watcher in due]:
            self._note_fired(watcher, haul)
        await self._end()

    def _note_fired(self, watcher: Watcher, haul: Haul) -> None:
        stream, due = self._due[haul]
        due.discard(watcher)
        if not due:
            del self._due[haul]
            self._fired.append((stream, haul))

    async def _hand_out(self) -> None:
        async for stream, haul in self._source.hauls():
            due = {watcher for watcher in haul.shares if watcher in self._queues}
            self._due[haul] = (stream, due)
            if not due:
                del self._due[haul]
                stream.resolve(haul, failed=1)
            for watcher in due:
                self._queues[watcher].put_nowait(haul)

    async def _settle(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            fired, self._fired = self._fired, []
            if not fired:
                continue
            try:
                await self._stored()
            except Exception as error:
                log.warning("Airflow does not answer; %d hauls come again: %s", len(fired), error)
                for stream, haul in fired:
                    stream.resolve(haul, failed=1)
            else:
                for stream, haul in fired:
                    stream.resolve(haul)

    async def _end(self) -> None:
        """End with the last watcher."""
        if self._queues:
            return
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await self._source.aclose()


#: Of this process, by key.
_SHARES: dict[Hashable, HaulShare] = {}


def share_of(key: Hashable, make: Callable[[], HaulShare]) -> HaulShare:
    """Return what the watchers of one queue share."""
    return _SHARES.setdefault(key, make())
