"""``S3ExpectedObjectsSensor`` and its trigger against an emulated S3."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.models.trigger import Trigger

from airflow_s3events import ExpectedBy, LeastRate, S3ExpectedObjectsSensor
from airflow_s3events._compat import AirflowFailException, AirflowSensorTimeout
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.expectation_watch import ExpectationWatch
from airflow_s3events.hooks.s3_events import bucket_hook
from airflow_s3events.triggers.expectations import S3ExpectationTrigger
from tests.adapters.conftest import Bucket
from tests.adapters.deferral import TaskDeferred
from tests.emulators import free_port

#: Where it is about noon now: an hour from now is the same day there.
_ZONE = f"Etc/GMT{datetime.now(timezone.utc).hour - 12:+d}"


def due_in(seconds: float, key: str = "in/*", **members: Any) -> dict[str, Any]:
    """The settings of a sensor whose one expectation is due so long after now."""
    moment = datetime.now(ZoneInfo(_ZONE)) + timedelta(seconds=seconds)
    expected = ExpectedBy(key=key, by=moment.time().isoformat(), timezone=_ZONE, **members)
    return {"expectations": expected, "day": moment.date().isoformat(), "tolerance_seconds": 0}


def sensor_of(bucket: Bucket, **settings: Any) -> S3ExpectedObjectsSensor:
    standard: dict[str, Any] = {"task_id": "expect", "poke_interval": 1, "deferrable": False, "timeout": 60}
    return S3ExpectedObjectsSensor(bucket_name=bucket.name, **standard | settings)


def resumed(sensor: S3ExpectedObjectsSensor, deferred: TaskDeferred, then: Any = None) -> Any:
    """Run the trigger as the triggerer would, ``then`` after it has begun, and resume the task."""
    deferred.trigger.quiet_seconds = 0.0

    async def fire() -> Any:
        if then is not None:
            asyncio.get_running_loop().call_later(1.0, then)
        (event,) = [event async for event in deferred.trigger.run()]
        return event.payload

    payload = json.loads(json.dumps(asyncio.run(fire())))
    return sensor.resume({}, payload, **json.loads(json.dumps(deferred.kwargs)))


def deferral_of(sensor: S3ExpectedObjectsSensor) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    return deferred.value


def what(report: dict[str, Any], kind: str = "broken") -> list[str]:
    return [one["what"] for one in report[kind]]


@pytest.mark.parametrize("deferrable", [True, False])
def test_it_ends_as_soon_as_the_objects_are_there(bucket: Bucket, deferrable: bool) -> None:
    bucket.put("in/a")
    report = sensor_of(bucket, **due_in(3600), deferrable=deferrable).execute({})
    assert (what(report, "met"), what(report)) == (["met"], [])


def test_what_is_missing_when_its_time_is_over_fails_the_task_without_a_retry(bucket: Bucket) -> None:
    bucket.put("out/a")
    with pytest.raises(AirflowFailException, match="missing"):
        sensor_of(bucket, **due_in(1)).execute({})


def test_the_callback_is_told_with_the_context(bucket: Bucket) -> None:
    told: list[Any] = []
    context: Any = {"run_id": "r"}
    with pytest.raises(AirflowFailException):
        sensor_of(bucket, **due_in(-1), on_broken=told.append).execute(context)
    (context,) = told
    assert context["run_id"] == "r"
    assert [one["what"] for one in context["s3_expectations"]] == ["missing"]


def test_a_task_behind_it_can_be_given_what_is_broken(bucket: Bucket) -> None:
    bucket.put("in/a")
    report = sensor_of(bucket, **due_in(-120), when_broken="return").execute({})
    assert what(report) == ["late"]
    assert report["broken"][0]["late_seconds"] > 60


def test_it_waits_in_the_triggerer_and_an_object_ends_it(bucket: Bucket) -> None:
    sensor = sensor_of(bucket, **due_in(3600), deferrable=True)
    report = resumed(sensor, deferral_of(sensor), lambda: bucket.put("in/a"))
    assert what(report, "met") == ["met"]


def test_its_time_can_be_over_while_it_waits_in_the_triggerer(bucket: Bucket) -> None:
    sensor = sensor_of(bucket, **due_in(2), deferrable=True)
    with pytest.raises(AirflowFailException, match="missing"):
        resumed(sensor, deferral_of(sensor))


def test_what_is_broken_is_told_at_once_and_the_others_are_waited_for(bucket: Bucket) -> None:
    told: list[Any] = []
    first = due_in(-1, name="first")
    second = due_in(3600, key="later/*", name="second")
    both = first | {"expectations": [first["expectations"], second["expectations"]], "on_broken": told.append}
    sensor = sensor_of(bucket, **both, deferrable=True, when_broken="return")
    deferred = deferral_of(sensor)
    assert [one["name"] for one in told[0]["s3_expectations"]] == ["first"]
    report = resumed(sensor, deferred, lambda: bucket.put("later/a"))
    assert [one["name"] for one in report["broken"] + report["met"]] == ["first", "second"]
    assert len(told) == 1


def test_silence_is_too_few(bucket: Bucket) -> None:
    rate = LeastRate(key="in/*", per_seconds=600)
    assert what(sensor_of(bucket, expectations=rate, when_broken="return").execute({})) == ["too few"]
    bucket.put("in/a")
    assert what(sensor_of(bucket, expectations=rate).execute({}), "met") == ["met"]


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_rate_that_is_watched_is_broken_when_nothing_comes_any_more(
    bucket: Bucket, deferrable: bool
) -> None:
    bucket.put("in/a")
    sensor = sensor_of(
        bucket,
        expectations=LeastRate(key="in/*", per_seconds=2),
        tolerance_seconds=0,
        watch_seconds=50,
        when_broken="return",
        deferrable=deferrable,
    )
    report = resumed(sensor, deferral_of(sensor)) if deferrable else sensor.execute({})
    assert what(report) == ["too few"]


def test_the_watch_of_a_rate_ends_with_its_time_since_the_run_was_due(bucket: Bucket) -> None:
    bucket.put("in/a")
    run = SimpleNamespace(run_after=datetime.now(timezone.utc) - timedelta(hours=1))
    rate = LeastRate(key="in/*", per_seconds=600)
    context: Any = {"dag_run": run}
    report = sensor_of(bucket, expectations=rate, watch_seconds=50).execute(context)
    assert what(report, "met") == ["met"]


def test_the_day_is_that_on_which_the_run_was_due(bucket: Bucket) -> None:
    bucket.put("in/2026-05-04/a")
    expected = ExpectedBy(key="in/{day:%Y-%m-%d}/*", by="07:00", within_seconds=None)
    context: Any = {
        "dag_run": SimpleNamespace(run_after=None, start_date=datetime(2026, 5, 4, 3, tzinfo=timezone.utc))
    }
    report = sensor_of(bucket, expectations=expected, when_broken="return").execute(context)
    # It is there, and was written when this test ran: long after that day.
    assert what(report) == ["late"]


def test_a_clock_that_is_wrong_here_makes_nothing_late(bucket: Bucket) -> None:
    expected = due_in(30)["expectations"]

    async def judged(wrong_by: float) -> Any:
        async with bucket_hook(
            aws_conn_id="aws_default", region_name=None, verify=None, botocore_config=None
        ).open_client() as client:
            watch = ExpectationWatch(
                client=client,
                bucket=bucket.name,
                expectations=[expected],
                day=None,
                began=time.time() + 30,
                tolerance_seconds=0,
                watch_seconds=0,
                poke_seconds=1,
                clock=lambda: time.time() + wrong_by,
            )
            return await watch.look([0])

    assert asyncio.run(judged(900)) == {}
    bucket.put("in/a")
    assert [one.what for one in asyncio.run(judged(-900)).values()] == ["met"]


def test_as_many_objects_as_are_expected_are_waited_for(bucket: Bucket) -> None:
    for number in range(3):
        bucket.put(f"in/{number}")
    expected = due_in(3600, count=3)
    assert what(sensor_of(bucket, **expected).execute({}), "met") == ["met"]
    with pytest.raises(AirflowSensorTimeout):
        sensor_of(bucket, **due_in(3600, count=4), timeout=1.5).execute({})


def test_a_time_out_in_the_triggerer_is_one(bucket: Bucket) -> None:
    sensor = sensor_of(bucket, **due_in(3600), deferrable=True, timeout=2)
    with pytest.raises(AirflowSensorTimeout):
        resumed(sensor, deferral_of(sensor))


def test_s3_out_of_reach_says_nothing_of_any_object(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"endpoint_url": f"http://127.0.0.1:{free_port()}", "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "a", "password": "b", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", json.dumps(connection))
    away = {"aws_conn_id": "nowhere", "botocore_config": {"retries": {"max_attempts": 0}}}
    sensor = sensor_of(bucket, **due_in(-1), **away, deferrable=True)
    assert deferral_of(sensor).kwargs is not None
    with pytest.raises(AirflowSensorTimeout):
        sensor_of(bucket, **due_in(-1), **away, timeout=1).execute({})


def test_an_object_that_comes_while_the_task_waits_ends_it(bucket: Bucket) -> None:
    timer = threading.Timer(1.0, lambda: bucket.put("in/a"))
    timer.start()
    assert what(sensor_of(bucket, **due_in(3600)).execute({}), "met") == ["met"]
    timer.join()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"mode": "reschedule"}, "mode"),
        ({"when_broken": "skip"}, "when_broken"),
        ({"tolerance_seconds": -1}, "tolerance_seconds"),
        ({"watch_seconds": 61}, "timeout"),
        ({"day": "today"}, "day"),
        ({"expectations": []}, "expectations"),
    ],
)
def test_a_setting_that_cannot_work_is_named_before_anything_is_asked(
    settings: dict[str, Any], named: str
) -> None:
    standard: dict[str, Any] = {"expectations": LeastRate(key="in/*", per_seconds=60)}
    nowhere: Any = SimpleNamespace(name="b")
    with pytest.raises(ConfigurationError, match=named):
        sensor_of(nowhere, **standard | settings).execute({})


def test_the_trigger_survives_airflow_s_own_storage() -> None:
    trigger = S3ExpectationTrigger(
        watched={"bucket_name": "b", "expectations": [], "day": None, "began": 1.5},
        left=[0, 2],
        until=1_800_000_000.25,
        quiet_seconds=4.5,
        aws_conn_id=None,
        region_name="eu-west-1",
        verify="/etc/bundle.pem",
        botocore_config={"retries": {"mode": "standard"}},
    )
    row = Trigger.from_object(trigger)
    again = S3ExpectationTrigger(**row.kwargs)
    assert row.classpath == f"{S3ExpectationTrigger.__module__}.{S3ExpectationTrigger.__qualname__}"
    assert again.serialize() == trigger.serialize()
    assert again.serialize()[1]["v"] == 1
