"""Triggerers that share a queue in memory, in virtual time, and what their watchers are given."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from airflow_s3events.filters import EventFilter
from airflow_s3events.hauls import Haul, HaulSettings, HaulStream
from airflow_s3events.testing import InMemoryQueue, object_created_body, run_in_virtual_time
from airflow_s3events.watchers import Watcher, Watchers
from tests.core.consumer_fakes import consumer_of

Resolve = Callable[[HaulStream, Haul], None]


def stored(stream: HaulStream, haul: Haul) -> None:
    stream.resolve(haul)


def failed(stream: HaulStream, haul: Haul) -> None:
    stream.resolve(haul, failed=1)


def rejected(stream: HaulStream, haul: Haul) -> None:
    stream.resolve(haul, rejected=1)


def never(stream: HaulStream, haul: Haul) -> None:
    """As if Airflow were still at it."""


class Process:
    """One triggerer: a stream over a queue, and what its watchers were given."""

    def __init__(self, queue: InMemoryQueue, *, resolve: Resolve = stored, **filters: EventFilter) -> None:
        self.queue = queue
        self.watchers = Watchers()
        self.names = {name: Watcher(name, when) for name, when in filters.items()}
        for watcher in self.names.values():
            self.watchers.join(watcher)
        self.resolve = resolve
        self.given: Counter[tuple[str, str]] = Counter()
        self.sizes: list[int] = []
        self.stream: HaulStream

    async def run(self, **settings: Any) -> None:
        """Until cancelled."""
        limit = self.queue._max_receive_count
        options = HaulSettings(max_receive_count=limit, **settings)
        consumer = consumer_of(
            self.queue, self.queue._dead_letters, idle_seconds=None, batch_count=1000, max_in_flight=5000
        )
        async with consumer:
            self.stream = HaulStream(consumer, self.watchers, options, random=lambda: 0.5)
            async for haul in self.stream.hauls():
                self.sizes.append(len(haul.catches))
                for watcher in list(haul.shares):
                    share = haul.take(watcher)
                    haul.note_given(watcher)
                    self.given.update((watcher.name, packed.data["key"]) for packed in share)
                self.resolve(self.stream, haul)


@contextmanager
def running(*processes: Process, **settings: Any) -> Iterator[None]:
    tasks = [asyncio.ensure_future(process.run(**settings)) for process in processes]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


def queue_of(*keys: str, **kwargs: Any) -> InMemoryQueue:
    queue = InMemoryQueue(**kwargs)
    for key in keys:
        queue.put(object_created_body("landing", key))
    return queue


def with_dead_letters(*keys: str) -> tuple[InMemoryQueue, InMemoryQueue]:
    dead = InMemoryQueue("dead")
    return queue_of(*keys, dead_letters=dead, max_receive_count=20), dead


def play(scenario: Any) -> None:
    run_in_virtual_time(scenario())
