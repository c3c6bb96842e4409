"""What dispatching costs in receives, with the real consumer: each brings a message nearer to the DLQ."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from airflow_s3events.consumer import Consumer, ConsumerSettings
from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.gates import Closed
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.filters import prefix
from airflow_s3events.routing import Route, Routes
from airflow_s3events.settlement import RunState
from airflow_s3events.testing import InMemoryQueue, run_in_virtual_time
from tests.core.dispatch_fakes import FakeRuns
from tests.core.test_dispatch import record

_RECEIVES = 5


class World:
    """A queue with a redrive policy, a dispatcher that comes back when it said it would, and DAGs."""

    def __init__(self, routes: Any, count: int) -> None:
        self.dead_letters = InMemoryQueue("dlq")
        self.queue = InMemoryQueue(dead_letters=self.dead_letters, max_receive_count=_RECEIVES)
        for number in range(count):
            self.queue.put(json.dumps({"Records": [record(key=f"in/{number}")]}))
        self.routes = Routes.of(routes)
        self.runs = FakeRuns("process", "archive")

    async def session(self, **settings: Any) -> Closed | None:
        """One task: from its start to its deferral."""
        loop = asyncio.get_running_loop()
        consumer = Consumer(
            self.queue, ConsumerSettings(idle_seconds=10, batch_count=50), dead_letters=self.dead_letters
        )
        dispatcher = Dispatcher(
            inbox=consumer,
            routes=self.routes,
            runs=self.runs,
            settings=DispatchSettings(max_receive_count=_RECEIVES, **settings),
            now=loop.time,
            clock=loop.time,
        )
        closed = await dispatcher.waiting()
        if closed is None:
            async with consumer:
                closed = await dispatcher.run()
        return closed

    def finish(self, count: int) -> None:
        """So many queued runs begin."""
        queued = [name for name, state in self.runs.stored.items() if state is RunState.QUEUED]
        for name in queued[:count]:
            self.runs.stored[name] = RunState.RUNNING


@pytest.mark.parametrize(("limit", "pace"), [(1, 1), (3, 2), (10, 7), (30, 11)])
def test_a_backlog_behind_a_full_dag_is_started_in_the_end_and_none_is_dead_lettered(
    limit: int, pace: int
) -> None:
    async def scenario() -> World:
        world = World(Route(dag_id="process", max_queued_runs=limit), count=120)
        for _ in range(400):
            closed = await world.session()
            world.finish(pace)
            await asyncio.sleep(closed.retry_seconds if closed else 10)
        return world

    world = run_in_virtual_time(scenario())
    assert len(world.runs.stored) == 120
    assert len(world.dead_letters) == 0


def test_a_paused_dag_costs_no_receive_at_all() -> None:
    async def scenario() -> World:
        world = World("process", count=20)
        world.runs.paused.add("process")
        for _ in range(50):
            closed = await world.session()
            assert closed is not None
            await asyncio.sleep(closed.retry_seconds)
        return world

    world = run_in_virtual_time(scenario())
    assert [message.receive_count for message in world.queue.peek()] == [0] * 20


def test_a_dag_missing_for_ten_minutes_costs_no_event_and_an_hour_at_most() -> None:
    async def scenario() -> tuple[World, float]:
        world = World("absent", count=20)
        loop = asyncio.get_running_loop()
        start = loop.time()
        while len(world.runs.stored) < 20 and loop.time() < start + 4 * 3600:
            if loop.time() > start + 600:
                world.runs.dag_ids.add("absent")
            await world.session()
            await asyncio.sleep(10)
        return world, loop.time() - start

    world, took = run_in_virtual_time(scenario())
    assert len(world.runs.stored) == 20
    assert len(world.dead_letters) == 0
    assert took < 2 * 3600


def test_a_backlog_behind_one_full_dag_of_several_is_started_in_the_end_and_none_is_dead_lettered() -> None:
    async def drain(world: World) -> None:
        while True:
            await asyncio.sleep(10)
            world.finish(10)

    async def scenario() -> World:
        full = Route(dag_id="process", when=prefix("in/"), max_queued_runs=100)
        world = World(Routes([full, Route(dag_id="archive")]), count=600)
        draining = asyncio.ensure_future(drain(world))
        while len(world.queue):
            closed = await world.session()
            await asyncio.sleep(closed.retry_seconds if closed else 10)
        draining.cancel()
        return world

    world = run_in_virtual_time(scenario())
    assert len(world.dead_letters) == 0
    assert len(world.runs.stored) == 600
