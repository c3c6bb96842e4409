"""Audit of what ends later, or in a trigger: held messages, batch runs, events of assets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airflow_s3events import filters as f
from airflow_s3events.audit import AuditTrail
from airflow_s3events.audit_records import AuditRecord
from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.dispatch.starting import name_of
from airflow_s3events.envelopes import parse_body
from airflow_s3events.holding import Ended, Holder, Waiting
from airflow_s3events.ledger import Ledger, MemoryStore
from airflow_s3events.ledger.entries import Decision
from airflow_s3events.metrics import Meter
from airflow_s3events.routing import Batch, Routes
from airflow_s3events.settlement import Disposition, RunState
from tests.core.batch_fakes import BY
from tests.core.batch_fakes import World as Batches
from tests.core.dispatch_fakes import FakeInbox, FakeRuns
from tests.core.filter_strategies import make_event
from tests.core.haul_fakes import Process, play, queue_of, rejected, running, with_dead_letters
from tests.core.test_dispatch import NOW, message, record
from tests.core.test_explanations import explained
from tests.core.test_explanations import text as explanation_text


class Kept:
    """A trail whose records are kept."""

    def __init__(self, store: Any = True) -> None:
        self.records: list[AuditRecord] = []
        self.trail = AuditTrail(
            store, Meter("landing"), DecisionLog(), queue="landing", dispatcher="d/t", now=lambda: 5.0
        )
        self.trail.note = self.records.append  # type: ignore[method-assign,assignment]

    def told(self) -> list[tuple[str, str, str, str | None]]:
        keys = ["" if one.event is None else one.event.key for one in self.records]
        return [
            (key, one.outcome, one.disposition, one.run_id)
            for key, one in zip(keys, self.records, strict=True)
        ]


def _held(state: RunState, receives: int = 1) -> tuple[Kept, Holder, str]:
    kept, runs, inbox = Kept(), FakeRuns("process"), FakeInbox()
    holder = Holder(inbox=inbox, runs=runs, max_receive_count=9)
    holder.audit = kept.trail.note_ended
    name = "s3_of_the_test"
    if state is not RunState.NONE:
        runs.stored["process", name] = state
    sent = message(record(), receive_count=receives)
    holder.hold(Waiting(sent, (("process", name),)))
    return kept, holder, name


@pytest.mark.parametrize(
    ("state", "receives", "outcome", "disposition"),
    [
        (RunState.SUCCESS, 1, "succeeded", "acknowledge"),
        (RunState.FAILED, 1, "failed", "release"),
        (RunState.FAILED, 9, "gave_up", "dead_letter"),
        (RunState.NONE, 1, "vanished", "release"),
    ],
)
async def test_the_end_of_a_run_that_is_waited_for_is_a_record(
    state: RunState, receives: int, outcome: str, disposition: str
) -> None:
    kept, holder, name = _held(state, receives)
    await holder.look()
    ((_, what, fate, run_id),) = kept.told()
    assert (what, fate, run_id) == (outcome, disposition, name)
    (one,) = kept.records
    assert one.event is not None
    assert (one.dag_id, one.message_id, one.receives) == ("process", "m1", receives)
    assert holder.counts == {outcome: 1}


async def test_a_message_that_is_held_no_longer_is_a_record() -> None:
    kept, holder, _ = _held(RunState.RUNNING)
    holder.inbox.lapsed.add("m1")  # type: ignore[attr-defined]
    await holder.look()
    assert [one[1:3] for one in kept.told()] == [("lapsed", "lapse")]


def test_of_a_message_of_several_events_each_run_is_told_with_its_own() -> None:
    kept, sent = Kept(), message(record(key="a"), record(key="b"))
    (route,) = Routes.of("process")
    first, second = parse_body(sent.body, message_id=sent.delivery_id).events
    runs = [("process", name_of(route, second, 1)), ("process", name_of(route, first, 0)), ("process", "x")]
    kept.trail.note_ended(Waiting(sent, tuple(runs)), Ended("succeeded", Disposition.ACKNOWLEDGE))
    assert [one[0] for one in kept.told()] == ["b", "a", ""]


def test_what_cannot_be_read_is_told_without_an_event() -> None:
    kept = Kept()
    sent = message(body="no event")
    kept.trail.note_ended(Waiting(sent, (), "bad"), Ended("gave_up", Disposition.DEAD_LETTER, "bad"))
    kept.trail.note_message(sent, Ended("malformed", Disposition.DEAD_LETTER, "bad"))
    assert kept.told() == [("", "gave_up", "dead_letter", None), ("", "malformed", "dead_letter", None)]


async def test_each_event_of_a_batch_is_told_with_the_run_when_it_is_stored() -> None:
    kept, world = Kept(), Batches(Batch(by=BY, count=2))
    assert world.dispatcher.batches is not None
    world.dispatcher.batches.audit = kept.trail.note_batch
    await world.dispatch(*(message(record(key=f"in/2026-11-26/{n}"), number=n) for n in (1, 2)))
    (name,) = [run_id for _, run_id in world.runs.stored]
    assert kept.told() == [(f"in/2026-11-26/{n}", "batched", "acknowledge", name) for n in (1, 2)], (
        "and not before"
    )
    assert kept.records[0].serialize()["message_id"] is None


def test_what_an_asset_has_stored_is_told_with_who_wanted_it() -> None:
    kept = Kept()

    async def scenario() -> None:
        process = Process(queue_of("a", "b"), one=f.everything)
        await _run(process, kept)

    play(scenario)
    assert sorted(kept.told()) == [(key, "packed", "acknowledge", None) for key in "ab"]
    assert {one.reason for one in kept.records} == {"stored for: one"}


def test_what_an_asset_rejects_or_nobody_wants_is_told() -> None:
    kept = Kept()

    async def scenario() -> None:
        queue, _ = with_dead_letters("a", "z")
        await _run(Process(queue, one=f.prefix("a"), resolve=rejected), kept)

    play(scenario)
    told = {one[:3] for one in kept.told()}
    assert {("a", "rejected", "dead_letter"), ("z", "unmatched", "release")} <= told


async def _run(process: Process, kept: Kept) -> None:
    with running(process):
        while not hasattr(process, "stream"):  # noqa: ASYNC110 - it is made in the task
            await asyncio.sleep(0)
        process.stream.audit = kept.trail.note_message
        await asyncio.sleep(30)


def test_without_a_store_nothing_is_taken_down() -> None:
    kept = Kept(None)
    sent = message(record())
    kept.trail.note_ended(Waiting(sent, ()), Ended("succeeded", Disposition.ACKNOWLEDGE))
    kept.trail.note_batch("process", "s3_batch", [make_event().serialize()])
    kept.trail.note_message(sent, Ended("packed", Disposition.ACKNOWLEDGE))
    assert kept.records == []


# --- who ----------------------------------------------------------------------------------------------------


async def test_the_ledger_says_who_made_the_event() -> None:
    ledger = Ledger(MemoryStore(), now=lambda: NOW)
    event = make_event(principal_id="AWS:AROAEXAMPLE:loader")
    await ledger.record([Decision(event=event, what="started", dag_id="process", run_id="r")])
    (entry,) = await ledger.history(event.bucket, event.key)
    assert entry.event["principal_id"] == "AWS:AROAEXAMPLE:loader"

    assert "by AWS:AROAEXAMPLE:loader" in explanation_text(explained(entry))
