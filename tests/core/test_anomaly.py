"""What is odd about a bucket: spikes against its own past, and strangers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.anomaly import Anomaly, AnomalyWatch, BucketWatch
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from tests.anomaly_series import judge
from tests.core.filter_strategies import make_event

START = datetime(2026, 11, 1, tzinfo=timezone.utc)
#: A day of quarters of an hour to warm up, and a day to compare with.
WATCH = AnomalyWatch(
    dag_id="told",
    watched=("deletions", "overwrites", "uploads", "principals", "networks"),
    history_days=1,
    warm_up_days=1,
)


def event(window: float, key: str = "a", **more: Any) -> ObjectEvent:
    return make_event(key, event_time=START + timedelta(minutes=15 * window), **more)


def warmed_up(watch: AnomalyWatch = WATCH, **more: Any) -> BucketWatch:
    """A bucket with two uploads in each window of a day, and a little more."""
    bucket = BucketWatch(watch, "inbox")
    for number in range(2 * 97):
        assert bucket.observe(event(number / 2, f"k{number}", **more)) == []
    return bucket


def spike(bucket: BucketWatch, window: float, times: int = 40, **more: Any) -> list[Anomaly]:
    return [
        found
        for number in range(times)
        for found in bucket.observe(event(window, f"s{window}-{number}", **more))
    ]


@pytest.mark.timeout(600)  # 18,000 windows, each against a week
def test_spikes_of_eight_sigma_are_found_and_next_to_nothing_else() -> None:
    seeds = [secrets.randbits(32) for _ in range(5)]
    print("seeds:", *seeds)
    judged = [judge(seed) for seed in seeds]
    found, spikes = sum(one.found for one in judged), sum(one.spikes for one in judged)
    assert found / spikes >= 0.95, seeds
    assert sum(one.false_alarms for one in judged) <= 1, seeds
    assert sum(one.in_warm_up for one in judged) == 0, seeds


@pytest.mark.parametrize(
    ("kind", "event_type"),
    [("uploads", "ObjectCreated:Put"), ("deletions", "ObjectRemoved:Delete")],
)
def test_a_spike_is_told_once_as_soon_as_it_is_one_with_the_evidence(kind: str, event_type: str) -> None:
    bucket = warmed_up()
    (found,) = spike(bucket, 98, principal_id=None, event_type=event_type)
    assert found.kind == kind
    assert found.count == 20
    assert found.usual == (2.0 if kind == "uploads" else 0.0)
    assert found.window_start == int((START + timedelta(minutes=15 * 98)).timestamp())
    assert found.examples[-1] == "s98-19"
    assert spike(bucket, 99, event_type=event_type) == []
    assert len(spike(bucket, 101, event_type=event_type)) == 1


def test_overwrites_are_uploads_of_keys_that_were_there_lately() -> None:
    bucket = warmed_up()
    found = [one for number in range(40) for one in bucket.observe(event(98, f"k{150 + number}"))]
    assert {one.kind for one in found} == {"uploads", "overwrites"}


def test_lifecycle_rules_cause_no_alarm() -> None:
    assert spike(warmed_up(), 98, event_type="LifecycleExpiration:Delete") == []


def test_nothing_is_told_while_it_warms_up() -> None:
    assert spike(BucketWatch(WATCH, "inbox"), 1, times=500) == []


def test_what_waited_in_the_queue_belongs_to_the_time_when_it_happened() -> None:
    bucket = warmed_up()
    bucket.observe(event(150))
    assert spike(bucket, 149, times=200) == []
    assert spike(bucket, -500, times=10) == []
    assert bucket.observe(make_event()) == []


def test_a_week_without_events_is_a_past_of_noughts() -> None:
    (found,) = spike(warmed_up(), 5000)
    assert (found.kind, found.usual) == ("uploads", 0.0)


def test_a_principal_that_was_never_seen_is_told_once_whatever_its_session() -> None:
    bucket = warmed_up(principal_id="AWS:AROAUSUAL:one", source_ip="10.0.0.1")
    assert bucket.observe(event(98, principal_id="AWS:AROAUSUAL:two", source_ip="10.0.0.200")) == []
    told = bucket.observe(event(98, "x", principal_id="AWS:AROASTRANGE:a", source_ip="2001:db8::1"))
    assert [(one.kind, one.stranger) for one in told] == [
        ("principals", "AWS:AROASTRANGE"),
        ("networks", "2001:db8::/48"),
    ]
    assert told[0].examples == ("x",)
    assert told[0].principals == ("AWS:AROASTRANGE",)
    assert bucket.observe(event(98, principal_id="AWS:AROASTRANGE:b", source_ip="2001:db8::2")) == []


def test_only_what_is_watched_is_told() -> None:
    bucket = warmed_up(AnomalyWatch(dag_id="told", watched=("deletions",), history_days=1, warm_up_days=1))
    assert spike(bucket, 98, principal_id="AWS:NEW", source_ip="192.0.2.1") == []


@pytest.mark.parametrize("at", [0, 60, 150, 194, 200, 215])
def test_a_watch_that_is_written_down_and_read_back_goes_on_as_before(at: int) -> None:
    events = [event(number / 2, f"k{number}", principal_id="AWS:A") for number in range(194)]
    events += [event(98, f"k{number}", principal_id="AWS:B") for number in range(30)]
    straight, broken = BucketWatch(WATCH, "inbox"), BucketWatch(WATCH, "inbox")
    expected = [one for each in events for one in straight.observe(each)]
    found = [one for each in events[:at] for one in broken.observe(each)]
    again = BucketWatch(WATCH, "inbox", json.loads(json.dumps(broken.serialize())))
    found += [one for each in events[at:] for one in again.observe(each)]
    assert [(one.kind, one.count, one.stranger) for one in found] == [
        (one.kind, one.count, one.stranger) for one in expected
    ]
    assert {one.kind for one in found} == {"uploads", "overwrites", "principals"}


def test_the_past_of_a_bucket_stays_small_however_many_keys_and_principals_come() -> None:
    bucket = BucketWatch(WATCH, "inbox")
    for number in range(5000):
        bucket.observe(event(number, f"k{number}", principal_id=f"AWS:{number}"))
    assert len(json.dumps(bucket.serialize())) < 40_000


@given(
    st.builds(
        Anomaly,
        kind=st.sampled_from(["uploads", "principals"]),
        bucket=st.text(max_size=3),
        window_start=st.integers(0, 10**10),
        window_seconds=st.just(900),
        count=st.none() | st.integers(0, 9),
        usual=st.none() | st.floats(0, 9),
        stranger=st.none() | st.text(max_size=3),
        examples=st.lists(st.text(max_size=3), max_size=2).map(tuple),
    )
)
def test_plain_data_gives_the_anomaly_back(anomaly: Anomaly) -> None:
    assert Anomaly.deserialize(json.loads(json.dumps(anomaly.serialize()))) == anomaly


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: AnomalyWatch(dag_id="a", watched=("downloads",)), "watched"),
        (lambda: AnomalyWatch(dag_id="a", watched=()), "watched"),
        (lambda: AnomalyWatch(dag_id="a", window_seconds=10), "window_seconds: 10"),
        (lambda: AnomalyWatch(dag_id="a", floor=0), "floor: 0"),
        (lambda: AnomalyWatch(dag_id="a", warm_up_days=0), "warm_up_days: 0"),
        (lambda: AnomalyWatch(dag_id="a", sigmas=0), "sigmas: 0"),
    ],
)
def test_what_cannot_work_is_refused_by_name(make: Callable[[], Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        make()
