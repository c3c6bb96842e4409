"""Where a trigger's messages are held, in one triggerer or in two: hours of it in virtual time."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airflow_s3events.consumer import Consumer, ConsumerSettings
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.holding import Holder
from airflow_s3events.keeping import Keeper
from airflow_s3events.settlement import RunState
from airflow_s3events.testing import FaultPlan, run_in_virtual_time
from airflow_s3events.triggers import s3_event_hold
from airflow_s3events.triggers.s3_event_hold import _Place, _place_of
from tests.core.test_keeping import World
from tests.lines import AIRFLOW

pytestmark = pytest.mark.skipif(AIRFLOW < (3, 0), reason="needs Airflow 3")

_HOUR = 3600.0
_NAME = "dispatcher/dispatch/-1"


class _WorldPlace(_Place):
    """A place whose queue and runs are in memory; all else is the real one's."""

    world: World

    async def _keep(self) -> None:
        world = self.world
        how = ConsumerSettings(visibility_seconds=300, max_in_flight=world.max_held, receivers=1)
        async with Consumer(world.queue, how, dead_letters=world.dead_letters) as consumer:
            consumer.pause()
            holder = Holder(inbox=consumer, runs=world.runs, max_receive_count=world.limit)
            self.keeper = Keeper(consumer=consumer, holder=holder, routes=world.routes)
            self._ready.set()
            await self.keeper.run()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(max_receive_count=20, max_held=500)
    monkeypatch.setattr(_WorldPlace, "world", world, raising=False)
    monkeypatch.setattr(s3_event_hold, "_Place", _WorldPlace)
    monkeypatch.setattr(s3_event_hold, "_places", {})
    return world


class Triggerer:
    """One triggerer: the places that its process has."""

    def __init__(self) -> None:
        self.places: dict[str, _Place] = {}

    @contextmanager
    def _process(self) -> Iterator[None]:
        """Places are the process's; here two processes share one."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(s3_event_hold, "_places", self.places)
            yield

    async def trigger(self, world: World, until: float, quiet_seconds: float = 8.0) -> None:
        """One trigger: it works until ``until`` or until a task is needed, which works then."""
        loop = asyncio.get_running_loop()
        earliest = loop.time() + quiet_seconds
        with self._process():
            place = await _place_of(_NAME, {})
        try:
            is_woken = await place.work(until - loop.time())
            await asyncio.sleep(max(0.0, earliest - loop.time()))
            assert place.keeper is not None
            held = len(place.keeper.holder)
        finally:
            place.leave()
        if is_woken:
            await world.task(held)

    async def end(self) -> None:
        for place in list(self.places.values()):
            await place.end()


async def _come_and_go(world: World, seconds: float = 60.0) -> _Place:
    """A trigger of the only triggerer here; return its place when it has left."""
    place = await _place_of(_NAME, {})
    if await place.work(seconds):
        await world.task()
        await place.work(seconds)
    place.leave()
    return place


async def _leave_without_a_queue(world: World) -> _Place:
    """As above; what is decided cannot be carried out any more, so closing takes half a minute."""
    world.put("a")
    place = await _come_and_go(world)
    world.set_states(RunState.SUCCESS, "a")
    for call in ("delete", "change_visibility"):
        world.queue.faults.fail(call, times=1_000_000)
    return place


async def _put_every(world: World, seconds: float) -> None:
    number = 0
    while True:
        world.put(f"key {number}")
        number += 1
        await asyncio.sleep(seconds)


@pytest.mark.parametrize(("seed", "every_seconds"), [(1, 300.0), (2, 300.0), (3, 900.0)])
def test_triggers_that_change_between_two_triggerers_cost_what_is_held_no_receive(
    world: World, seed: int, every_seconds: float
) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        chance = random.Random(seed)
        triggerers = (Triggerer(), Triggerer())
        putting = asyncio.ensure_future(_put_every(world, every_seconds))
        while loop.time() < 6 * _HOUR:
            await chance.choice(triggerers).trigger(world, min(loop.time() + _HOUR, 6 * _HOUR))
        putting.cancel()
        assert len(world.dead_letters) == 0
        assert len(world.queue) >= 6 * _HOUR / every_seconds
        assert max(message.receive_count for message in world.queue.peek()) <= 3
        for triggerer in triggerers:
            await triggerer.end()

    run_in_virtual_time(scenario())


def test_a_place_left_for_good_deletes_what_succeeds_and_releases_what_fails(world: World) -> None:
    async def scenario() -> None:
        world.put("succeeds", "fails")
        await _come_and_go(world)
        await asyncio.sleep(2 * _HOUR)
        assert (await world.queue.describe()).in_flight == 2
        world.set_states(RunState.SUCCESS, "succeeds")
        world.set_states(RunState.FAILED, "fails")
        await asyncio.sleep(180)
        (failed,) = world.queue.peek()
        assert '"fails"' in failed.body
        assert (await world.queue.describe()).waiting == 1

    run_in_virtual_time(scenario())


def test_a_place_left_for_good_receives_nothing(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        await _come_and_go(world)
        # What was under way when the trigger left may still bring something.
        await asyncio.sleep(30)
        world.put("b")
        await asyncio.sleep(2 * _HOUR)
        assert [message.receive_count for message in world.queue.peek()] == [3, 0]

    run_in_virtual_time(scenario())


def test_a_place_left_for_good_is_closed_when_nothing_is_held_any_more(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        place = await _come_and_go(world)
        await asyncio.sleep(2 * _HOUR)
        assert s3_event_hold._places == {_NAME: place}
        world.set_states(RunState.SUCCESS, "a")
        await asyncio.sleep(700)
        assert s3_event_hold._places == {}
        assert not place.is_open

    run_in_virtual_time(scenario())


def test_a_place_left_for_good_holds_no_longer_than_twelve_hours(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        await _come_and_go(world)
        await asyncio.sleep(11.5 * _HOUR)
        assert (await world.queue.describe()).in_flight == 1
        await asyncio.sleep(_HOUR)
        assert (await world.queue.describe()).waiting == 1
        assert s3_event_hold._places == {}

    run_in_virtual_time(scenario())


def test_a_place_left_for_good_is_closed_even_if_the_queue_never_answers_again(world: World) -> None:
    async def scenario() -> None:
        place = await _leave_without_a_queue(world)
        await asyncio.sleep(11.5 * _HOUR)
        assert s3_event_hold._places == {_NAME: place}
        await asyncio.sleep(_HOUR)
        assert s3_event_hold._places == {}

    run_in_virtual_time(scenario())


def test_a_place_left_that_the_queue_refuses_says_what_becomes_of_its_messages(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        world.put("a")
        await _come_and_go(world)
        denied = ConfigurationError("aws_conn_id: not allowed")
        world.queue.faults.fail("change_visibility", times=1_000, error=denied)
        with caplog.at_level(logging.ERROR):
            await asyncio.sleep(600)
        assert f"What was held for {_NAME} is held no longer" in caplog.text
        assert "aws_conn_id: not allowed" in caplog.text
        assert (await world.queue.describe()).waiting == 1
        assert s3_event_hold._places == {}

    run_in_virtual_time(scenario())


def test_a_trigger_that_comes_while_its_place_closes_has_a_new_one(world: World) -> None:
    async def scenario() -> None:
        old = await _leave_without_a_queue(world)
        await asyncio.sleep(12 * _HOUR + 10)
        assert old.task is not None
        assert (old.is_open, old.task.done()) == (False, False)
        world.queue.faults = FaultPlan()
        new = await _place_of(_NAME, {})
        assert new is not old
        world.put("b")
        assert await new.work(60)

    run_in_virtual_time(scenario())
