"""Fixtures of pytest: a bucket, its queue and a dispatcher, all in memory.

Say so in a ``conftest.py`` at the root of the tests::

    pytest_plugins = ["airflow_s3events.testing.pytest_plugin"]

It is not loaded by itself: that would cost every pytest in the environment, and coverage begins later.
"""

from __future__ import annotations

import pytest

from airflow_s3events.testing.memory_bucket import InMemoryBucket
from airflow_s3events.testing.memory_dispatcher import Clock, InMemoryDispatcher
from airflow_s3events.testing.memory_queue import InMemoryQueue

_MAX_RECEIVE_COUNT = 20


@pytest.fixture
def s3_clock() -> Clock:
    """The time of queue and dispatcher; ``s3_clock.advance(seconds)`` lets it pass."""
    return Clock()


@pytest.fixture
def s3_dead_letter_queue(s3_clock: Clock) -> InMemoryQueue:
    """The dead letter queue of ``s3_queue``; ``peek()`` shows what is in it, with the reasons."""
    return InMemoryQueue("landing-dlq", clock=s3_clock)


@pytest.fixture
def s3_queue(s3_clock: Clock, s3_dead_letter_queue: InMemoryQueue) -> InMemoryQueue:
    """An empty queue; a message is received 20 times at most."""
    return InMemoryQueue(
        "landing-events",
        clock=s3_clock,
        dead_letters=s3_dead_letter_queue,
        max_receive_count=_MAX_RECEIVE_COUNT,
    )


@pytest.fixture
def s3_bucket(s3_queue: InMemoryQueue) -> InMemoryBucket:
    """The bucket ``landing``, with versions, that notifies ``s3_queue``."""
    return InMemoryBucket("landing", s3_queue, versioned=True)


@pytest.fixture
def s3_dispatcher(
    s3_queue: InMemoryQueue, s3_dead_letter_queue: InMemoryQueue, s3_clock: Clock
) -> InMemoryDispatcher:
    """A dispatcher on ``s3_queue``."""
    return InMemoryDispatcher(
        s3_queue, s3_clock, dead_letters=s3_dead_letter_queue, max_receive_count=_MAX_RECEIVE_COUNT
    )
