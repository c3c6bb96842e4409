"""Which events are in one batch, and when it is closed: the steps of one document."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_s3events.ledger.groups import (
    CLOSED_BY,
    ClosedBatch,
    Group,
    Joining,
    Member,
    View,
    done_of,
    dropped,
    finished,
    group_of,
    joined,
    kept,
    listed,
    looked,
    part_name,
)
from airflow_s3events.routing import Batch
from airflow_s3events.testing import object_event

BY = r"orders/(?P<day>[0-9-]+)/(?P<shop>[a-z]+)?"
EVERY_REASON = {
    "count": Batch(by=BY, count=3),
    "object_bytes": Batch(by=BY, object_bytes=30),
}


def joining(name: str, **members: Any) -> Joining:
    standard: dict[str, Any] = {
        "event_id": name,
        "batch_id": f"batch {name}",
        "object_bytes": 10,
        "conf_bytes": 1_000,
        "part": "",
        "is_marker": False,
        "is_alone": False,
        "is_manifest": False,
        "done": 0,
    }
    return Joining(**standard | members)


def body_of(*names: str, batch: Batch | None = None, at: float = 0.0, **members: Any) -> Any:
    """The document of a group to which these events have come, one a second."""
    body = None
    for second, name in enumerate(names):
        body, member = joined(body, joining(name, **members), batch or Batch(by=BY), at + second)
        assert member is not None
    return body


def view_of(body: Any, now: float, batch: Batch | None = None, **settings: Any) -> tuple[Any, View]:
    body, view = looked(body, batch or Batch(by=BY), now, **{"since": 0.0, **settings})
    assert view is not None
    return body, view


def closed_by(body: Any, now: float, batch: Batch, **settings: Any) -> str | None:
    _, view = view_of(body, now, batch, **settings)
    return view.closed[0].closed_by if view.closed else None


class TestJoining:
    def test_the_first_event_opens_a_batch_that_is_named_by_it_and_the_next_joins_it(self) -> None:
        body, first = joined(None, joining("a"), Batch(by=BY), 0.0)
        assert first == Member("batch a", True)
        _, second = joined(body, joining("b"), Batch(by=BY), 1.0)
        assert second == Member("batch a", True)

    def test_an_event_that_comes_again_is_where_it_was_and_nobody_was_less_idle(self) -> None:
        body = body_of("a", "b")
        assert joined(body, joining("a"), Batch(by=BY), 50.0) == (body, Member("batch a", False))

    def test_an_event_of_a_closed_batch_comes_again_to_that_batch(self) -> None:
        body = body_of("a", "b", "c", batch=Batch(by=BY, count=2))
        again, member = joined(body, joining("a"), Batch(by=BY, count=2), 9.0)
        assert (again, member) == (body, Member("batch a", False))

    def test_an_event_whose_entry_was_read_before_the_group_moved_on_must_be_read_again(self) -> None:
        body = body_of("a", batch=Batch(by=BY, count=1))
        body = finished(body, body["closed"][0]["run_id"])
        assert joined(body, joining("a", done=0), Batch(by=BY), 9.0) == (body, None)
        assert joined(body, joining("b", done=1), Batch(by=BY), 9.0)[1] == Member("batch b", True)

    @pytest.mark.parametrize(("reason", "batch"), EVERY_REASON.items())
    def test_a_full_batch_is_closed_at_once_and_the_next_event_opens_another(
        self, reason: str, batch: Batch
    ) -> None:
        body = body_of("a", "b", "c", batch=batch)
        _, view = view_of(body, 2.0, batch)
        (run_id,) = [one.run_id for one in view.closed]
        assert view == View(
            (ClosedBatch("batch a", run_id, 1, ("a", "b", "c"), 0.0, 2.0, reason, 30, None, 0, "", None),)
        )
        body, member = joined(body, joining("d"), batch, 3.0)
        assert member == Member("batch d", True)
        _, view = view_of(body, 3.0, batch)
        assert (view.open_batch_id, view.opened_at, view.closes_at) == ("batch d", 3.0, 63.0)

    def test_what_the_conf_has_no_room_for_begins_the_next_batch(self) -> None:
        batch = Batch(by=BY, conf_bytes=2_500)
        body = body_of("a", "b", "c", batch=batch)
        _, view = view_of(body, 2.0, batch)
        assert [(one.members, one.closed_by) for one in view.closed] == [(("a", "b"), "conf_bytes")]
        assert view.open_batch_id == "batch c"

    def test_an_event_larger_than_a_conf_may_be_is_a_batch_all_the_same(self) -> None:
        body = body_of("a", batch=Batch(by=BY, conf_bytes=1_024), conf_bytes=5_000)
        assert body["open"]["members"] == ["a"]

    def test_an_event_of_no_group_is_a_batch_at_once(self) -> None:
        assert closed_by(body_of("a", is_alone=True), 0.0, Batch(by=BY)) == "alone"

    def test_a_batch_says_what_it_follows(self) -> None:
        body = body_of("a", "b", batch=Batch(by=BY, count=1))
        _, view = view_of(body, 1.0)
        assert [(one.number, one.follows) for one in view.closed] == [
            (1, None),
            (2, {"run_id": view.closed[0].run_id, "closed_by": "count"}),
        ]


class TestClosing:
    def test_of_nothing_there_is_nothing_to_see(self) -> None:
        assert looked(None, Batch(by=BY), 0.0, since=0.0) == (None, None)

    def test_it_is_closed_when_no_new_event_came_for_idle_seconds(self) -> None:
        batch = Batch(by=BY, idle_seconds=60)
        body = body_of("a", "b")
        assert closed_by(body, 60.9, batch) is None
        assert closed_by(body, 61.0, batch) == "idle"

    def test_nobody_was_idle_before_somebody_received(self) -> None:
        batch = Batch(by=BY, idle_seconds=60)
        assert closed_by(body_of("a"), 5_000.0, Batch(by=BY, idle_seconds=60, open_seconds=9_000)) == "idle"
        assert closed_by(body_of("a"), 1_000.0, batch, since=990.0) is None

    def test_it_is_closed_after_open_seconds_in_any_case(self) -> None:
        batch = Batch(by=BY, idle_seconds=None, open_seconds=100)
        assert closed_by(body_of("a", "b"), 99.0, batch, since=99.0) is None
        assert closed_by(body_of("a", "b"), 100.0, batch, since=99.0) == "age"

    def test_a_marker_closes_it_when_nothing_new_has_come_for_a_while_since(self) -> None:
        batch = Batch(by=BY, idle_seconds=None, marker="_SUCCESS", after_marker_seconds=30)
        body = body_of("a")
        body, _ = joined(body, joining("marker", is_marker=True), batch, 10.0)
        body, _ = joined(body, joining("b"), batch, 20.0)
        assert closed_by(body, 49.0, batch) is None
        assert closed_by(body, 50.0, batch) == "marker"

    def test_it_is_closed_where_room_is_needed(self) -> None:
        assert closed_by(body_of("a"), 1.0, Batch(by=BY), needs_room=True) == "room"
        assert closed_by(body_of("a"), 60.0, Batch(by=BY), needs_room=True) == "idle"

    def test_every_reason_has_its_words(self) -> None:
        words = {*EVERY_REASON, "conf_bytes", "idle", "marker", "manifest", "age", "room", "alone"}
        assert set(CLOSED_BY) == words

    def test_it_is_taken_out_once(self) -> None:
        body = body_of("a", "b", batch=Batch(by=BY, count=1))
        first, second = view_of(body, 1.0)[1].closed
        after = finished(body, first.run_id)
        assert (done_of(None), done_of(body), done_of(after)) == (0, 0, 1)
        assert finished(after, first.run_id) == after
        assert finished(None, first.run_id) is None
        assert view_of(after, 1.0)[1].closed == (second,)


def long_joining(number: int, **members: Any) -> Joining:
    """An event whose names are as long as they may be."""
    text = f"{number:040x}"
    names = {"event_id": text, "batch_id": f"s3_{'x' * 100}_{text}", "part": text[-16:]}
    return joining("", **names, object_bytes=5 * 2**40, **members)


@cache
def crowded(count: int) -> Any:
    """The document of a group that has no room for one event more, in batches of so many."""
    body, batch, has_room = None, Batch(by=BY, count=count, conf_bytes=8_388_608), True
    for number in range(10_000):
        if has_room:
            body, member = joined(body, long_joining(number), batch, 1_800_000_000.123456)
            has_room = member is not None and bool(member.batch_id)
    assert not has_room
    return body


class TestRoom:
    @pytest.mark.parametrize("count", [1, 10, 2_000])
    def test_what_there_is_no_room_for_is_taken_when_a_batch_has_its_run(self, count: int) -> None:
        batch = Batch(by=BY, count=count, conf_bytes=8_388_608)
        assert joined(crowded(count), long_joining(9_999), batch, 1.0) == (crowded(count), Member("", False))
        assert joined(crowded(count), long_joining(0), batch, 1.0)[1] == Member(
            long_joining(0).batch_id, False
        )
        less = finished(crowded(count), crowded(count)["closed"][0]["run_id"])
        assert joined(less, long_joining(9_999, done=1), batch, 1.0)[1] is not None

    @pytest.mark.parametrize(("count", "events"), [(1, 350), (10, 2_400), (2_000, 5_500)])
    def test_there_is_room_for_thousands_of_events_and_hundreds_of_batches(
        self, count: int, events: int
    ) -> None:
        body = crowded(count)
        batches = [*body["closed"], *([body["open"]] if body["open"] else [])]
        assert sum(len(one["members"]) for one in batches) > events

    @settings(deadline=None)
    @given(
        start=st.sampled_from([0, 1, 10, 2_000]),
        count=st.integers(1, 2_000),
        steps=st.lists(
            st.one_of(
                st.tuples(st.just("join"), st.integers(1, 80)),
                st.tuples(st.just("close"), st.just(0)),
                st.tuples(st.just("manifest"), st.integers(0, 8_000)),
                st.tuples(st.just("fault"), st.integers(0, 30_000)),
            ),
            max_size=12,
        ),
    )
    def test_a_document_is_smaller_than_a_store_takes_whatever_comes(
        self, start: int, count: int, steps: list[tuple[str, int]]
    ) -> None:
        body = crowded(start) if start else None
        batch, number, now = Batch(by=BY, count=count), 10_000, 1_800_000_000.123456
        for step, size in steps:
            for _ in range(size if step == "join" else 0):
                number += 1
                body, _ = joined(body, long_joining(number, is_manifest=True), batch, now)
            if step == "close":
                body, _ = looked(body, batch, now, since=0.0, needs_room=True)
            elif body and body["open"]:
                parts = [f"{part:016x}" for part in range(size)] if step == "manifest" else None
                name = body["open"]["batch_id"]
                body = listed(body, name, parts, "\U0001f4a5" * size, most=batch.count)
            assert len(json.dumps(body)) < 400_000


class TestManifests:
    batch = Batch(by=BY, idle_seconds=None, manifest="manifest.json")

    def body(self, *parts: str) -> Any:
        body = None
        for part in parts:
            body, _ = joined(body, joining(part, part=part, is_manifest=part == "m"), self.batch, 0.0)
        return body

    def test_one_that_opens_a_batch_or_joins_it_has_to_be_read(self) -> None:
        manifest = joining("m", part="m", is_manifest=True)
        assert joined(None, manifest, self.batch, 0.0)[1] == Member("batch m", True, True)
        body, member = joined(self.body("a"), manifest, self.batch, 0.0)
        assert member == Member("batch a", True, True)
        assert joined(body, manifest, self.batch, 1.0)[1] == Member("batch a", False, True)

    def test_one_that_was_read_or_whose_batch_is_closed_has_not(self) -> None:
        manifest = joining("m", part="m", is_manifest=True)
        body = listed(self.body("m"), "batch m", ["a"], "", most=500)
        assert joined(body, manifest, self.batch, 1.0)[1] == Member("batch m", False)
        alone = replace(manifest, is_alone=True)
        assert joined(None, alone, self.batch, 1.0)[1] == Member("batch m", True)

    def test_the_batch_is_closed_when_all_that_is_listed_has_come(self) -> None:
        body = listed(self.body("a", "m"), "batch a", ["a", "b", "b"], "", most=500)
        assert closed_by(body, 1.0, self.batch) is None
        body, _ = joined(body, joining("b", part="b"), self.batch, 5.0)
        (closed,) = view_of(body, 5.0, self.batch)[1].closed
        assert (closed.closed_by, closed.listed, closed.missing) == ("manifest", 2, 0)

    def test_what_is_missing_when_something_else_closes_it_is_counted(self) -> None:
        body = listed(self.body("a", "m"), "batch a", ["a", "b"], "", most=500)
        (closed,) = view_of(body, 3_600.0, self.batch)[1].closed
        assert (closed.closed_by, closed.listed, closed.missing) == ("age", 2, 1)

    def test_one_that_lists_more_than_a_batch_may_have_is_not_kept_and_that_is_told(self) -> None:
        body = listed(self.body("m"), "batch m", ["a", "b", "b", "c"], "", most=2)
        assert body is not None
        assert body["open"]["manifest"]["parts"] is None
        (closed,) = view_of(body, 3_600.0, self.batch)[1].closed
        fault = "it lists 3 objects, and a batch has 2 at most (count)"
        assert (closed.closed_by, closed.listed, closed.fault) == ("age", None, fault)

    def test_one_that_cannot_be_read_closes_nothing_and_its_fault_is_told(self) -> None:
        body = listed(self.body("m"), "batch m", None, "it is there no more", most=500)
        (closed,) = view_of(body, 3_600.0, self.batch)[1].closed
        assert (closed.closed_by, closed.listed, closed.fault) == ("age", None, "it is there no more")

    def test_what_it_lists_is_noted_once_and_for_the_open_batch_only(self) -> None:
        body = listed(self.body("m"), "batch m", ["a"], "", most=500)
        for other, batch_id in ((body, "batch m"), (self.body("m"), "batch x"), (None, "batch m")):
            assert listed(other, batch_id, ["b"], "", most=500) == other
        shut = view_of(self.body("m"), 0.0, self.batch, needs_room=True)[0]
        assert listed(shut, "batch m", ["b"], "", most=500) == shut


class TestGroup:
    def group(self, key: str = "orders/2026-01-01/berlin/a.csv", bucket: str = "landing") -> Group:
        return group_of(
            object_event("ObjectCreated:Put", bucket=bucket, key=key), "load", "load", Batch(by=BY)
        )

    def test_keys_with_the_same_captured_values_are_one_group_in_one_bucket(self) -> None:
        assert self.group() == self.group("orders/2026-01-01/berlin/b.csv")
        names = {
            self.group().name,
            self.group("orders/2026-01-02/berlin/a.csv").name,
            self.group("orders/2026-01-01/").name,
            self.group(bucket="other").name,
            self.group("other/a").name,
            self.group("other/b").name,
        }
        assert len(names) == 6
        assert self.group("other/a").values is None

    def run_id(self, *members: str, group: Group | None = None, readable: bool = True) -> str:
        """Of the batch of these events."""
        body = None
        for member in members:
            batch_id = (group or self.group()).batch_id(members[0], readable=readable)
            body, _ = joined(body, joining(member, batch_id=batch_id), Batch(by=BY), 0.0)
        return view_of(body, 1.0, needs_room=True)[1].closed[0].run_id

    def test_its_run_ids_show_the_values_unless_they_may_not(self) -> None:
        run_id = self.run_id("e1")
        assert run_id.startswith("s3_2026-01-01-berlin_")
        assert re.fullmatch("s3_[0-9a-f]{40}", self.run_id("e1", readable=False))
        assert re.fullmatch("s3_[0-9a-f]{40}", self.run_id("e1", group=self.group("other/a")))

    def test_a_run_id_is_that_of_its_events_and_of_no_others(self) -> None:
        run_ids = [self.run_id(*events) for events in ("ab", "ab", "a", "abc", "ac", "b")]
        assert run_ids[0] == run_ids[1]
        assert len(set(run_ids)) == 5

    @given(st.text(max_size=300))
    def test_every_run_id_is_one_that_airflow_takes(self, value: str) -> None:
        run_id = self.run_id("e1", group=Group("load", "0" * 40, "landing", {"day": value}))
        assert len(run_id) <= 200
        assert set(run_id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")

    def test_an_event_stays_in_the_group_that_it_came_to_first_until_it_is_dropped(self) -> None:
        body, group = kept(None, self.group(), {"key": "a"})
        assert group == self.group()
        assert kept(body, self.group("orders/1/"), {"key": "b"}) == (body, self.group())
        assert dropped(body) == {}
        assert dropped(None) is None
        assert kept({}, self.group("orders/1/"), {"key": "b"})[1] == self.group("orders/1/")

    def test_parts_are_told_apart_by_bucket_and_key(self) -> None:
        assert len({part_name("a", "b"), part_name("a", "c"), part_name("b", "b")}) == 3
