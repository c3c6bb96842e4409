"""A keeper and a dispatcher on one queue in memory, hours in milliseconds: held, deleted, started again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from airflow_s3events.consumer import Consumer, ConsumerSettings
from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.envelopes import parse_body
from airflow_s3events.holding import Holder
from airflow_s3events.identity import run_id
from airflow_s3events.keeping import Keeper
from airflow_s3events.routing import Routes
from airflow_s3events.settlement import RunState, receives_for_tries
from airflow_s3events.testing import InMemoryQueue, run_in_virtual_time
from airflow_s3events.testing.bodies import object_created_body, object_record, records_body
from tests.core.dispatch_fakes import FakeRuns

_VISIBILITY_SECONDS = 300


class World:
    """One queue, its dead letter queue, Airflow; a keeper and tasks that are called when it asks for one."""

    def __init__(self, max_receive_count: int = 9, on_redelivery: Any = "clear", max_held: int = 50) -> None:
        self.dead_letters = InMemoryQueue("dlq")
        self.queue = InMemoryQueue(dead_letters=self.dead_letters, max_receive_count=max_receive_count)
        self.limit = max_receive_count
        self.on_redelivery = on_redelivery
        self.max_held = max_held
        self.routes = Routes.of("process")
        self.runs: FakeRuns = FakeRuns("process")
        self.dispatchers = 1
        self.tasks = 0

    def put(self, *keys: str) -> None:
        for key in keys:
            self.queue.put(object_created_body("landing", key))

    def set_states(self, state: RunState, *keys: str) -> None:
        for name, conf in self.runs.confs.items():
            if conf["s3_event"]["key"] in keys and self.runs.stored[name] is not RunState.SUCCESS:
                self.runs.stored[name] = state

    def states(self, key: str) -> list[str]:
        names = [name for name, conf in self.runs.confs.items() if conf["s3_event"]["key"] == key]
        return [self.runs.stored[name].value for name in names]

    async def task(self, held: int = 0) -> None:
        """What the operator does when it is woken."""
        self.tasks += 1
        most = max(1, self.max_held - held)
        settings = ConsumerSettings(
            visibility_seconds=_VISIBILITY_SECONDS, max_in_flight=most, idle_seconds=10.0, batch_count=10
        )
        async with Consumer(self.queue, settings, dead_letters=self.dead_letters) as consumer:
            dispatcher = Dispatcher(
                inbox=consumer,
                routes=self.routes,
                runs=self.runs,
                settings=DispatchSettings(max_receive_count=self.limit),
                now=lambda: asyncio.get_running_loop().time(),
                clock=lambda: asyncio.get_running_loop().time(),
            )
            dispatcher.hold_runs(self.on_redelivery, 60.0, dispatchers=self.dispatchers)
            await dispatcher.run()

    async def keep(self, seconds: float, *, tasks: bool = True) -> None:
        """A trigger for so long; whenever it asks for a task, one works."""
        settings = ConsumerSettings(
            visibility_seconds=_VISIBILITY_SECONDS, max_in_flight=self.max_held, receivers=1
        )
        ends_at = asyncio.get_running_loop().time() + seconds
        async with Consumer(self.queue, settings, dead_letters=self.dead_letters) as consumer:
            consumer.pause()
            limit = receives_for_tries(self.limit, self.dispatchers)
            holder = Holder(inbox=consumer, runs=self.runs, max_receive_count=limit)
            keeper = Keeper(consumer=consumer, holder=holder, routes=self.routes)
            running = asyncio.ensure_future(keeper.run())
            try:
                while (left := ends_at - asyncio.get_running_loop().time()) > 0:
                    if await self._is_wanted(keeper, running, left) and tasks:
                        await self.task(len(holder))
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def _is_wanted(self, keeper: Keeper, running: asyncio.Task[None], seconds: float) -> bool:
        work = asyncio.ensure_future(keeper.work())
        done, _ = await asyncio.wait({work, running}, timeout=seconds, return_when="FIRST_COMPLETED")
        work.cancel()
        if running in done:
            running.result()
        return work in done


@pytest.fixture
def world() -> World:
    return World()


def play(scenario: Coroutine[Any, Any, None]) -> None:
    run_in_virtual_time(scenario)


def test_a_message_is_held_for_hours_and_deleted_when_its_run_has_succeeded(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        asyncio.get_running_loop().call_later(3 * 3600, world.set_states, RunState.SUCCESS, "a")
        await world.keep(3 * 3600 - 60)
        assert len(world.queue) == 1
        assert world.tasks == 1
        await world.keep(600)
        assert len(world.queue) == 0
        assert world.states("a") == ["success"]

    play(scenario())


def test_holding_costs_no_receive(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        await world.keep(3600)
        assert world.queue.peek()[0].receive_count == 3

    play(scenario())


def test_a_wake_up_for_another_message_costs_those_that_are_held_nothing(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        for number in range(5):
            asyncio.get_running_loop().call_later(600 + 600 * number, world.put, f"later {number}")
        await world.keep(4000)
        assert world.tasks == 6
        assert world.queue.peek()[0].receive_count == 3

    play(scenario())


@pytest.mark.parametrize("on_redelivery", ["clear", "new_run"])
def test_a_run_that_fails_once_is_started_again_and_succeeds(on_redelivery: str) -> None:
    async def scenario() -> None:
        world = World(on_redelivery=on_redelivery)
        world.put("a")
        loop = asyncio.get_running_loop()
        loop.call_later(100, world.set_states, RunState.FAILED, "a")
        loop.call_later(900, _succeed_latest, world, "a")
        await world.keep(1200)
        expected = {"clear": ["success"], "new_run": ["failed", "success"]}[on_redelivery]
        assert world.states("a") == expected
        assert len(world.queue) == len(world.dead_letters) == 0

    play(scenario())


def test_a_run_that_always_fails_is_tried_three_times_and_is_a_dead_letter_with_the_run() -> None:
    async def scenario() -> None:
        world = World(on_redelivery="new_run")
        world.put("a")
        failing = asyncio.ensure_future(_fail_always(world, "a"))
        await world.keep(4 * 3600)
        failing.cancel()
        assert world.states("a") == ["failed"] * 3
        (letter,) = world.dead_letters.peek()
        assert "failed; the message was received" in letter.attributes["s3events.reason"]
        assert letter.attributes["s3events.dag_id"] == "process"
        assert letter.attributes["s3events.run_id"].endswith("_a2")
        assert len(world.queue) == 0

    play(scenario())


def test_a_keeper_that_dies_is_followed_by_one_that_joins(world: World) -> None:
    async def scenario() -> None:
        world.put("a", "b")
        await world.task()
        dying = asyncio.ensure_future(world.keep(3600))
        await asyncio.sleep(60)
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
        world.set_states(RunState.SUCCESS, "a")
        await world.keep(600, tasks=False)
        assert (world.states("a"), world.states("b")) == (["success"], ["queued"])
        assert [m.body for m in world.queue.peek()] == [m.body for m in world.queue.peek() if '"b"' in m.body]

    play(scenario())


def test_past_twelve_hours_the_redelivery_joins(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        await world.keep(13 * 3600)
        assert world.states("a") == ["queued"]
        assert world.tasks == 1
        world.set_states(RunState.SUCCESS, "a")
        await world.keep(120)
        assert len(world.queue) == 0

    play(scenario())


def test_no_more_is_held_than_allowed_and_the_rest_waits_for_room() -> None:
    async def scenario() -> None:
        world = World(max_held=10)
        keys = [f"key {number}" for number in range(25)]
        world.put(*keys)
        keeping = asyncio.ensure_future(world.keep(1200))
        await asyncio.sleep(300)
        assert (await world.queue.describe()).in_flight == 10
        assert sum(len(world.states(key)) for key in keys) == 10
        for _ in range(3):
            world.set_states(RunState.SUCCESS, *keys)
            await asyncio.sleep(200)
        await keeping
        assert [world.states(key) for key in keys] == [["success"]] * 25
        assert len(world.queue) == 0

    play(scenario())


def test_an_outage_of_airflow_changes_nothing(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        loop = asyncio.get_running_loop()
        loop.call_later(100, world.runs.outages.extend, ["away"] * 20)
        loop.call_later(200, world.set_states, RunState.SUCCESS, "a")
        await world.keep(3600)
        assert len(world.queue) == 0
        assert world.states("a") == ["success"]

    play(scenario())


def test_a_run_that_somebody_deleted_is_made_anew(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        asyncio.get_running_loop().call_later(100, world.runs.stored.clear)
        await world.keep(600)
        assert world.states("a") == ["queued"]
        assert len(world.queue) == 1

    play(scenario())


def test_what_a_trigger_cannot_judge_is_for_the_task(world: World) -> None:
    async def scenario() -> None:
        world.queue.put("not an event")
        world.queue.put(records_body(object_record("landing", "good"), {}))
        await world.keep(120)
        assert [m.body for m in world.dead_letters.peek()] == ["not an event"]
        assert world.states("good") == ["queued"]

    play(scenario())


def test_a_dag_that_was_deleted_with_its_runs_lets_the_task_refuse_the_event(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        asyncio.get_running_loop().call_later(100, world.runs.dag_ids.clear)
        await world.keep(300)
        assert len(world.queue) == 1
        assert world.tasks >= 2

    play(scenario())


def test_what_a_task_could_not_receive_any_more_is_a_dead_letter_with_its_reason() -> None:
    async def scenario() -> None:
        world = World(max_receive_count=1)
        body = object_created_body("landing", "fails")
        for each in (body, object_created_body("landing", "new"), "not an event"):
            world.queue.put(each)
        name = run_id(parse_body(body, message_id="m").events[0])
        world.runs.stored["process", name] = RunState.FAILED
        await world.keep(120)
        reasons = [message.attributes["s3events.reason"] for message in world.dead_letters.peek()]
        assert reasons[0] == f"run {name} of DAG 'process' failed; the message was received 1 times"
        assert reasons[1] == "its run was not started; the message was received 1 times"
        assert "not JSON" in reasons[2]
        assert world.tasks == 0

    play(scenario())


def _succeed_latest(world: World, key: str) -> None:
    names = [name for name, conf in world.runs.confs.items() if conf["s3_event"]["key"] == key]
    world.runs.stored[names[-1]] = RunState.SUCCESS


async def _fail_always(world: World, key: str) -> None:
    while True:
        await asyncio.sleep(45)
        world.set_states(RunState.FAILED, key)
