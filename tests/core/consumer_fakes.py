"""Queues with moods, and what the consumer's tests share. Call ``queue_with`` inside the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from airflow_s3events.consumer import Consumer, ConsumerSettings
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.messages import Message
from airflow_s3events.testing import InMemoryQueue

AWAY = OutageError("away")
DENIED = ConfigurationError("aws_conn_id: not allowed")


def consumer_of(queue: Any, dead_letters: InMemoryQueue | None = None, **settings: Any) -> Consumer:
    settings.setdefault("idle_seconds", 10)
    return Consumer(queue, ConsumerSettings(**settings), dead_letters=dead_letters, random=lambda: 1.0)


def queue_with(count: int, **kwargs: Any) -> InMemoryQueue:
    """Make a queue with so many messages; inside the loop, because it reads the loop's time."""
    queue = InMemoryQueue(**kwargs)
    for number in range(count):
        queue.put(f"body {number}")
    return queue


def seconds() -> float:
    return asyncio.get_running_loop().time()


async def drain(consumer: Consumer) -> list[str]:
    """Acknowledge everything; return the bodies."""
    bodies: list[str] = []
    async for batch in consumer.batches():
        for message in batch:
            bodies.append(message.body)
            consumer.acknowledge(message)
    return bodies


async def first_batch(consumer: Consumer) -> list[Message]:
    return await consumer.batches().__anext__()


class SlowQueue:
    """A queue whose calls take time."""

    def __init__(
        self,
        queue: InMemoryQueue,
        seconds: float = 0.0,
        delete_seconds: float = 0.0,
        change_seconds: float = 0.0,
    ) -> None:
        self._queue = queue
        self._seconds = seconds
        self._delete_seconds = delete_seconds
        self._change_seconds = change_seconds
        self._receives = 0
        self.most_receives = 0
        self.send = queue.send
        self.describe = queue.describe

    async def receive(self, **kwargs: Any) -> list[Message]:
        self._receives += 1
        self.most_receives = max(self.most_receives, self._receives)
        await asyncio.sleep(self._seconds)
        try:
            return await self._queue.receive(**kwargs)
        finally:
            self._receives -= 1

    async def change_visibility(self, entries: Sequence[tuple[Message, int]]) -> list[Message]:
        await asyncio.sleep(self._change_seconds)
        return await self._queue.change_visibility(entries)

    async def delete(self, messages: Sequence[Message]) -> list[Message]:
        await asyncio.sleep(self._delete_seconds)
        return await self._queue.delete(messages)


class BrokenQueue(SlowQueue):
    """A queue that answers an extension with what is no list."""

    async def change_visibility(self, entries: Sequence[tuple[Message, int]]) -> Any:
        return len(entries)


class LateQueue(InMemoryQueue):
    """A queue that does at once what it is asked, and says so late."""

    #: How late the answers are: of a receive that brings something, and of a change of visibility.
    receive_seconds = 0.0
    change_seconds = 0.0

    async def receive(self, **kwargs: Any) -> list[Message]:
        messages = await super().receive(**kwargs)
        if messages:
            await asyncio.sleep(self.receive_seconds)
        return messages

    async def change_visibility(self, entries: Sequence[tuple[Message, int]]) -> list[Message]:
        failed = await super().change_visibility(entries)
        await asyncio.sleep(self.change_seconds)
        return failed
