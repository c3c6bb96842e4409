"""Order: what is known of it, and that the unknown is never taken for the older."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.identity import KNOWN_SEQUENCERS
from airflow_s3events.ordering import ByField, Field, Order, Place, by_sequencer, collapse, compare, in_order
from tests.strategies import make_event

_TYPES = ("ObjectCreated:Put", "ObjectRemoved:Delete", "ObjectRestore:Completed")


@st.composite
def _few_events(draw: st.DrawFn) -> ObjectEvent:
    """Events of few keys and few sequencers, so that they meet."""
    kind = draw(st.sampled_from(_TYPES))
    sequencer = draw(st.none() | st.integers(1, 6).map(lambda number: f"0068E1A2B3C4D5E6{number:02X}"))
    return make_event(
        key=draw(st.sampled_from("abc")),
        event_type=kind,
        event_name=kind,
        sequencer=sequencer,
        request_id=draw(st.sampled_from(["r1", "r2"])),
    )


_batches = st.lists(_few_events(), max_size=12)


def _positions(events: Any) -> dict[str, list[str]]:
    lanes: dict[str, list[str]] = {}
    for event in events:
        place = by_sequencer(event)
        if place is not None:
            lanes.setdefault(place.lane, []).append(place.position)
    return lanes


_places = st.builds(Place, st.sampled_from(["a", "b"]), st.sampled_from(["0A", "0B", "0C"]))


class TestCompare:
    @given(st.none() | _places, st.none() | _places)
    def test_from_the_other_side_it_is_turned_round(self, one: Place | None, other: Place | None) -> None:
        turned = {Order.EARLIER: Order.LATER, Order.LATER: Order.EARLIER}
        order = compare(one, other)
        assert compare(other, one) is turned.get(order, order)

    @given(_places, _places, _places)
    def test_later_than_the_later_is_later(self, one: Place, two: Place, three: Place) -> None:
        if compare(two, one) is compare(three, two) is Order.LATER:
            assert compare(three, one) is Order.LATER

    @given(_places)
    def test_a_place_is_the_same_as_itself(self, place: Place) -> None:
        assert compare(place, place) is Order.SAME

    def test_without_a_place_and_in_another_lane_it_is_unknown(self) -> None:
        assert compare(None, Place("a", "0")) is Order.UNKNOWN
        assert compare(Place("a", "0"), Place("b", "1")) is Order.UNKNOWN


class TestBySequencer:
    def test_the_greater_sequencer_of_a_key_is_later_whatever_its_case(self) -> None:
        older, newer = make_event(sequencer="0068e1a2b3c4d5e6af"), make_event(sequencer="0068E1A2B3C4D5E6B0")
        assert compare(by_sequencer(newer), by_sequencer(older)) is Order.LATER

    def test_another_key_or_bucket_is_never_compared(self) -> None:
        places = {by_sequencer(make_event(**{name: "other"})) for name in ("key", "bucket")}
        assert all(compare(by_sequencer(make_event()), place) is Order.UNKNOWN for place in places)

    def test_another_length_is_unknown(self) -> None:
        longer = by_sequencer(make_event(sequencer="0068E1A2B3C4D5E6F70"))
        assert compare(by_sequencer(make_event()), longer) is Order.UNKNOWN

    @pytest.mark.parametrize(
        "members",
        [
            {"sequencer": None},
            {"sequencer": next(iter(KNOWN_SEQUENCERS))},
            {"envelope": "s3-compatible-raw"},
            {"event_type": "ObjectTagging:Put"},
            {"event_type": "LifecycleExpiration:Delete"},
            {"event_type": "LifecycleExpiration:DeleteMarkerCreated"},
            {"event_type": "ObjectRemoved:Delete", "version_id": "3HL4kqtJlcpXroDTDmJ"},
        ],
        ids=str,
    )
    def test_has_no_place(self, members: dict[str, Any]) -> None:
        assert by_sequencer(make_event(**members)) is None

    @pytest.mark.parametrize("event_type", ["ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated"])
    def test_a_delete_of_the_key_has_a_place_among_its_creates(self, event_type: str) -> None:
        delete = make_event(event_type=event_type, sequencer="0068E1A2B3C4D5E6F8")
        assert compare(by_sequencer(delete), by_sequencer(make_event())) is Order.LATER

    def test_a_delete_marker_has_a_version_and_speaks_of_the_key_all_the_same(self) -> None:
        assert by_sequencer(make_event(event_type="ObjectRemoved:DeleteMarkerCreated", version_id="v"))


class TestCollapse:
    @given(_batches)
    def test_every_event_is_kept_or_stale(self, events: list[ObjectEvent]) -> None:
        done = collapse(events)
        parts = [*done.kept, *(old for old, _ in done.stale)]
        assert sorted(map(id, parts)) == sorted(map(id, events))

    @given(_batches)
    def test_what_is_kept_of_a_lane_is_its_newest(self, events: list[ObjectEvent]) -> None:
        kept = _positions(collapse(events).kept)
        assert {lane: set(seen) for lane, seen in kept.items()} == {
            lane: {max(seen)} for lane, seen in _positions(events).items()
        }

    @given(_batches)
    def test_each_stale_event_has_a_newer_one_that_is_kept(self, events: list[ObjectEvent]) -> None:
        done = collapse(events)
        for old, newer in done.stale:
            assert compare(by_sequencer(newer), by_sequencer(old)) is Order.LATER
            assert any(newer is kept for kept in done.kept)

    @given(_batches, st.randoms())
    def test_the_order_of_arrival_means_nothing(self, events: list[ObjectEvent], random: Any) -> None:
        shuffled = random.sample(events, len(events))
        assert set(map(id, collapse(shuffled).kept)) == set(map(id, collapse(events).kept))

    @given(_batches)
    def test_twice_is_as_once(self, events: list[ObjectEvent]) -> None:
        kept = collapse(events).kept
        assert collapse(kept).kept == kept

    @given(_batches, _batches)
    def test_in_two_steps_is_as_in_one(self, some: list[ObjectEvent], more: list[ObjectEvent]) -> None:
        assert collapse([*collapse(some).kept, *collapse(more).kept]).kept == collapse([*some, *more]).kept

    def test_a_create_that_a_delete_follows_is_gone(self) -> None:
        create = make_event()
        delete = make_event(event_type="ObjectRemoved:Delete", sequencer="0068E1A2B3C4D5E6F8")
        assert collapse([create, delete]).kept == (delete,)


class TestInOrder:
    @given(_batches)
    def test_nothing_is_lost_or_added(self, events: list[ObjectEvent]) -> None:
        assert sorted(map(id, in_order(events, by_sequencer))) == sorted(map(id, events))

    @given(_batches)
    def test_each_lane_is_sorted(self, events: list[ObjectEvent]) -> None:
        for seen in _positions(in_order(events, by_sequencer)).values():
            assert seen == sorted(seen)

    @given(_batches)
    def test_other_lanes_and_what_has_no_place_keep_their_seats(self, events: list[ObjectEvent]) -> None:
        def lane(event: ObjectEvent) -> Any:
            place = by_sequencer(event)
            return id(event) if place is None else place.lane

        assert [lane(event) for event in in_order(events, by_sequencer)] == [lane(event) for event in events]


DEVICE = Field("key", r"devices/([^/]+)/")
BY_NUMBER = ByField(subject=DEVICE, position=Field("key", r"/(\d+)\.json$"))


class TestByField:
    def test_a_number_in_the_key_orders_what_one_device_sends(self) -> None:
        places = [BY_NUMBER(make_event(key=f"devices/d1/{number}.json")) for number in ("9", "0010")]
        assert compare(places[1], places[0]) is Order.LATER

    @given(st.integers(0, 10**31), st.integers(0, 10**31))
    def test_numbers_compare_as_numbers(self, one: int, other: int) -> None:
        places = [BY_NUMBER(make_event(key=f"devices/d1/{number}.json")) for number in (one, other)]
        assert (compare(*places) is Order.LATER) is (one > other)

    @given(st.datetimes(datetime(1970, 1, 1)), st.datetimes(datetime(1970, 1, 1)))
    def test_times_compare_as_times(self, one: datetime, other: datetime) -> None:
        by_time = ByField(subject=DEVICE, position=Field("extra.sent"), kind="time")
        times = [one.replace(tzinfo=timezone.utc).isoformat(), other.isoformat()]
        places = [by_time(make_event(key="devices/d1/x", extra={"sent": time})) for time in times]
        assert (compare(*places) is Order.LATER) is (one > other)

    @given(st.text(), st.text())
    def test_texts_compare_by_code_point_in_every_collation(self, one: str, other: str) -> None:
        by_text = ByField(subject=DEVICE, position=Field("extra.at"), kind="text")
        places = [by_text(make_event(key="devices/d/x", extra={"at": at})) for at in (one, other)]
        assert (compare(*places) is Order.LATER) is (one > other)

    def test_another_device_is_never_compared(self) -> None:
        places = [BY_NUMBER(make_event(key=f"devices/{device}/1.json")) for device in ("d1", "d2")]
        assert compare(*places) is Order.UNKNOWN

    def test_a_time_with_a_z_is_utc(self) -> None:
        by_time = ByField(subject=Field("bucket"), position=Field("extra.sent"), kind="time")
        places = [
            by_time(make_event(extra={"sent": f"2026-01-01T00:00:00{zone}"})) for zone in ("Z", "+00:00")
        ]
        assert compare(*places) is Order.SAME

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("number", None),
            ("number", "-1"),
            ("number", "٣"),
            ("number", "9" * 33),
            ("number", {"a": "1"}),
            ("time", "yesterday"),
            ("time", "1969-12-31T23:59:59Z"),
        ],
        ids=str,
    )
    def test_what_is_no_position_has_no_place(self, kind: Any, value: Any) -> None:
        order = ByField(subject=Field("bucket"), position=Field("extra.at"), kind=kind)
        assert order(make_event(extra={"at": value})) is None

    def test_a_key_without_the_subject_has_no_place(self) -> None:
        assert BY_NUMBER(make_event(key="elsewhere/1.json")) is None

    def test_a_path_through_something_that_is_no_object_finds_nothing(self) -> None:
        assert Field("key.inner").of(make_event()) is None

    def test_a_pattern_without_a_group_is_taken_whole(self) -> None:
        assert Field("key", r"\d+").of(make_event(key="a12b")) == "12"

    @pytest.mark.parametrize(
        ("make", "named"),
        [
            (lambda: Field("key", "("), "pattern"),
            (lambda: Field(""), "path"),
            (lambda: ByField(subject=DEVICE, position=DEVICE, kind="size"), "kind"),  # type: ignore[arg-type]
        ],
    )
    def test_a_setting_that_cannot_work_is_named(self, make: Any, named: str) -> None:
        with pytest.raises(ConfigurationError, match=named):
            make()
