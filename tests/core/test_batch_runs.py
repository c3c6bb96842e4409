"""A dispatcher whose routes have a batch: what it holds, what runs it makes, and what it deletes when."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from airflow_s3events.context import events_of_run
from airflow_s3events.events import ObjectEvent
from airflow_s3events.identity import event_id
from airflow_s3events.ledger import Decision, groups
from airflow_s3events.routing import Batch, Route, Routes
from airflow_s3events.settlement import RunState
from airflow_s3events.testing import Clock, InMemoryDispatcher, InMemoryQueue, bodies
from tests.core.batch_fakes import BY, World, upload
from tests.core.dispatch_fakes import FakeInbox
from tests.core.test_dispatch import message, record


async def test_messages_are_held_until_their_group_is_closed_and_deleted_when_its_run_is_stored() -> None:
    world = World(Batch(by=BY, idle_seconds=60))
    await world.dispatch(upload(1, "b"), upload(2, "a"))
    assert (world.fates, world.batches, world.held) == ({}, [], 2)
    await world.dispatch(after=59)
    assert world.held == 2
    await world.dispatch(after=1)
    assert world.batches == [(["in/2026-01-01/a", "in/2026-01-01/b"], "idle")]
    assert (world.fates, world.held) == ({"m1": "acknowledged", "m2": "acknowledged"}, 0)
    assert world.dispatcher.counts == {"grouped": 2, "batch_runs": 1, "batched": 2}


async def test_the_conf_says_what_the_batch_is() -> None:
    world = World(Batch(by=BY, count=2))
    await world.dispatch(upload(1, "a"), upload(2, "b"), upload(3, "c"))
    await world.dispatch(after=60)
    (first, second) = world.runs.confs
    about = world.runs.confs[first]["s3_batch"]
    assert about.pop("opened_at") == about.pop("closed_at")
    assert about == {
        "bucket": "landing",
        "values": {"day": "2026-01-01"},
        "number": 1,
        "closed_by": "count",
        "object_bytes": 6,
        "manifest": None,
        "follows": None,
    }
    later = world.runs.confs[second]["s3_batch"]
    assert (later["number"], later["follows"]) == (2, {"run_id": first[1], "closed_by": "count"})


def test_a_task_gets_all_its_events_typed() -> None:
    clock = Clock()
    queue = InMemoryQueue(clock=clock)
    for name in "ab":
        queue.put(bodies.object_created_body("landing", f"in/2026-01-01/{name}"))
    (run,) = InMemoryDispatcher(queue, clock).dispatch(Route(dag_id="process", batch=Batch(by=BY)))
    events = events_of_run(run.context(), lambda *_: [])
    assert [event.key for event in events] == ["in/2026-01-01/a", "in/2026-01-01/b"]
    assert [event_id(event) for event in events] == [event_id(event) for event in run.events]
    assert len(queue) == 0


async def test_an_event_that_comes_again_after_its_run_is_deleted_and_its_entry_says_why() -> None:
    world = World(Batch(by=BY, count=1))
    await world.dispatch(upload(1, "a"))
    await world.dispatch(upload(1, "a"))
    assert (len(world.batches), world.fates) == (1, {"m1": "acknowledged"})
    (entry,) = await world.ledger.history("landing", "in/2026-01-01/a")
    assert (entry.what, entry.seen, entry.run_id) == ("started", 2, next(iter(world.runs.confs))[1])
    assert "as many events as a batch may" in entry.reason


async def test_nothing_of_the_event_stays_in_the_ledger_but_its_entry() -> None:
    world = World(Batch(by=BY, count=1))
    for _ in range(2):
        await world.dispatch(upload(1, "a"))
        (item,) = [name for name in world.store._documents if name.startswith("item/")]
        assert (await world.store.read([item]))[item].body == {}


async def test_a_run_that_was_made_and_not_noted_is_found_by_who_comes_after() -> None:
    world = World(Batch(by=BY, count=2))
    await world.dispatch(upload(1, "a"), upload(2, "b"))
    (run,) = world.runs.confs
    (group,) = [name for name in world.store._documents if name.startswith("group/")]
    # As if it had been killed after the run was made: nothing was noted.
    fresh = World(Batch(by=BY, count=2))
    fresh.runs.stored[run] = RunState.RUNNING
    await fresh.dispatch(upload(1, "a"), upload(2, "b"))
    assert (fresh.batches, fresh.fates) == ([], {"m1": "acknowledged", "m2": "acknowledged"})
    assert (await fresh.store.read([group]))[group].body["done"] == 1


async def test_a_run_that_is_noted_is_not_made_again_where_airflow_has_removed_it() -> None:
    world = World(Batch(by=BY, count=1))
    world.runs.paused.add("process")
    await world.dispatch(upload(1, "a"))
    world.runs.paused.clear()
    (group,) = [name for name in world.store._documents if name.startswith("group/")]
    closed = world.store._documents[group].body
    await world.dispatch(upload(1, "a"), after=60)
    # As if it had been killed when the entries were written, and the run removed since.
    latest = world.store._documents[group]
    world.store._documents[group] = replace(latest, body=closed)
    world.runs.stored.clear()
    world.runs.confs.clear()
    await world.dispatch(upload(2, "b"))
    assert world.batches == [(["in/2026-01-01/b"], "count")]


async def test_an_event_without_a_group_has_a_batch_run_alone() -> None:
    world = World()
    await world.dispatch(message(record("elsewhere/a")))
    assert world.batches == [(["elsewhere/a"], "alone")]
    assert world.fates == {"m1": "acknowledged"}


async def test_a_closed_batch_of_a_paused_dag_waits_in_the_queue() -> None:
    world = World(Batch(by=BY, count=2))
    world.runs.paused.add("process")
    await world.dispatch(upload(1, "a"), upload(2, "b"))
    assert (world.fates, world.held) == ({"m1": "released", "m2": "released"}, 0)
    world.runs.paused.clear()
    await world.dispatch(upload(2, "b", receive_count=2), after=60)
    assert world.batches == [(["in/2026-01-01/a", "in/2026-01-01/b"], "count")]
    assert world.fates == {"m2": "acknowledged"}
    await world.dispatch(upload(1, "a", receive_count=2))
    assert (len(world.batches), world.fates) == (1, {"m1": "acknowledged"})


async def test_what_comes_to_a_group_of_which_too_much_waits_for_runs_is_put_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(groups, "_MOST_BYTES", 800)
    world = World(Batch(by=BY, count=1))
    world.runs.paused.add("process")
    await world.dispatch(upload(1, "a"))
    await world.dispatch(upload(2, "b"))
    assert world.fates == {"m2": "released"}
    assert "wait for their runs" in world.inbox.fates["m2"][1]
    world.runs.paused.clear()
    await world.dispatch(upload(1, "a"), after=60)
    await world.dispatch(upload(2, "b"), after=60)
    assert world.batches == [(["in/2026-01-01/a"], "count"), (["in/2026-01-01/b"], "count")]


async def test_what_its_dag_refuses_for_too_long_is_a_dead_letter_with_the_reason() -> None:
    world = World(Batch(by=BY, count=1), max_receive_count=5)
    world.runs.refusing.add("process")
    await world.dispatch(upload(1, "a", receive_count=5))
    assert world.fates == {"m1": "dead-lettered"}
    assert "import errors" in world.inbox.fates["m1"][1]
    world.runs.refusing.clear()
    await world.dispatch(upload(1, "a"), after=600)
    assert len(world.batches) == 1


async def test_a_batch_whose_run_is_refused_each_time_keeps_no_later_one_from_its_run() -> None:
    world = World(Batch(by=BY, count=1))
    world.runs.unstorable.add("in/2026-01-01/bad")
    for receive in range(1, 6):
        await world.dispatch(upload(1, "bad", receive_count=receive), after=700)
        assert world.fates == {"m1": "released"}
    await world.dispatch(upload(1, "bad", receive_count=6), upload(2, "a"), after=700)
    assert world.fates == {"m1": "released", "m2": "acknowledged"}


async def test_a_fault_of_ours_with_one_batch_stops_nothing_else(caplog: Any) -> None:
    world = World(Batch(by=BY, count=1))
    world.runs.fault = ZeroDivisionError("!")
    with caplog.at_level(logging.CRITICAL):
        await world.dispatch(upload(1, "a"))
    assert world.fates == {"m1": "released"}
    world.runs.fault = None
    await world.dispatch(upload(1, "a"), after=60)
    assert len(world.batches) == 1


async def test_a_run_that_airflow_took_and_does_not_have_deletes_nothing() -> None:
    world = World(Batch(by=BY, count=1))
    world.runs.forgetful = True
    await world.dispatch(upload(1, "a"))
    assert world.fates == {"m1": "released"}
    world.runs.forgetful = False
    await world.dispatch(upload(1, "a"), after=60)
    assert world.fates == {"m1": "acknowledged"}


async def test_a_run_id_that_another_run_blocks_deletes_nothing() -> None:
    world = World(Batch(by=BY, count=1))
    world.runs.taken_elsewhere.add("process")
    await world.dispatch(upload(1, "a"))
    assert world.fates == {"m1": "released"}
    assert "holds a unique key" in world.inbox.fates["m1"][1]


async def test_airflow_is_waited_for() -> None:
    world = World(Batch(by=BY, count=1))
    world.runs.outages = ["away"]
    await world.dispatch(upload(1, "a"))
    assert (world.inbox.waits, world.fates) == (1, {"m1": "acknowledged"})


async def test_the_oldest_group_is_closed_where_no_more_may_be_held() -> None:
    world = World(Batch(by=BY, count=2))
    world.start(Batch(by=BY, count=2), max_held=2)
    await world.dispatch(upload(1, "a"))
    await world.dispatch(upload(2, "b", day="2026-01-02"), after=1)
    assert world.batches == [(["in/2026-01-01/a"], "room")]
    assert world.held == 1


async def test_a_dag_with_room_for_one_run_has_room_for_the_events_of_it() -> None:
    world = World()
    limits: list[int] = []
    cast("Any", world.inbox).limit = limits.append
    world.dispatcher.gather_batches(world.ledger, 500)
    await world.dispatcher.waiting()
    assert limits == [500]


async def test_what_is_held_for_open_groups_is_kept_while_every_dag_is_paused() -> None:
    world = World()
    world.runs.paused.add("process")
    assert await world.dispatcher.waiting() is not None
    await world.dispatch(upload(1, "a"))
    assert await world.dispatcher.waiting() is None


async def test_a_message_with_a_bad_record_is_a_dead_letter_when_its_batch_run_is_stored() -> None:
    world = World(Batch(by=BY, count=1))
    await world.dispatch(message(record("in/1/a"), {"eventSource": "aws:s3"}))
    assert (len(world.batches), world.fates) == (1, {"m1": "dead-lettered"})


async def test_a_bad_record_stays_in_the_queue_where_there_are_no_dead_letters() -> None:
    world = World(Batch(by=BY, count=1))
    world.inbox.dead_letters_refused = "there is no dead letter queue"
    await world.dispatch(message(record("in/1/a"), {"eventSource": "aws:s3"}))
    assert (len(world.batches), world.fates) == (1, {"m1": "released"})


async def test_a_message_of_two_groups_waits_for_both() -> None:
    world = World(Batch(by=BY, count=2))
    both = message(record("in/1/a"), record("in/2/a"), number=1)
    await world.dispatch(both, message(record("in/1/b"), number=2))
    assert (len(world.batches), world.fates) == (1, {"m2": "acknowledged"})
    await world.dispatch(message(record("in/2/b"), number=3))
    assert (len(world.batches), world.fates) == (2, {"m1": "acknowledged", "m3": "acknowledged"})


async def test_another_route_gets_its_run_at_once() -> None:
    routes = Routes(
        [Route(dag_id="archive"), Route(dag_id="process", batch=Batch(by=BY, count=2))], mode="all"
    )
    world = World(routes=routes)
    await world.dispatch(upload(1, "a"))
    assert [dag_id for dag_id, _ in world.runs.confs] == ["archive"]
    assert world.held == 1
    await world.dispatch(upload(2, "b"))
    assert [dag_id for dag_id, _ in world.runs.confs] == ["archive", "archive", "process"]


async def test_an_event_stays_in_its_group_when_settings_change() -> None:
    world = World(Batch(by=BY, idle_seconds=60))
    await world.dispatch(upload(1, "a"))
    world.start(Batch(by=r"in/(?P<year>[0-9]+)-", idle_seconds=60))
    await world.dispatch(upload(1, "a"), upload(2, "b"), after=10)
    await world.dispatch(after=60)
    assert sorted(world.batches) == [(["in/2026-01-01/a"], "idle"), (["in/2026-01-01/b"], "idle")]


async def test_a_lapsed_message_is_held_no_longer_and_its_group_is_found_again() -> None:
    world = World(Batch(by=BY, idle_seconds=60))
    await world.dispatch(upload(1, "a"))
    world.inbox.lapsed.add("m1")
    await world.dispatch(after=60)
    assert (world.held, world.batches) == (0, [])
    world.inbox.lapsed.clear()
    await world.dispatch(upload(1, "a"))
    assert (len(world.batches), world.fates) == (1, {"m1": "acknowledged"})


def listed(name: str) -> ObjectEvent:
    """What a reconciliation finds of an object that ``upload`` tells of."""
    return ObjectEvent(
        event_name="s3-listing",
        event_type="ObjectCreated:Listed",
        bucket="landing",
        key=f"in/2026-01-01/{name}",
        envelope="s3-listing",
        size=3,
    )


async def test_an_event_that_has_had_its_run_by_a_reconciliation_has_no_other() -> None:
    world = World(Batch(by=BY, count=1))
    await world.ledger.judge([(listed("a"), ["process"])], origin="reconcile/x")
    started = Decision(event=listed("a"), what="started", dag_id="process", run_id="r", origin="reconcile/x")
    await world.ledger.record([started])
    await world.dispatch(upload(1, "a"))
    assert (world.batches, world.fates) == ([], {"m1": "acknowledged"})
    entries = await world.ledger.history("landing", "in/2026-01-01/a")
    assert {(entry.run_id, entry.has_run) for entry in entries} == {("r", True)}


@pytest.mark.parametrize("name", ["a", "_SUCCESS"])
async def test_an_event_that_a_reconciliation_for_another_dag_has_named_is_in_its_group(name: str) -> None:
    world = World(Batch(by=BY, marker="_SUCCESS", idle_seconds=None, after_marker_seconds=1))
    await world.ledger.judge([(listed(name), ["archive"])], origin="reconcile/x")
    await world.dispatch(upload(1, "a"), upload(2, "_SUCCESS"))
    await world.dispatch(after=10)
    assert [(sorted(keys), closed_by) for keys, closed_by in world.batches] == [
        (["in/2026-01-01/_SUCCESS", "in/2026-01-01/a"], "marker")
    ]


async def test_a_copy_by_another_name_finds_the_batch_run_of_what_was_written() -> None:
    world = World(Batch(by=BY, count=1))
    written = record("in/2026-01-01/a", "")
    written["s3"]["object"]["versionId"] = "v1"
    await world.dispatch(message(written, number=1))
    await world.dispatch(message(written, number=2))
    assert (len(world.batches), world.fates) == (1, {"m2": "acknowledged"})


async def test_events_older_than_ignore_before_are_in_no_group() -> None:
    from datetime import datetime, timezone

    world = World(ignore_before=datetime(2100, 1, 1, tzinfo=timezone.utc))
    await world.dispatch(upload(1, "a"))
    assert (world.held, world.fates) == (0, {"m1": "acknowledged"})


class Waking(FakeInbox):
    def __init__(self) -> None:
        super().__init__()
        self.wakes: list[float | None] = []

    def wake_in(self, seconds: float | None) -> None:
        self.wakes.append(seconds)


async def test_the_inbox_wakes_the_dispatcher_when_a_group_is_due_and_stays_no_longer_than_that() -> None:
    world = World()
    world.start(Batch(by=BY, idle_seconds=6))
    world.dispatcher.inbox = world.inbox = inbox = Waking()
    assert world.dispatcher.batches is not None
    world.dispatcher.batches.inbox = inbox
    await world.dispatch(upload(1, "a"))
    await world.dispatch(after=6)
    await world.dispatch(upload(2, "b"))
    wakes: Sequence[float | None] = inbox.wakes
    assert wakes == [6.0, None, 6.0]
