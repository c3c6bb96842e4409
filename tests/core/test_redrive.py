"""Replays beside a dispatcher that is awake: what comes back at once is not sent once more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from airflow_s3events.consumer import Consumer, ConsumerSettings
from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.redrive import DeadLetterQueue
from airflow_s3events.routing import Routes
from airflow_s3events.testing import InMemoryQueue, run_in_virtual_time
from airflow_s3events.testing.bodies import object_created_body
from airflow_s3events.testing.virtual_time import now
from tests.core.dispatch_fakes import FakeRuns

_ATTEMPT = "s3events.attempt"


class Queues:
    """A queue and its dead letter queue; call it inside the loop."""

    def __init__(self) -> None:
        self.dead = InMemoryQueue("dlq")
        self.main = InMemoryQueue(dead_letters=self.dead, max_receive_count=20)
        self.letters = DeadLetterQueue(queue=self.dead, now=now)
        self.runs = FakeRuns("process")

    @asynccontextmanager
    async def dispatching(self) -> AsyncIterator[None]:
        """A dispatcher that is awake."""
        working = asyncio.ensure_future(self._dispatch())
        try:
            yield
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _dispatch(self) -> None:
        settings = ConsumerSettings(idle_seconds=3600)
        async with Consumer(self.main, settings, dead_letters=self.dead) as consumer:
            dispatcher = Dispatcher(
                inbox=consumer,
                routes=Routes.of("process"),
                runs=self.runs,
                settings=DispatchSettings(max_receive_count=20, has_dead_letters=True),
                now=now,
                clock=asyncio.get_running_loop().time,
            )
            await dispatcher.run()


def test_a_letter_that_comes_back_at_once_is_replayed_once_and_left() -> None:
    async def scenario() -> None:
        queues = Queues()
        queues.dead.put("no event")
        async with queues.dispatching():
            report = await queues.letters.replay(queues.main, most=50)
        assert (report.looked_at, report.came_back, report.matched, report.done) == (2, 1, 1, 1)
        (letter,) = queues.dead.peek()
        assert (letter.body, letter.attributes[_ATTEMPT]) == ("no event", "1")
        assert (await queues.dead.describe()).waiting == 1

    run_in_virtual_time(scenario())


def test_a_letter_that_came_back_is_replayed_by_the_next_call() -> None:
    async def scenario() -> None:
        queues = Queues()
        queues.dead.put("no event")
        async with queues.dispatching():
            reports = [await queues.letters.replay(queues.main, most=50) for _ in range(3)]
        assert [report.done for report in reports] == [1, 1, 1]
        assert [letter.attributes[_ATTEMPT] for letter in queues.dead.peek()] == ["3"]

    run_in_virtual_time(scenario())


def test_letters_beside_one_that_comes_back_have_their_runs() -> None:
    async def scenario() -> None:
        queues = Queues()
        for number in range(15):
            queues.dead.put("no event" if number % 5 == 0 else object_created_body("landing", f"{number}"))
        async with queues.dispatching():
            report = await queues.letters.replay(queues.main, most=50)
        assert (report.came_back, report.done) == (3, 15)
        assert len(queues.runs.stored) == 12
        assert [letter.body for letter in queues.dead.peek()] == ["no event"] * 3

    run_in_virtual_time(scenario())


def test_a_letter_that_was_left_beside_its_replay_is_purged_with_it() -> None:
    async def scenario() -> None:
        queues = Queues()
        first = queues.dead.put("no event")
        queues.dead.put("no event", attributes={"s3events.message_id": first, _ATTEMPT: "1"})
        found, _ = await queues.letters.look()
        report = await queues.letters.purge()
        assert (len(found), report.done, report.came_back) == (2, 2, 0)
        assert len(queues.dead) == 0

    run_in_virtual_time(scenario())
