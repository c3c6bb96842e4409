from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given

from airflow_s3events.events import ObjectEvent, utc_text
from airflow_s3events.exceptions import BodyError
from tests.strategies import events, make_event


@given(events)
def test_an_event_comes_back_from_its_json_form(event: ObjectEvent) -> None:
    assert ObjectEvent.deserialize(json.loads(json.dumps(event.serialize()))) == event


@given(events)
def test_the_json_form_is_canonical(event: ObjectEvent) -> None:
    data = event.serialize()
    again = ObjectEvent.deserialize(data).serialize()
    assert json.dumps(again) == json.dumps(data)
    assert list(data) == list(make_event().serialize())


def test_the_json_form_names_its_schema_first() -> None:
    assert next(iter(make_event().serialize().items())) == ("schema", 1)


def test_unknown_members_are_kept_under_extra_and_never_take_the_place_of_one() -> None:
    event = make_event(extra={"today": 1})
    data = event.serialize() | {"tomorrow": 2, "today": 3, "event_id": "e", "acknowledge": "run_succeeded"}
    assert ObjectEvent.deserialize(data) == make_event(extra={"today": 1, "tomorrow": 2})


@pytest.mark.parametrize("schema", [1, "1", 1.4, "1.4"])
def test_a_later_minor_schema_is_read(schema: Any) -> None:
    assert ObjectEvent.deserialize(make_event().serialize() | {"schema": schema}) == make_event()


def test_absent_members_are_none() -> None:
    names = ("event_name", "event_type", "bucket", "key", "envelope")
    data = {name: make_event().serialize()[name] for name in names}
    event = ObjectEvent.deserialize(data)
    assert event.serialize() == dict.fromkeys(event.serialize()) | data | {"schema": 1, "extra": {}}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"schema": 2}, "schema"),
        ({"schema": None}, "schema"),
        ({"key": None}, "key"),
        ({"bucket": 7}, "bucket"),
        ({"sequencer": 7}, "sequencer"),
        ({"size": "7"}, "size"),
        ({"size": -1}, "size"),
        ({"size": True}, "size"),
        ({"extra": []}, "extra"),
        ({"event_time": "yesterday"}, "event_time"),
        ({"event_time": 1759659630}, "event_time"),
        ({"event_time": "0001-01-01T00:00:00+14:00"}, "event_time"),
    ],
)
def test_a_wrong_member_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(BodyError, match=named):
        ObjectEvent.deserialize(make_event().serialize() | change)


@pytest.mark.parametrize("data", [None, "text", [], 1])
def test_what_is_no_json_object_is_refused(data: Any) -> None:
    with pytest.raises(BodyError, match="JSON object"):
        ObjectEvent.deserialize(data)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-10-05T10:20:30", datetime(2026, 10, 5, 10, 20, 30, tzinfo=timezone.utc)),
        ("2026-10-05T12:20:30+02:00", datetime(2026, 10, 5, 10, 20, 30, tzinfo=timezone.utc)),
    ],
)
def test_a_time_is_read_as_utc(text: str, moment: datetime) -> None:
    event = ObjectEvent.deserialize(make_event().serialize() | {"event_time": text})
    assert event.event_time == moment
    assert event.event_time.tzinfo is timezone.utc


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 10, 5, 10, 20, 30, tzinfo=timezone.utc), "2026-10-05T10:20:30.000Z"),
        (datetime(2026, 10, 5, 10, 20, 30, 456789, tzinfo=timezone.utc), "2026-10-05T10:20:30.456789Z"),
        (datetime(2026, 10, 5, 12, 20, 30, tzinfo=timezone(timedelta(hours=2))), "2026-10-05T10:20:30.000Z"),
    ],
)
def test_a_time_is_written_in_utc(moment: datetime, text: str) -> None:
    assert utc_text(moment) == text


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        make_event(event_time=datetime(2026, 10, 5)).serialize()


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        make_event().key = "other"  # type: ignore[misc]


def test_events_can_be_kept_in_a_set() -> None:
    assert len({make_event(extra={"reason": ["x"]}), make_event(extra={"reason": ["x"]})}) == 1


def test_a_uri_holds_the_key_as_it_is() -> None:
    assert make_event(key="a b/ü%2F").uri == "s3://landing-zone/a b/ü%2F"


@pytest.mark.parametrize(
    ("event_type", "true"),
    [
        ("ObjectCreated:Put", {"is_created"}),
        ("ObjectCreated:Other", {"is_created"}),
        ("ObjectRemoved:Delete", {"is_removed"}),
        ("ObjectRemoved:DeleteMarkerCreated", {"is_removed", "is_delete_marker"}),
        ("LifecycleExpiration:Delete", {"is_removed", "is_expired"}),
        ("LifecycleExpiration:DeleteMarkerCreated", {"is_removed", "is_expired", "is_delete_marker"}),
        ("ObjectRestore:Completed", {"is_restored"}),
        ("ObjectTagging:Put", set()),
    ],
)
def test_predicates_speak_of_the_event_type(event_type: str, true: set[str]) -> None:
    event = make_event(event_type=event_type)
    names = ("is_created", "is_removed", "is_expired", "is_delete_marker", "is_restored", "is_folder_marker")
    assert {name for name in names if getattr(event, name)} == true


def test_a_folder_marker_ends_in_a_slash() -> None:
    assert make_event(key="in/").is_folder_marker
