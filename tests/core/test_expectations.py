"""Which objects must have come by when: judged from times alone."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.expectations import (
    ExpectedBy,
    LeastRate,
    day_of,
    expectations_of,
    literal_prefix,
    serialized,
)

DAY = date(2026, 5, 4)
DUE = datetime(2026, 5, 4, 7, tzinfo=timezone.utc).timestamp()


def by_seven(**members: Any) -> ExpectedBy:
    standard: dict[str, Any] = {"key": "in/{day:%Y-%m-%d}/*.csv", "by": "07:00"}
    return ExpectedBy(**standard | members)


def judged(rule: ExpectedBy, now: float, *times: float, tolerance: float = 60) -> Any:
    found = rule.judge(DAY, DUE + now, [DUE + one for one in times], tolerance)
    return found and found.what


def test_objects_in_time_are_met_as_soon_as_all_have_come() -> None:
    rule = by_seven(count=2)
    assert judged(rule, -3600, -7200) is None
    assert judged(rule, -3600, -7200, -3600) == "met"
    assert judged(rule, 9999, -7200, 59) == "met"


def test_nothing_is_missing_before_its_time_and_the_tolerance_are_over() -> None:
    assert judged(by_seven(), 59.9) is None
    assert judged(by_seven(), 60) == "missing"
    assert judged(by_seven(), 0, tolerance=0) == "missing"


def test_what_came_after_its_time_is_late_and_by_how_much() -> None:
    found = by_seven(count=2).judge(DAY, DUE + 9999, [DUE - 10, DUE + 90.5], 60)
    assert found is not None
    assert found.serialize() == {
        "name": "in/{day:%Y-%m-%d}/*.csv",
        "what": "late",
        "found": 1,
        "count": 2,
        "due": "2026-05-04T07:00:00.000Z",
        "late_seconds": 90.5,
    }


def test_the_time_is_that_of_its_zone_and_summer_time_counts() -> None:
    rule = by_seven(timezone="Europe/Berlin")
    assert datetime.fromtimestamp(rule.due(date(2026, 5, 4)), timezone.utc).hour == 5
    assert datetime.fromtimestamp(rule.due(date(2026, 1, 4)), timezone.utc).hour == 6


@pytest.mark.parametrize(
    ("day", "by", "utc"),
    [
        (date(2026, 3, 29), "02:30", "01:30"),  # left out: as before the change
        (date(2026, 10, 25), "02:30", "00:30"),  # twice: the first
    ],
)
def test_a_time_that_is_left_out_or_comes_twice_has_one_meaning(day: date, by: str, utc: str) -> None:
    due = by_seven(by=by, timezone="Europe/Berlin").due(day)
    assert f"{datetime.fromtimestamp(due, timezone.utc):%H:%M}" == utc


def test_the_day_of_a_moment_is_that_of_the_zone() -> None:
    late = datetime(2026, 5, 4, 23, tzinfo=timezone.utc).timestamp()
    assert (day_of(late, "UTC"), day_of(late, "Asia/Tokyo")) == (date(2026, 5, 4), date(2026, 5, 5))


def test_the_day_stands_in_the_key() -> None:
    assert by_seven().patterns(DAY, 0) == ("in/2026-05-04/*.csv",)
    assert by_seven(key="{{x}}/{day:%d}").patterns(DAY, 0) == ("{x}/04",)
    assert literal_prefix("in/2026-05-04/*.csv") == "in/2026-05-04/"
    assert literal_prefix("in/a[bc]?") == "in/a"


def test_only_objects_of_the_time_before_it_count_unless_all_do() -> None:
    assert by_seven().window(DAY, 0) == (DUE - 86_400, DUE)
    assert by_seven(within_seconds=None).window(DAY, 0) == (float("-inf"), DUE)


def rate(**members: Any) -> LeastRate:
    standard: dict[str, Any] = {"key": "sensors/*", "per_seconds": 900, "count": 2}
    return LeastRate(**standard | members)


def test_a_rate_counts_what_came_in_its_time() -> None:
    assert rate().judge(DAY, DUE, [DUE - 959, DUE - 1], 60).what == "met"
    found = rate().judge(DAY, DUE, [DUE - 960, DUE - 1], 60)
    assert (found.what, found.found, found.late_seconds) == ("too few", 1, None)
    assert rate().window(DAY, DUE) == (DUE - 900, float("inf"))


def test_a_rate_looks_at_every_day_that_it_touches() -> None:
    midnight = datetime(2026, 5, 5, tzinfo=timezone.utc).timestamp()
    by_day = rate(key="s/{day:%m%d}/*")
    assert by_day.patterns(DAY, midnight + 60) == ("s/0504/*", "s/0505/*")
    assert by_day.patterns(DAY, midnight + 3600) == ("s/0505/*",)
    assert rate().patterns(DAY, midnight + 60) == ("sensors/*",)


@given(
    st.lists(st.floats(-90_000, 90_000), max_size=5).map(sorted),
    st.floats(-90_000, 90_000),
    st.integers(1, 4),
)
def test_once_it_is_judged_it_is_never_judged_otherwise_by_what_comes_later(
    times: list[float], now: float, count: int
) -> None:
    rule = by_seven(count=count)
    seen = [one for one in times if one <= now]
    first, last = judged(rule, now, *seen[:count]), judged(rule, 100_000, *times[:count])
    if first == "met":
        assert last == "met"
    elif first is not None:
        assert last in {"late", "missing"}


def test_survives_its_plain_form() -> None:
    rules = (by_seven(), rate())
    assert expectations_of(json.loads(json.dumps([serialized(rule) for rule in rules]))) == rules
    assert expectations_of(by_seven()) == (by_seven(),)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: by_seven(key="in/{other}"), "key"),
        (lambda: by_seven(key="in/{day"), "key"),
        (lambda: by_seven(key="in/{}"), "key"),
        (lambda: by_seven(key=7), "key"),
        (lambda: by_seven(key="in/[*"), "glob"),
        (lambda: by_seven(by="noon"), "by="),
        (lambda: by_seven(by=7), "by="),
        (lambda: by_seven(by="07:00+01:00"), "timezone"),
        (lambda: by_seven(timezone="Mars/Olympus"), "timezone"),
        (lambda: by_seven(count=0), "count"),
        (lambda: by_seven(within_seconds=0), "within_seconds"),
        (lambda: rate(per_seconds="900"), "per_seconds"),
        (lambda: expectations_of([]), "expectations"),
        (lambda: expectations_of([rate(), rate()]), "name of its own"),
        (lambda: expectations_of("in/*"), "expectations"),
        (lambda: expectations_of({"key": "a"}), "expectations"),
        (lambda: expectations_of({"key": "a", "by": "07:00", "at": 1}), "'at'"),
    ],
)
def test_what_cannot_be_expected_is_named(make: Any, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        make()
