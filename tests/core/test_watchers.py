"""Who wants an event: watchers here, watchers elsewhere, and the roll that all keep together."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.filters import EventFilter, everything, predicate, prefix, suffix
from airflow_s3events.watchers import Watcher, Watchers, call_roll, raised_in, roll_key, watcher_name
from tests.strategies import make_event

A, B = prefix("in/a/"), prefix("in/")
HOUR = 3_600.0


def rolled(
    entries: Any, watchers: Watchers, now: float = 1_000.0, absent_seconds: float = HOUR
) -> tuple[dict[str, Any], bool]:
    return call_roll(entries, watchers, now, absent_seconds=absent_seconds, renew_seconds=60.0)


def watchers_with(**filters: EventFilter) -> Watchers:
    watchers = Watchers()
    for name, when in filters.items():
        watchers.join(Watcher(name, when))
    return watchers


def test_everybody_here_who_wants_an_event_takes_it() -> None:
    watchers = watchers_with(a=A, b=B, csv=suffix(".csv"))
    wanted = watchers.want(make_event(key="in/a/1.txt"))
    assert {watcher.name for watcher in wanted.takers} == {"a", "b"}
    assert not wanted.unmatched


def test_what_nobody_wants_is_unmatched() -> None:
    assert watchers_with(a=A).want(make_event(key="out/1")).unmatched


def test_a_watcher_that_cannot_tell_leaves_the_event_undecided() -> None:
    wanted = watchers_with(own=predicate("no.such:function")).want(make_event())
    assert wanted.errors
    assert not wanted.unmatched


def test_a_watcher_elsewhere_is_owed_what_it_wants() -> None:
    watchers = watchers_with(a=A)
    watchers.told({"a": A, "b": B})
    wanted = watchers.want(make_event(key="in/a/1"))
    assert [watcher.name for watcher in wanted.takers] == ["a"]
    assert wanted.owed == ("b",)


def test_a_watcher_elsewhere_whose_function_is_not_here_may_want_everything() -> None:
    watchers = Watchers(elsewhere={"own": predicate("no.such:function")})
    assert watchers.want(make_event()).owed == ("own",)


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_watcher_that_has_had_it_does_not_get_it_again(name: str) -> None:
    watchers = watchers_with(a=A)
    watchers.told({"b": B})
    wanted = watchers.want(make_event(key="in/a/1"), served={name})
    assert name not in {watcher.name for watcher in wanted.takers} | set(wanted.owed)


def test_a_watcher_that_has_just_left_is_owed_what_it_wants() -> None:
    watchers = Watchers()
    watcher = Watcher("a", A)
    watchers.join(watcher)
    watchers.leave(watcher)
    assert watchers.want(make_event(key="in/a/1")).owed == ("a",)


def test_the_same_watcher_that_comes_again_is_another_one() -> None:
    assert Watcher("a", A) != Watcher("a", A)


@given(st.sampled_from([A & B, B & A, ~~(A & B & A)]))
def test_a_watcher_without_a_label_is_named_by_what_it_wants(when: EventFilter) -> None:
    assert watcher_name(when) == watcher_name(A & B)
    assert watcher_name(when) != watcher_name(B)
    assert watcher_name(when, "landing") == "landing"


def test_the_first_roll_holds_the_watchers_here() -> None:
    roll, is_changed = rolled(None, watchers_with(a=A))
    assert roll == {"a": {"when": A.serialize(), "seen_at": 1_000.0}}
    assert is_changed


def test_a_roll_that_is_up_to_date_is_not_stored_again() -> None:
    watchers = watchers_with(a=A)
    roll, _ = rolled(None, watchers)
    assert rolled(json.loads(json.dumps(roll)), watchers, 1_059.0) == (roll, False)
    assert rolled(roll, watchers, 1_060.0)[1]


def test_a_changed_filter_is_stored_at_once() -> None:
    roll, _ = rolled(None, watchers_with(a=A))
    again, is_changed = rolled(roll, watchers_with(a=B), 1_001.0)
    assert is_changed
    assert again["a"]["when"] == B.serialize()


def test_two_triggerers_learn_of_each_other() -> None:
    here, there = watchers_with(a=A), watchers_with(b=B)
    roll, _ = rolled(None, here)
    roll, _ = rolled(roll, there, 1_001.0)
    rolled(roll, here, 1_002.0)
    assert there.elsewhere["a"] == A
    assert here.elsewhere["b"] == B


def test_a_watcher_long_unseen_is_forgotten() -> None:
    roll, _ = rolled(None, watchers_with(a=A))
    watchers = Watchers()
    assert rolled(roll, watchers, 1_000.0 + HOUR) == (roll, False)
    assert rolled(roll, watchers, 1_001.0 + HOUR) == ({}, True)
    assert watchers.elsewhere == {}


@pytest.mark.parametrize(
    "entries",
    [
        [],
        "text",
        {"a": None},
        {"a": {"when": {"x": 1}, "seen_at": 1}},
        {"a": {"when": everything.serialize()}},
    ],
)
def test_a_roll_that_somebody_has_spoilt_is_made_anew(entries: Any) -> None:
    roll, is_changed = rolled(entries, watchers_with(b=B))
    assert list(roll) == ["b"]
    assert is_changed


@pytest.mark.parametrize(("seconds", "is_awaited"), [(60.0, True), (300.0, False)])
def test_a_watcher_elsewhere_is_awaited_while_it_is_written_down_anew(
    seconds: float, is_awaited: bool
) -> None:
    roll, _ = rolled(None, watchers_with(b=B))
    watchers = watchers_with(a=A)
    rolled(roll, watchers, 1_000.0 + seconds)
    wanted = watchers.want(make_event(key="in/a/1"))
    assert wanted.owed == ("b",)
    assert wanted.is_awaited is is_awaited


def test_nobody_is_awaited_where_nothing_is_owed() -> None:
    assert not watchers_with(a=A).want(make_event(key="in/a/1")).is_awaited


# What raises


def raising() -> Watchers:
    watchers = watchers_with(own=predicate("no.such:function"))
    watchers.want(make_event())
    return watchers


def told(roll: Any, now: float) -> dict[str, str]:
    return raised_in(json.dumps(roll), now, 300.0)


def test_the_roll_says_at_once_that_a_filter_raises() -> None:
    watchers = watchers_with(own=predicate("no.such:function"))
    roll, _ = rolled(None, watchers)
    assert told(roll, 1_000.0) == {}
    watchers.want(make_event())
    roll, is_changed = rolled(roll, watchers, 1_005.0)
    assert is_changed
    assert "no.such" in told(roll, 1_005.0)["own"]


def test_a_filter_that_goes_on_raising_is_written_no_oftener_than_the_roll_is_renewed() -> None:
    watchers = raising()
    roll, _ = rolled(None, watchers)
    watchers.want(make_event())
    assert not rolled(roll, watchers, 1_030.0)[1]
    assert rolled(roll, watchers, 1_060.0)[0]["own"]["raised_at"] == 1_060.0


def test_it_is_told_for_a_quarter_of_an_hour_and_then_no_more() -> None:
    roll, _ = rolled(None, raising())
    again = watchers_with(own=predicate("no.such:function"))
    for now in (1_060.0, 1_900.0):
        roll, _ = rolled(roll, again, now)
        assert told(roll, now)
    roll, _ = rolled(roll, again, 1_961.0)
    assert told(roll, 1_961.0) == {}


def test_a_watcher_that_nobody_sees_and_a_roll_that_nobody_can_read_tell_nothing() -> None:
    roll, _ = rolled(None, raising())
    assert told(roll, 1_301.0) == {}
    assert raised_in("{", 1_000.0, 300.0) == raised_in(None, 1_000.0, 300.0) == {}


def test_the_roll_of_each_queue_has_a_name_of_its_own_that_a_variable_can_have() -> None:
    assert roll_key("landing") != roll_key("arn:aws:sqs:eu-west-1:123456789012:landing")
    assert roll_key("https://sqs/123/landing").replace("_", "").isalnum()
