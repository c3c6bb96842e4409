"""An object event that Airflow has stored twice, in two asset events, belongs to the run of the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_s3events.context import events_of_run
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import OutageError
from airflow_s3events.messages import ORIGIN_ATTRIBUTE, Message
from airflow_s3events.packs import PackedEvent, payload_of
from tests.strategies import make_event

_NOON = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
_TIMES = [None, _NOON - timedelta(days=9), _NOON + timedelta(seconds=30), _NOON + timedelta(hours=1)]
_NAMES = ["no time", "nine days ago", "a little ahead", "an hour ahead"]


def stored(event: ObjectEvent, at: datetime, *dags: str, message: Message | None = None) -> Any:
    """One asset event of Airflow's, with one object event, in a run of each of these DAGs."""
    payload = payload_of([PackedEvent.of(event, message)])
    runs = [run_of(dag_id, at) for dag_id in dags]
    return SimpleNamespace(extra={"payload": payload}, timestamp=at, created_dagruns=runs)


def events_of_the_run_of(own: Any, all_stored: Sequence[Any]) -> list[ObjectEvent]:
    """What a run of ``own`` gets, where Airflow has stored these."""

    def between(_: Any, after: datetime, before: datetime) -> Iterator[Any]:
        return (one for one in all_stored if after <= one.timestamp <= before)

    return events_of_run(context_of(own), between)


def run_of(dag_id: str, ends: datetime) -> Any:
    """A run that takes the asset events of its DAG up to a moment, as Airflow names it."""
    name = f"asset_triggered__{ends.isoformat()}__8fR2x"
    return SimpleNamespace(dag_id=dag_id, conf=None, run_id=name)


def context_of(own: Any, ends: datetime | None = None) -> dict[str, Any]:
    run = run_of("process", ends or own.timestamp)
    return {"triggering_asset_events": {"asset": [own]}, "dag_run": run}


@pytest.mark.parametrize("event_time", _TIMES, ids=_NAMES)
def test_the_second_run_does_not_see_it_whatever_its_time_says(event_time: datetime | None) -> None:
    event = make_event(event_time=event_time)
    first = stored(event, _NOON, "process")
    second = stored(event, _NOON + timedelta(minutes=20), "process")
    assert len(events_of_the_run_of(first, [first, second])) == 1
    assert events_of_the_run_of(second, [first, second]) == []


def test_what_airflow_has_stored_before_the_object_was_there_is_not_asked_for() -> None:
    asked = []
    own = stored(make_event(event_time=_NOON), _NOON + timedelta(seconds=2))

    def between(_: Any, after: datetime, before: datetime) -> list[Any]:
        asked.append((after, before))
        return []

    events_of_run({"triggering_asset_events": {"asset": [own]}}, between)
    assert asked == [(_NOON - timedelta(minutes=1), _NOON + timedelta(seconds=2))]


def test_an_asset_event_of_somebody_else_needs_no_look() -> None:
    def never(*_: Any) -> list[Any]:
        raise AssertionError

    own = SimpleNamespace(extra={}, timestamp=_NOON)
    assert events_of_run({"triggering_asset_events": {"asset": [own]}}, never) == []


@pytest.mark.parametrize("dags", [(), ("archive",)])
def test_what_no_run_of_the_dag_has_had_keeps_nothing_from_it(dags: tuple[str, ...]) -> None:
    event = make_event(event_time=_NOON)
    passed_by = stored(event, _NOON, *dags)
    again = stored(event, _NOON + timedelta(seconds=5), "process")
    assert events_of_the_run_of(again, [passed_by, again]) == [event]


def test_an_airflow_that_does_not_say_which_runs_there_were_has_had_one() -> None:
    event = make_event(event_time=_NOON)
    first, again = stored(event, _NOON), stored(event, _NOON + timedelta(seconds=5))
    del first.created_dagruns
    assert events_of_the_run_of(again, [first, again]) == []


def test_what_airflow_gives_to_two_runs_belongs_to_the_one_that_was_there_first() -> None:
    event = make_event(event_time=_NOON)
    own = stored(event, _NOON, "process")
    first, second = run_of("process", _NOON + timedelta(seconds=2)), run_of("process", _NOON)
    own.created_dagruns = [first, second, run_of("archive", _NOON + timedelta(seconds=9))]

    def got(run: Any) -> list[ObjectEvent]:
        return events_of_run({"triggering_asset_events": {"asset": [own]}, "dag_run": run}, lambda *_: [own])

    assert got(first) == [event]
    assert got(second) == []


def test_the_name_of_a_run_that_somebody_made_by_hand_says_nothing_of_who_was_first() -> None:
    event = make_event(event_time=_NOON)
    own = stored(event, _NOON, "process")
    by_hand = SimpleNamespace(dag_id="process", conf=None, run_id="zzz")
    own.created_dagruns = [run_of("process", _NOON), by_hand]
    assert events_of_run(context_of(own), lambda *_: [own]) == [event]


def away(*_: Any) -> list[Any]:
    raise OutageError("the API server answered 500")


def test_what_comes_again_is_looked_for_where_a_clock_may_have_dated_it_back_to() -> None:
    event = make_event(event_time=_NOON)
    again = Message(message_id="m", receipt_handle="r", body="", receive_count=2)
    first = stored(event, _NOON - timedelta(minutes=7), "process")
    second = stored(event, _NOON + timedelta(minutes=1), "process", message=again)
    assert events_of_the_run_of(first, [first, second]) == [event]
    assert events_of_the_run_of(second, [first, second]) == []


def test_what_two_runs_were_given_is_told_apart_although_airflow_says_nothing_of_earlier_runs() -> None:
    """It fails for what another DAG has in hand, which is mostly not what this run has."""
    event = make_event(event_time=_NOON - timedelta(seconds=9))
    own = stored(event, _NOON, "process")
    own.created_dagruns.append(run_of("process", _NOON + timedelta(seconds=2)))

    def between(_: Any, after: datetime, _before: datetime) -> list[Any]:
        if after < _NOON:
            raise OutageError("the API server answered 500")
        return [own]

    assert events_of_run(context_of(own), between) == []
    assert events_of_run(context_of(own, _NOON + timedelta(seconds=2)), between) == [event]


def test_what_came_for_the_first_time_is_there_although_airflow_says_nothing_of_earlier_runs() -> None:
    own = stored(make_event(), _NOON, message=Message(message_id="m", receipt_handle="r", body=""))
    assert events_of_run(context_of(own), away) == [make_event()]


@pytest.mark.parametrize("seen", [{"receive_count": 2}, {"attributes": {ORIGIN_ATTRIBUTE: "m"}}])
def test_what_may_have_been_in_an_earlier_run_waits_until_airflow_says_so(seen: dict[str, Any]) -> None:
    message = Message(message_id="m", receipt_handle="r", body="", **seen)
    own = stored(make_event(), _NOON, message=message)
    with pytest.raises(OutageError):
        events_of_run(context_of(own), away)
