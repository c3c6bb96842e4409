"""When the caller gets the next batch, and when none comes any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from airflow_s3events.consumer.buffer import Buffer
from airflow_s3events.consumer.ending import Ending
from airflow_s3events.consumer.receiver import Receiver
from airflow_s3events.consumer.settler import Settler
from airflow_s3events.consumer.waking import Wake
from airflow_s3events.messages import Message


class Handover:
    """Takes batches out of the buffer for a caller who waits, and has the receiver ask for as long as it may.

    Args:
        buffer: What was received and not handed over yet.
        ending: When batches end.
        receiver: Told whenever there may be demand.
        settler: Batches do not end while it has something to do.
        is_stopped: Whether no further batch comes, whatever is in the buffer.
    """

    def __init__(
        self,
        buffer: Buffer,
        ending: Ending,
        receiver: Receiver,
        settler: Settler,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._buffer = buffer
        self._ending = ending
        self._receiver = receiver
        self._settler = settler
        self._is_stopped = is_stopped
        self._wake = Wake()
        self._wake_at: float | None = None

    def wake_at(self, moment: float | None) -> None:
        """Hand over an empty batch then, and stay until then; None: neither. While the caller works."""
        self._wake_at = moment
        self._ending.stays = moment is not None

    def ring(self) -> None:
        """Look again: something has changed."""
        self._wake.ring()

    async def next_batch(self) -> list[Message] | None:
        """Wait for a batch, an empty one where the caller is to be woken; None: none comes any more."""
        self._ending.caller_waits(self._now())
        while not self._is_over():
            if self._batch_is_ready():
                self._ending.caller_works()
                batch = self._buffer.take()
                self._receiver.receive_more()
                return batch
            if self._wake_at is not None and self._wake_at <= self._now():
                self._ending.caller_works()
                return []
            self._receiver.receive_more()
            await self._wake.wait(self._next_moment())
        return None

    def wait_seconds(self) -> int | None:
        """As ``Ending`` has it; while the caller works, a quiet queue is not asked: nothing is gained."""
        is_wanted = self._ending.caller_is_waiting and not self._batch_is_ready()
        if self._receiver.is_quiet and not is_wanted:
            return None
        return self._ending.wait_seconds(self._now(), is_batching=len(self._buffer) > 0)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _is_over(self) -> bool:
        if self._is_stopped() or self._now() >= self._ending.ends_at:
            return True
        is_busy = len(self._buffer) or self._settler.pending or self._receiver.is_polling
        return self._ending.is_idle(self._now()) and not is_busy and not self._receiver.is_paused

    def _batch_is_ready(self) -> bool:
        """A batch that may not grow is as good as complete."""
        ready_at = self._buffer.ready_at()
        return ready_at is not None and (ready_at <= self._now() or self._receiver.is_full)

    def _next_moment(self) -> float | None:
        """When ``next_batch`` has to look again if nothing happens."""
        wake_at = self._wake_at or 0.0
        moments = (self._buffer.ready_at() or 0.0, wake_at, self._ending.idle_until, self._ending.ends_at)
        coming = [moment for moment in moments if moment > self._now()]
        first = min(coming, default=float("inf"))
        return None if first == float("inf") else first
