"""What was received and not handed over yet, cut into batches by count, bytes and time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from airflow_s3events.consumer.in_flight import Held
from airflow_s3events.messages import Message


class Buffer:
    """First in, first out.

    Args:
        batch_count: A batch has at most so many messages,
        batch_bytes: is complete when its bodies have so many bytes,
        batch_seconds: and waits at most so long for more, counted from the receive of its first message.
    """

    def __init__(self, batch_count: int, batch_bytes: int, batch_seconds: float) -> None:
        self._batch_count = batch_count
        self._batch_bytes = batch_bytes
        self._batch_seconds = batch_seconds
        self._waiting: deque[Held] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, received: Iterable[Held]) -> None:
        """Append what was just received."""
        for held in received:
            self._waiting.append(held)
            held.is_buffered = True
            self._size += held.size

    def discard(self, held: Held) -> None:
        """Take out a message that is not to be handed over any more, if it is here."""
        if held.is_buffered:
            self._waiting.remove(held)
            held.is_buffered = False
            self._size -= held.size

    def ready_at(self) -> float | None:
        """When the next batch is to be handed over: at once if complete; None while there is none."""
        if not self._waiting:
            return None
        complete = len(self._waiting) >= self._batch_count or self._size >= self._batch_bytes
        return self._waiting[0].received_at + (0.0 if complete else self._batch_seconds)

    def take(self) -> list[Message]:
        """Take out the next batch; its last message is the one that reaches ``batch_bytes``."""
        batch: list[Message] = []
        size = 0
        while self._waiting and len(batch) < self._batch_count and size < self._batch_bytes:
            held = self._waiting.popleft()
            held.is_buffered = False
            size += held.size
            batch.append(held.message)
        self._size -= size
        return batch
