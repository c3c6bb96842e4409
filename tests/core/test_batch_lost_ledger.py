"""A ledger that loses what it was told (cleaned, restored, or behind its own last word) loses no event."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_s3events.ledger import MemoryStore
from airflow_s3events.ledger.store import Document
from airflow_s3events.routing import Batch
from airflow_s3events.testing import run_in_virtual_time
from airflow_s3events.testing.virtual_time import now
from tests.core import test_batch_laws as laws
from tests.core.batch_fakes import BY, World, upload
from tests.core.test_dispatch import message, record


def items_of(world: World) -> list[str]:
    """Names of the objects in runs."""
    events = [event for conf in world.runs.confs.values() for event in conf["s3_events"]]
    return sorted(event["key"].rpartition("/")[2] for event in events)


def clean(store: MemoryStore) -> None:
    store._documents.clear()


def state_of(store: MemoryStore) -> dict[str, Document]:
    return dict(store._documents)


def restore(store: MemoryStore, state: dict[str, Document]) -> None:
    store._documents = state


async def test_a_group_that_the_ledger_lost_is_joined_anew() -> None:
    world = World()
    await world.dispatch(upload(1, "a"))
    clean(world.store)
    await world.dispatch(after=1)
    assert (world.held, world.fates) == (0, {"m1": "released"})


async def test_an_event_that_the_ledger_lost_keeps_its_batch_from_running_with_the_reason() -> None:
    world = World(Batch(by=BY, idle_seconds=60))
    await world.dispatch(upload(1, "a"))
    (item,) = [name for name in world.store._documents if name.startswith("item/")]
    del world.store._documents[item]
    await world.dispatch(after=60)
    assert "has lost events" in world.inbox.fates["m1"][1]
    await world.dispatch(upload(1, "a"), after=60)
    assert len(world.batches) == 1


async def test_a_message_whose_group_was_lost_and_opened_again_by_others_is_not_deleted() -> None:
    world = World(Batch(by=BY, idle_seconds=60))
    await world.dispatch(upload(1, "a"))
    clean(world.store)
    await world.dispatch(upload(2, "b"), after=1)
    assert (world.fates, world.held) == ({"m1": "released"}, 1)
    await world.dispatch(upload(1, "a"), after=1)
    await world.dispatch(after=61)
    assert items_of(world) == ["a", "b"]


async def test_a_message_whose_event_a_restored_batch_has_not_is_not_deleted() -> None:
    world = World(Batch(by=BY, idle_seconds=60))
    await world.dispatch(upload(1, "a"))
    before = state_of(world.store)
    await world.dispatch(upload(2, "b"))
    restore(world.store, before)
    await world.dispatch(after=61)
    assert world.fates == {"m1": "acknowledged", "m2": "released"}
    await world.dispatch(upload(2, "b"))
    await world.dispatch(after=61)
    assert items_of(world) == ["a", "b"]


async def test_of_a_message_with_two_groups_one_of_which_was_lost_nothing_is_deleted() -> None:
    world = World(Batch(by=BY, count=2))
    both = message(record("in/1/a"), record("in/2/b"), number=1)
    await world.dispatch(both)
    (lost,) = [
        f"group/{one.body['group']['id']}/process"
        for one in world.store._documents.values()
        if one.body.get("group", {}).get("values") == {"day": "1"}
    ]
    del world.store._documents[lost]
    await world.dispatch(message(record("in/1/z"), number=2), message(record("in/2/y"), number=3))
    assert items_of(world) == ["b", "y"]
    assert world.fates == {"m1": "released", "m3": "acknowledged"}
    await world.dispatch(both)
    assert items_of(world) == ["a", "b", "y", "z"]


async def test_a_run_with_other_events_is_not_taken_for_that_of_a_batch_gathered_anew() -> None:
    batch = Batch(by=BY, count=2)
    world = World(batch)
    await world.dispatch(upload(1, "a"), upload(2, "b"))
    clean(world.store)
    world.start(batch)
    await world.dispatch(upload(1, "a"), upload(3, "c"))
    assert world.fates == {"m1": "acknowledged", "m3": "acknowledged"}
    assert items_of(world) == ["a", "a", "b", "c"]


async def test_nor_for_that_of_a_batch_that_was_restored_before_its_last_event_came() -> None:
    batch = Batch(by=BY, count=2)
    world = World(batch)
    await world.dispatch(upload(1, "a"))
    before = state_of(world.store)
    await world.dispatch(upload(2, "b"))
    restore(world.store, before)
    await world.dispatch(upload(3, "c"))
    assert world.fates == {"m3": "acknowledged"}
    assert items_of(world) == ["a", "a", "b", "c"]


async def test_a_batch_gathered_anew_of_the_same_events_finds_its_run() -> None:
    batch = Batch(by=BY, count=2)
    world = World(batch)
    await world.dispatch(upload(1, "a"), upload(2, "b"))
    clean(world.store)
    world.start(batch)
    await world.dispatch(upload(2, "b"), upload(1, "a"))
    assert world.fates == {"m1": "acknowledged", "m2": "acknowledged"}
    assert items_of(world) == ["a", "b"]


async def test_where_no_more_may_be_held_and_all_groups_were_lost_what_is_held_is_given_back() -> None:
    world = World()
    await world.dispatch(upload(1, "a"))
    clean(world.store)
    assert world.dispatcher.batches is not None
    world.dispatcher.batches.max_held = 1
    await world.dispatch(after=1)
    assert (world.fates, world.held) == ({"m1": "released"}, 0)


async def test_a_batch_of_which_an_event_was_lost_keeps_no_other_batch_from_its_run() -> None:
    world = World(Batch(by=BY, count=1))
    world.runs.paused.add("process")
    await world.dispatch(upload(1, "a"))
    world.runs.paused.clear()
    (item,) = [name for name in world.store._documents if name.startswith("item/")]
    del world.store._documents[item]
    for number in range(2, 8):
        await world.dispatch(upload(number, f"f{number}"), upload(20 + number, "a", day="1"), after=60)
        assert set(world.fates.values()) == {"acknowledged"}


async def lose(store: MemoryStore, losses: list[tuple[float, float]]) -> None:
    """At each of these moments have the store as it was so many seconds before."""
    start, states = now(), [(0.0, state_of(store))]
    for at, seconds in sorted(losses):
        while now() - start < at:
            await asyncio.sleep(0.5)
            states.append((now() - start, state_of(store)))
        before = [state for moment, state in states if moment <= now() - start - seconds]
        restore(store, dict(before[-1]) if before else {})


@pytest.mark.timeout(600)
@settings(max_examples=40, deadline=None)
@given(
    plan=laws.plans,
    losses=st.lists(st.tuples(st.floats(1, 120), st.sampled_from([0.5, 5.0, 30.0, 1_000.0])), max_size=3),
)
def test_whatever_a_ledger_loses_and_whatever_is_killed_every_event_is_in_a_run(
    plan: laws.Plan, losses: list[tuple[float, float]]
) -> None:
    async def all_of_it() -> laws.World:
        world = laws.World(plan)
        losing = asyncio.ensure_future(lose(world.store, losses))
        await world.play()
        losing.cancel()
        return world

    world = run_in_virtual_time(all_of_it())
    assert set(world.items) == {f"orders/{day}/{name}" for _, day, name, _ in plan.uploads}
    assert len(world.queue) == 0
