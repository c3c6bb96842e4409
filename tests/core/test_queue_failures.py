"""SQS's own failures while messages are held: each ends in a stated way, and no run is started twice."""

from __future__ import annotations

import asyncio

import pytest

from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.settlement import RunState
from tests.core.test_keeping import World, play


@pytest.fixture
def world() -> World:
    return World(max_receive_count=20)


def succeed(world: World, after_seconds: float, *keys: str) -> None:
    asyncio.get_running_loop().call_later(after_seconds, world.set_states, RunState.SUCCESS, *keys)


def test_a_delete_that_deleted_nothing_is_followed_by_one_that_does(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        world.queue.faults.ignore_deletes(1)
        succeed(world, 200, "a")
        await world.keep(3600)
        assert len(world.queue) == 0
        assert world.states("a") == ["success"]
        assert world.tasks == 1

    play(scenario())


def test_entries_that_sqs_refuses_in_a_batch_are_tried_again(world: World) -> None:
    async def scenario() -> None:
        keys = [f"key {number}" for number in range(20)]
        world.put(*keys)
        world.queue.faults.refuse_entries("delete", times=2, indexes={0, 3, 9})
        world.queue.faults.refuse_entries("change_visibility", times=2, indexes={1})
        succeed(world, 700, *keys)
        await world.keep(3600)
        assert len(world.queue) == len(world.dead_letters) == 0
        assert [world.states(key) for key in keys] == [["success"]] * 20

    play(scenario())


def test_a_visibility_that_lapses_while_the_run_works_is_joined_by_the_redelivery(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        loop = asyncio.get_running_loop()
        refuse = world.queue.faults.refuse_entries
        loop.call_later(200, refuse, "change_visibility", 40)
        succeed(world, 3000, "a")
        await world.keep(4000)
        assert world.states("a") == ["success"]
        assert len(world.queue) == len(world.dead_letters) == 0
        assert world.tasks == 1

    play(scenario())


def test_a_receipt_handle_that_has_expired_deletes_nothing_and_its_message_comes_again(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        loop = asyncio.get_running_loop()
        loop.call_later(100, world.queue.faults.refuse_entries, "delete", 5)
        succeed(world, 200, "a")
        await world.keep(3600)
        assert len(world.queue) == 0
        assert world.states("a") == ["success"]

    play(scenario())


@pytest.mark.parametrize("why", ["aws_conn_id: access denied", "sqs_queue: no such queue"])
def test_access_revoked_or_a_queue_deleted_ends_the_wait_and_names_the_setting(
    world: World, why: str
) -> None:
    async def scenario() -> None:
        world.put("a")
        fault = world.queue.faults.fail
        asyncio.get_running_loop().call_later(300, fault, "receive", 1000, ConfigurationError(why))
        with pytest.raises(ConfigurationError, match=why):
            await world.keep(3600)
        assert world.states("a") == ["queued"]

    play(scenario())


def test_after_access_is_back_the_messages_that_lapsed_are_joined(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        denied = ConfigurationError("aws_conn_id: access denied")
        asyncio.get_running_loop().call_later(300, world.queue.faults.fail, "receive", 1, denied)
        with pytest.raises(ConfigurationError):
            await world.keep(3600)
        world.set_states(RunState.SUCCESS, "a")
        await world.keep(600)
        assert len(world.queue) == 0
        assert world.states("a") == ["success"]

    play(scenario())


def test_a_queue_that_was_recreated_is_empty_and_what_is_held_ends_without_it(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        asyncio.get_running_loop().call_later(300, world.queue._stored.clear)
        succeed(world, 600, "a")
        await world.keep(1200)
        assert len(world.queue) == 0
        assert world.states("a") == ["success"]

    play(scenario())


def test_too_much_in_flight_for_sqs_is_waited_out(world: World) -> None:
    async def scenario() -> None:
        world.put("a")
        over = OutageError("OverLimit: 120,000 messages are in flight")
        world.queue.faults.fail("receive", 30, over)
        succeed(world, 3000, "a")
        await world.keep(4000)
        assert len(world.queue) == 0
        assert world.states("a") == ["success"]

    play(scenario())


@pytest.mark.parametrize("on_redelivery", ["clear", "new_run"])
def test_two_dispatchers_on_one_queue_start_nothing_twice(on_redelivery: str) -> None:
    async def scenario() -> None:
        world = World(max_receive_count=30, on_redelivery=on_redelivery, max_held=60)
        keys = [f"key {number}" for number in range(100)]
        world.put(*keys)
        two = [asyncio.ensure_future(world.keep(4 * 3600)) for _ in range(2)]
        await asyncio.sleep(300)
        world.set_states(RunState.FAILED, *keys[:10])
        most = 0
        for _ in range(40):
            await asyncio.sleep(300)
            most = max(most, *(sum(s in {"queued", "running"} for s in world.states(key)) for key in keys))
            _succeed_all(world)
        await asyncio.gather(*two)
        assert most <= 1
        assert [world.states(key)[-1] for key in keys] == ["success"] * 100
        assert len(world.queue) == len(world.dead_letters) == 0

    play(scenario())


def _succeed_all(world: World) -> None:
    for name, state in world.runs.stored.items():
        if state is RunState.QUEUED:
            world.runs.stored[name] = RunState.SUCCESS
