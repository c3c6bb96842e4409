"""An object event that Airflow has stored twice, in two asset events, belongs to the run of the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_s3events.context import events_of_run
from airflow_s3events.events import ObjectEvent
from airflow_s3events.packs import PackedEvent, payload_of
from tests.strategies import make_event

_NOON = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
_TIMES = [None, _NOON - timedelta(days=9), _NOON + timedelta(seconds=30), _NOON + timedelta(hours=1)]
_NAMES = ["no time", "nine days ago", "a little ahead", "an hour ahead"]


def stored(event: ObjectEvent, at: datetime) -> Any:
    """One asset event of Airflow's, with one object event."""
    return SimpleNamespace(extra={"payload": payload_of([PackedEvent.of(event)])}, timestamp=at)


def events_of_the_run_of(own: Any, all_stored: Sequence[Any]) -> list[ObjectEvent]:
    """What a run of ``own`` gets, where Airflow has stored these."""

    def between(_: Any, after: datetime, before: datetime) -> Iterator[Any]:
        return (one for one in all_stored if after <= one.timestamp <= before)

    return events_of_run({"triggering_asset_events": {"asset": [own]}}, between)


@pytest.mark.parametrize("event_time", _TIMES, ids=_NAMES)
def test_the_second_run_does_not_see_it_whatever_its_time_says(event_time: datetime | None) -> None:
    event = make_event(event_time=event_time)
    first, second = stored(event, _NOON), stored(event, _NOON + timedelta(minutes=20))
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
