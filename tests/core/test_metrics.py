"""The meter: what was counted comes out once, under a name of the table, with few enough tags."""

from __future__ import annotations

import re
import string
from datetime import datetime, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.events import ObjectEvent
from airflow_s3events.messages import Message
from airflow_s3events.metrics import METRICS, PREFIX, Meter, Sample, tag_value
from airflow_s3events.observing import note_read, note_run

NOW = 1_800_000_000.0


def values(meter: Meter) -> dict[str, float]:
    return {sample.name.removeprefix(PREFIX): sample.value for sample in meter.drain()}


def event_at(seconds: float | None) -> ObjectEvent:
    return ObjectEvent(
        event_name="ObjectCreated:Put",
        event_type="ObjectCreated:Put",
        bucket="b",
        key="k",
        event_time=None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc),
        envelope="s3-records",
    )


def message_at(received_at: float | None, *, sent_at: float | None = None, receive_count: int = 1) -> Message:
    return Message(
        message_id="1",
        receipt_handle="r",
        body="",
        received_at=received_at,
        sent_at=sent_at,
        receive_count=receive_count,
    )


@given(st.lists(st.sampled_from(["read", "drain"])))
def test_however_often_it_is_drained_the_sum_is_what_was_counted(steps: list[str]) -> None:
    meter = Meter("q")
    seen = 0.0
    for step in [*steps, "drain"]:
        if step == "read":
            meter.count("events.read")
        else:
            seen += values(meter).get("events.read", 0)
    assert seen == steps.count("read")


@given(st.lists(st.integers(0, 1000)))
def test_a_total_gives_its_growth(growths: list[int]) -> None:
    meter = Meter("q")
    total, seen = 0, 0.0
    for growth in growths:
        total += growth
        meter.total("receive.calls", total)
        seen += values(meter)["receive.calls"]
    assert seen == total


def test_a_total_of_nothing_is_said_too_so_that_an_alarm_has_a_series() -> None:
    meter = Meter("q")
    meter.total("messages.lapsed", 0)
    assert values(meter) == {"messages.lapsed": 0}


def test_the_queue_and_the_metric_s_own_tags_are_on_every_sample() -> None:
    meter = Meter("arn:aws:sqs:eu-west-1:123456789012:landing")
    meter.count("events.matched", "process")
    expected = Sample("s3events.events.matched", "counter", 1, {"queue": "landing", "dag_id": "process"})
    assert meter.drain() == [expected]


@pytest.mark.parametrize("queue", ["landing", "https://sqs.eu-west-1.amazonaws.com/123456789012/landing"])
def test_a_queue_is_one_series_however_it_is_written(queue: str) -> None:
    meter = Meter(queue)
    meter.gauge("queue.waiting", 3)
    assert meter.drain()[0].tags == {"queue": "landing"}


def test_a_name_that_is_not_in_the_table_does_not_get_out() -> None:
    meter = Meter("q")
    meter.count("events.no_such_thing")
    with pytest.raises(KeyError):
        meter.drain()


def test_a_label_too_many_does_not_get_out() -> None:
    meter = Meter("q")
    meter.count("events.read", "a key, say")
    with pytest.raises(ValueError, match="longer"):
        meter.drain()


def test_the_greatest_age_since_the_last_report_is_reported_and_then_none() -> None:
    meter = Meter("q")
    for age in (3.0, 7.0, 5.0):
        meter.peak("queue.oldest_seconds", age)
    assert values(meter) == {"queue.oldest_seconds": 7.0}
    assert values(meter) == {"queue.oldest_seconds": 0.0}


@given(st.integers(0, 2_000))
def test_of_many_durations_at_most_a_hundred_are_kept_from_first_to_last(count: int) -> None:
    meter = Meter("q")
    for number in range(count):
        meter.time("lag.receive_to_run", float(number))
    kept = [sample.value for sample in meter.drain()]
    assert len(kept) <= 100
    steps = {later - earlier for earlier, later in pairwise(kept)}
    assert len(steps) <= 1
    assert not count or (kept[0] == 0 and count - kept[-1] <= max(steps, default=1))


@given(st.text())
def test_a_tag_has_only_what_every_backend_takes(text: str) -> None:
    value = tag_value(text)
    assert 0 < len(value) <= 100
    assert set(value) <= set(string.ascii_letters + string.digits + "_.-")


def test_every_name_is_short_enough_for_opentelemetry_with_airflow_s_own_prefix() -> None:
    assert all(re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", name) for name in METRICS)
    assert max(len(f"airflow.{PREFIX}{name}") for name in METRICS) <= 63


# What is measured of an event


def test_the_lag_of_a_first_receive_is_from_the_event_s_own_time() -> None:
    meter = Meter("q")
    note_read(meter, event_at(NOW), message_at(NOW + 2.5, sent_at=NOW + 1))
    expected = {"events.read": 1, "queue.oldest_seconds": 1.5, "lag.event_to_receive": 2.5}
    assert values(meter) == expected


def test_a_second_receive_has_no_lag() -> None:
    meter = Meter("q")
    note_read(meter, event_at(NOW), message_at(NOW + 600, receive_count=2))
    assert values(meter) == {"events.read": 1}


def test_what_nobody_timed_has_no_lag() -> None:
    meter = Meter("q")
    note_read(meter, event_at(NOW), message_at(None))
    note_read(meter, event_at(None), message_at(NOW))
    note_run(meter, event_at(None), message_at(None), NOW)
    assert values(meter) == {"events.read": 2}


def test_an_event_from_the_future_counts_as_a_wrong_clock_not_as_negative_time() -> None:
    meter = Meter("q")
    note_read(meter, event_at(NOW + 30), message_at(NOW))
    assert list(meter.remarks()) == ["clock_wrong"]
    assert meter.remarks() == {}
    assert values(meter) == {"events.read": 1, "lag.negative": 1, "lag.event_to_receive": 0}


def test_the_lag_of_a_run_is_from_its_receive_and_from_its_event() -> None:
    meter = Meter("q")
    note_run(meter, event_at(NOW), message_at(NOW + 2), NOW + 3)
    assert values(meter) == {"lag.receive_to_run": 1, "lag.event_to_run": 3}
