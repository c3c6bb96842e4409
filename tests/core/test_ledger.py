"""``Ledger`` over a store in memory: what it says of events in bulk, and to several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.identity import event_id
from airflow_s3events.ledger import Decision, Document, Ledger, LedgerSettings, MemoryStore
from airflow_s3events.ledger.entries import RECONCILE
from airflow_s3events.ordering import ByField, Field, by_sequencer
from tests.core.test_ledger_entries import listed, notice

_DAY = 86_400.0


class Clock:
    seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger(MemoryStore(), now=clock)


def asked(*events: ObjectEvent) -> list[tuple[ObjectEvent, Sequence[str]]]:
    return [(event, ["d"]) for event in events]


def started(event: ObjectEvent, **members: Any) -> Decision:
    standard: dict[str, Any] = {"event": event, "what": "started", "dag_id": "d", "run_id": "r"}
    return Decision(**standard | members)


async def test_an_event_not_seen_before_is_named_by_itself(ledger: Ledger) -> None:
    (verdict,) = await ledger.judge(asked(notice()))
    assert (verdict.identity, verdict.newer, verdict.runs) == (event_id(notice()), "", {})


async def test_a_run_is_known_for_each_dag_after_airflow_has_forgotten_it(ledger: Ledger) -> None:
    await ledger.record([started(notice())])
    (verdict,) = await ledger.judge([(notice(), ["d", "other"])])
    assert verdict.runs == {"d": "r"}


@pytest.mark.parametrize("what", ["put_off", "not_stored", "gave_up", "unmatched", "stale"])
async def test_what_has_no_run_is_started_when_it_comes_again(ledger: Ledger, what: str) -> None:
    await ledger.record([started(notice(), what=what, run_id=None)])
    assert (await ledger.judge(asked(notice())))[0].runs == {}


async def test_asking_twice_gives_the_same_answer(ledger: Ledger) -> None:
    events = asked(notice(2), notice(1), listed(key="b"))
    first = await ledger.judge(events, place=by_sequencer)
    assert await ledger.judge(events, place=by_sequencer) == first


async def test_an_older_event_is_told_which_newer_one_stands_for_it(ledger: Ledger) -> None:
    await ledger.judge(asked(notice(2)), place=by_sequencer)
    (verdict,) = await ledger.judge(asked(notice(1)), place=by_sequencer)
    assert verdict.newer == event_id(notice(2))


async def test_in_one_batch_only_the_newest_of_a_key_is_left(ledger: Ledger) -> None:
    verdicts = await ledger.judge(asked(*(notice(n) for n in (2, 3, 1))), place=by_sequencer)
    assert [verdict.newer for verdict in verdicts] == [event_id(notice(3)), "", event_id(notice(3))]


async def test_without_an_order_nothing_is_stale(ledger: Ledger) -> None:
    verdicts = await ledger.judge(asked(notice(2), notice(1)))
    assert [verdict.newer for verdict in verdicts] == ["", ""]


async def test_two_events_at_one_place_of_a_field_are_one(ledger: Ledger) -> None:
    place = ByField(subject=Field("key", r"d(\d+)-"), position=Field("key", r"-(\d+)$"))
    events = [notice(1, key="d1-7"), notice(2, key="d1-7")]
    verdicts = await ledger.judge(asked(*events), place=place, same_place_is_same=True)
    assert [verdict.newer for verdict in verdicts] == ["", event_id(events[0])]


async def test_two_kinds_of_event_at_one_sequencer_are_two(ledger: Ledger) -> None:
    events = [notice(1), notice(1, event_type="ObjectCreated:Copy")]
    verdicts = await ledger.judge(asked(*events), place=by_sequencer)
    assert [verdict.newer for verdict in verdicts] == ["", ""]


async def test_of_many_that_ask_at_once_one_is_newest_and_one_names_the_write() -> None:
    class SlowStore(MemoryStore):
        async def read(self, names: Sequence[str]) -> dict[str, Document]:
            found = await super().read(names)
            await asyncio.sleep(0)
            return found

    ledger = Ledger(SlowStore())
    calls = [ledger.judge(asked(notice(n, version_id="v")), place=by_sequencer) for n in range(1, 9)]
    verdicts = [answer[0] for answer in await asyncio.gather(*calls)]
    assert len({verdict.identity for verdict in verdicts}) == 1
    (last,) = await ledger.judge(asked(notice(8, version_id="v")), place=by_sequencer)
    assert last.newer == ""


async def test_a_document_that_others_write_all_the_time_is_an_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Contended(MemoryStore):
        async def write(self, documents: Sequence[Document]) -> set[str]:
            return {document.name for document in documents}

    async def at_once(_: float) -> None:
        return None

    monkeypatch.setattr("airflow_s3events.ledger.ledger.asyncio.sleep", at_once)
    with pytest.raises(OutageError, match="written by others"):
        await Ledger(Contended()).judge(asked(notice()))


async def test_the_history_of_a_key_is_in_order_and_of_that_key_alone(ledger: Ledger, clock: Clock) -> None:
    for number in (2, 1):
        clock.seconds += 1
        await ledger.record([started(notice(number)), started(notice(number, key="other"))])
    history = await ledger.history("landing-zone", "in/a.csv")
    assert [entry.event_id for entry in history] == [event_id(notice(n)) for n in (2, 1)]


async def test_a_listed_object_is_missing_until_its_event_is_seen(ledger: Ledger) -> None:
    assert await ledger.writes([listed()]) == [None]
    await ledger.judge(asked(notice()))
    (write,) = await ledger.writes([listed()])
    assert write is not None
    assert not write.is_decided
    await ledger.record([started(notice())])
    (write,) = await ledger.writes([listed()])
    assert write is not None
    assert write.is_decided


async def test_what_a_reconciliation_started_a_late_notification_finds(ledger: Ledger) -> None:
    (first,) = await ledger.judge(asked(listed()), origin=RECONCILE)
    await ledger.record([started(listed(), origin=RECONCILE)])
    (late,) = await ledger.judge(asked(notice(after=5)))
    assert late.identity == first.identity == event_id(listed())


async def test_more_than_a_chunk_goes_through_at_once(ledger: Ledger) -> None:
    events = [notice(key=f"k{n}") for n in range(1201)]
    verdicts = await ledger.judge(asked(*events), place=by_sequencer)
    assert [verdict.identity for verdict in verdicts] == [event_id(event) for event in events]


async def test_progress_is_kept_by_name(ledger: Ledger) -> None:
    assert await ledger.progress("a") is None
    await ledger.note_progress("a", {"after": "k"})
    await ledger.note_progress("a", {"after": "l"})
    assert await ledger.progress("a") == {"after": "l"}
    assert await ledger.progress("b") is None


async def test_a_purge_takes_entries_and_marks_and_leaves_writes(ledger: Ledger, clock: Clock) -> None:
    await ledger.judge(asked(notice()), place=by_sequencer)
    await ledger.record([started(notice())])
    clock.seconds += 89 * _DAY
    assert await ledger.purge() == 0
    clock.seconds += 2 * _DAY
    assert await ledger.purge() == 2
    assert await ledger.history("landing-zone", "in/a.csv") == []
    assert await ledger.writes([listed()]) != [None]


@pytest.mark.parametrize("name", ["retention_days", "write_retention_days", "tolerance_seconds"])
@pytest.mark.parametrize("value", [-1, True, "90", float("nan")])
def test_a_setting_out_of_bounds_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        replace(LedgerSettings(), **{name: value})
