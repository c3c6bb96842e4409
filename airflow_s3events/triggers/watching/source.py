"""``HaulSource``: a queue's hauls for as long as a triggerer lives, whatever happens to the queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING

from airflow_s3events._compat.stats import emitter
from airflow_s3events.aws_clock import AwsClock
from airflow_s3events.reporting import report_failure
from airflow_s3events.triggers.watching.roll import Roll
from airflow_s3events.triggers.watching.sessions import QueueArguments, joined_for, open_haul_stream
from airflow_s3events.watchers import Watchers

if TYPE_CHECKING:
    from airflow_s3events.hauls import Haul, HaulStream

log = logging.getLogger(__name__)

OpenStream = Callable[[AsyncExitStack, QueueArguments, Watchers, AwsClock], Awaitable["HaulStream"]]

_FIRST_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 60.0
#: A watcher that joins later than this after the one before it finds the stream running.
_JOIN_SECONDS = 2.0
#: Sources that are being closed: a task that nothing refers to may be collected.
_CLOSING: set[asyncio.Task[None]] = set()


class HaulSource:
    """Opens a queue, and opens it again when something ended it.

    It never raises and never ends: a queue that is gone or denied is said in the log and tried again, ever
    less often, because an error here would fail all watchers of the queue, to be started again within two
    seconds.

    Args:
        arguments: What the queue is opened with; equal for all watchers that share this source.
        watchers: Who wants what.
        open_stream: Opens the queue.
    """

    def __init__(
        self, arguments: QueueArguments, watchers: Watchers, *, open_stream: OpenStream = open_haul_stream
    ) -> None:
        self._arguments = arguments
        self._watchers = watchers
        self._open_stream = open_stream
        self._stack = AsyncExitStack()

    async def hauls(self) -> AsyncIterator[tuple[HaulStream, Haul]]:
        """Yield hauls, each with the stream that settles it, for ever."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                async with aclosing(self._session()) as session:
                    async for found in session:
                        pause = _FIRST_PAUSE_SECONDS
                        yield found
            except Exception as error:
                # Whatever it is, the other watchers of the triggerer must go on, and so must this queue.
                report_failure(self._arguments.sqs_queue, emitter("triggerer"), error)
                log.error("Queue %s: %s; trying again in %.0f s", self._arguments.sqs_queue, error, pause)
                log.debug("What ended the stream", exc_info=True)
            await self.aclose()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def aclose(self) -> None:
        """Settle what is decided, give the rest back.

        Airflow cancels a watcher that is to go once each second until it is gone, and us with it: closing
        is a task of its own that goes on.
        """
        # A new session may begin before this one is closed: it puts what it opens into a stack of its own.
        stack, self._stack = self._stack, AsyncExitStack()
        closing = asyncio.ensure_future(self._close(stack))
        _CLOSING.add(closing)
        closing.add_done_callback(_CLOSING.discard)
        await asyncio.shield(closing)

    async def _close(self, stack: AsyncExitStack) -> None:
        try:
            await stack.aclose()
        except Exception as error:
            # What is not settled comes again, and the queue has to be opened again in any case.
            log.warning("Queue %s: its end was not a clean one: %s", self._arguments.sqs_queue, error)

    async def _session(self) -> AsyncGenerator[tuple[HaulStream, Haul], None]:
        clock = AwsClock()
        # By AWS's clock: one that is ahead would forget everybody.
        roll = Roll(self._arguments.sqs_queue, self._watchers, now=clock.now)
        await asyncio.gather(joined_for(self._watchers, _JOIN_SECONDS), roll.meet())
        await roll.look()
        keeping = asyncio.ensure_future(roll.run())
        self._stack.callback(keeping.cancel)
        stream = await self._open_stream(self._stack, self._arguments, self._watchers, clock)
        async for haul in stream.hauls():
            yield stream, haul
