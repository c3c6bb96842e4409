"""Packs: cutting, the form in which events travel, and whose an event is."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import BodyError, ConfigurationError
from airflow_s3events.identity import event_id
from airflow_s3events.packs import (
    MAX_MAP_LENGTH,
    AssetPack,
    PackedEvent,
    again,
    chunks_of,
    cut,
    own_events,
    payload_of,
    read_pack,
)
from tests.strategies import events, make_event

MOMENT = datetime(2026, 11, 25, tzinfo=timezone.utc)


def stored(seconds: float, *found: ObjectEvent) -> AssetPack:
    return AssetPack(MOMENT + timedelta(seconds=seconds), {event_id(event): event for event in found})


def numbered(count: int) -> list[ObjectEvent]:
    return [make_event(key=f"in/{number}", sequencer=f"00678A5F{number:010X}") for number in range(count)]


def extra_of(*found: ObjectEvent) -> dict[str, Any]:
    payload = payload_of([PackedEvent.of(event) for event in found])
    extra: dict[str, Any] = json.loads(json.dumps({"from_trigger": True, "payload": payload}))
    return extra


@given(st.lists(events, max_size=5, unique_by=event_id))
def test_what_is_packed_comes_out_again(found: list[ObjectEvent]) -> None:
    pack = read_pack(extra_of(*found), MOMENT)
    assert pack is not None
    assert list(pack.events.values()) == found
    assert list(pack.events) == [event_id(event) for event in found]


@given(events)
def test_a_packed_event_says_how_long_it_is(event: ObjectEvent) -> None:
    packed = PackedEvent.of(event)
    assert packed.size == len(json.dumps(dict(packed.data), ensure_ascii=False).encode())


@given(st.lists(events, max_size=20), st.integers(1, 7), st.integers(1, 3_000))
def test_cutting_loses_nothing_and_keeps_order_and_limits(
    found: list[ObjectEvent], most_count: int, most_bytes: int
) -> None:
    parts = [PackedEvent.of(event) for event in found]
    packs = list(cut(parts, most_count=most_count, most_bytes=most_bytes))
    assert [part for pack in packs for part in pack] == parts
    assert all(len(pack) <= most_count for pack in packs)
    assert all(len(pack) == 1 or sum(part.size for part in pack) <= most_bytes for pack in packs)


@pytest.mark.parametrize("extra", [None, {}, {"payload": None}, {"payload": {"status": "success"}}, "text"])
def test_an_asset_event_of_somebody_else_is_no_pack(extra: Any) -> None:
    assert read_pack(extra, MOMENT) is None


@pytest.mark.parametrize("members", ["text", 1, [1], [{"bucket": "b"}], None])
def test_a_pack_of_another_form_is_an_error(members: Any) -> None:
    with pytest.raises(BodyError):
        read_pack({"payload": {"s3_events": members}}, MOMENT)


def test_an_event_without_its_id_gets_it_again() -> None:
    extra = extra_of(make_event())
    del extra["payload"]["s3_events"][0]["event_id"]
    pack = read_pack(extra, MOMENT)
    assert pack is not None
    assert list(pack.events) == [event_id(make_event())]


def test_a_run_gets_the_events_of_all_its_packs_in_the_order_in_which_they_were_stored() -> None:
    a, b, c = numbered(3)
    assert own_events([stored(2, c), stored(1, a, b)]) == [a, b, c]


def test_an_event_that_two_packs_of_a_run_hold_counts_once() -> None:
    a, b = numbered(2)
    assert own_events([stored(1, a), stored(2, a, b)]) == [a, b]


def test_an_event_belongs_to_the_earliest_pack_that_holds_it() -> None:
    a, b = numbered(2)
    first, again = stored(1, a), stored(2, a, b)
    assert own_events([first]) == [a]
    assert own_events([again], [first]) == [b]


@given(st.data())
def test_runs_that_split_packs_in_any_way_see_each_event_exactly_once(data: st.DataObject) -> None:
    found = numbered(8)
    packs = [
        stored(second, *data.draw(st.lists(st.sampled_from(found), unique_by=event_id)))
        for second in range(data.draw(st.integers(1, 6)))
    ]
    ends = sorted({*data.draw(st.lists(st.integers(0, len(packs)))), 0, len(packs)})
    runs = [own_events(packs[a:b], packs[:a]) for a, b in pairwise(ends)]
    seen = [event_id(event) for run in runs for event in run]
    assert sorted(seen) == sorted({name for pack in packs for name in pack.events})


@given(st.integers(0, 3_000), st.one_of(st.none(), st.integers(3, 200)))
def test_chunks_lose_nothing_and_are_never_more_than_airflow_maps(count: int, size: int | None) -> None:
    found = [make_event()] * count
    chunks = chunks_of(found, size)
    assert [data for chunk in chunks for data in chunk] == [event.serialize() for event in found]
    assert len(chunks) <= MAX_MAP_LENGTH
    assert all(chunks)


@pytest.mark.parametrize(("count", "size"), [(1, 0), (1_025, 1), (3_000, 2)])
def test_chunks_too_small_for_airflow_are_refused(count: int, size: int) -> None:
    with pytest.raises(ConfigurationError, match="size="):
        chunks_of([make_event()] * count, size)


def test_an_asset_event_that_is_stored_again_says_that_its_events_may_have_been_there() -> None:
    found = numbered(2)
    pack = read_pack(again(extra_of(*found)), MOMENT)
    assert pack is not None
    assert (list(pack.events.values()), pack.may_be_again) == (found, True)


def test_somebody_else_s_asset_event_is_stored_again_as_it_is() -> None:
    assert again({"somebody": "else"}) == {"somebody": "else"}
