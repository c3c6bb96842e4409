"""``S3EventSensor`` with Airflow's classes, an emulated S3 and SQS, no Airflow running."""

from __future__ import annotations

import json
import threading
import time
from typing import Any, cast

import pytest

from airflow_s3events import ObjectEvent, S3EventSensor
from airflow_s3events._compat import DAG, AirflowSensorTimeout
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.filters import size, suffix
from airflow_s3events.triggers.arrivals import S3ArrivalTrigger
from tests.adapters.conftest import Bucket
from tests.adapters.deferral import AirflowSkipException, TaskDeferred
from tests.adapters.test_trigger import counts, receive
from tests.emulators import free_port
from tests.lines import serialized


def sensor_of(**kwargs: Any) -> S3EventSensor:
    kwargs.setdefault("task_id", "wait")
    return S3EventSensor(**kwargs)


def deferral_of(sensor: S3EventSensor) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    return deferred.value


def trigger_of(deferred: TaskDeferred) -> S3ArrivalTrigger:
    assert isinstance(deferred.trigger, S3ArrivalTrigger)
    return deferred.trigger


def resume(sensor: S3EventSensor, reason: str, until: float) -> Any:
    """Resume it as Airflow does."""
    return sensor.resume_execution("resume", {"event": {"reason": reason}, "until": until}, cast("Any", {}))


def keys_of(found: Any) -> list[str]:
    return [ObjectEvent.deserialize(data).key for data in json.loads(json.dumps(found))]


in_every_mode = pytest.mark.parametrize(
    "how",
    [{"deferrable": True}, {"deferrable": False}, {"deferrable": False, "mode": "reschedule"}],
    ids=["deferred", "poke", "reschedule"],
)


def answer_of(sensor: S3EventSensor) -> Any:
    """Start it as Airflow does; what it found. To reschedule asks Airflow's database, so there: one poke."""
    if sensor.deferrable or not sensor.reschedule:
        return sensor.execute({})
    return sensor.poke({}).xcom_value


# Settings


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "bucket_key"),
        ({"bucket_key": "s3://b/k", "prefix": "x"}, "bucket_key and prefix"),
        ({"bucket_key": "s3://b/k", "consume": "all"}, "consume='all'.*sqs_queue"),
        ({"bucket_key": "s3://b/k", "consume": "some", "sqs_queue": "q"}, "consume='some'"),
    ],
)
@in_every_mode
def test_a_setting_that_cannot_work_is_named_before_anything_is_asked(
    settings: Any, named: str, how: Any
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        sensor_of(**settings, **how).execute({})


def test_nothing_is_looked_up_when_a_dag_file_is_parsed() -> None:
    assert sensor_of(bucket_key="no bucket", sqs_queue="no queue!", aws_conn_id="none").bucket_key


def test_names_are_templated() -> None:
    names = ("prefix", "marker_key", "manifest_key", "bucket_name", "sqs_queue", "aws_conn_id", "region_name")
    sensor = sensor_of(bucket_key=["{{ a }}/1", "{{ a }}/2"], **dict.fromkeys(names, "{{ a }}"))
    sensor.render_template_fields(cast("Any", {"a": "x"}))
    assert sensor.bucket_key == ["x/1", "x/2"]
    assert [getattr(sensor, name) for name in names] == ["x"] * len(names)


@pytest.mark.parametrize("default", ["True", "False"])
def test_whether_it_defers_is_airflow_s_setting_unless_said(
    monkeypatch: pytest.MonkeyPatch, default: str
) -> None:
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", default)
    assert sensor_of(bucket_key="s3://b/k").deferrable is (default == "True")
    assert sensor_of(bucket_key="s3://b/k", deferrable=True).deferrable is True


def test_goes_through_airflow_s_serialisation_one_by_one_and_mapped() -> None:
    with DAG(dag_id="waits", schedule=None) as dag:
        sensor_of(task_id="one", prefix="s3://b/in/", count=3, when=suffix(".csv") & ~size(max_bytes=0))
        S3EventSensor.partial(task_id="many", bucket_name="b").expand(bucket_key=["a", "b"])
    again = serialized(dag)
    assert sorted(task.task_id for task in again.tasks) == ["many", "one"]


# What it returns


@in_every_mode
def test_an_object_that_came_before_the_sensor_is_found_at_once(bucket: Bucket, how: Any) -> None:
    bucket.put("a b+c.csv", b"12345")
    (data,) = answer_of(sensor_of(bucket_key=bucket.uri("a b+c.csv"), **how))
    event = ObjectEvent.deserialize(data)
    assert (event.bucket, event.key, event.size) == (bucket.name, "a b+c.csv", 5)
    assert event.is_created
    assert event.event_time is not None


@in_every_mode
def test_all_of_a_list_come_in_its_order(bucket: Bucket, how: Any) -> None:
    bucket.put("b")
    bucket.put("a")
    found = answer_of(sensor_of(bucket_name=bucket.name, bucket_key=["b", "a"], **how))
    assert keys_of(found) == ["b", "a"]


@in_every_mode
def test_objects_that_match_are_counted(bucket: Bucket, how: Any) -> None:
    for key in ("in/1.csv", "in/2.tmp", "in/3.csv"):
        bucket.put(key)
    found = answer_of(sensor_of(prefix=bucket.uri("in/"), count=2, when=suffix(".csv"), **how))
    assert keys_of(found) == ["in/1.csv", "in/3.csv"]


@in_every_mode
def test_a_marker_and_a_manifest_come_with_their_parts(bucket: Bucket, how: Any) -> None:
    bucket.put("out/part-0")
    bucket.put("out/_SUCCESS", b"")
    bucket.put("list.json", b'["out/part-0"]')
    marker = answer_of(sensor_of(marker_key=bucket.uri("out/_SUCCESS"), **how))
    manifest = answer_of(sensor_of(manifest_key=bucket.uri("list.json"), **how))
    assert keys_of(marker) == ["out/_SUCCESS", "out/part-0"]
    assert keys_of(manifest) == ["list.json", "out/part-0"]


@in_every_mode
def test_a_retry_after_the_message_is_gone_finds_the_object(bucket: Bucket, sqs: Any, how: Any) -> None:
    bucket.put("a")
    sqs.purge_queue(QueueUrl=bucket.queue)
    for _ in range(2):
        sensor = sensor_of(bucket_key=bucket.uri("a"), sqs_queue=bucket.queue, consume="all", **how)
        assert keys_of(answer_of(sensor)) == ["a"]


# Deferred


def test_the_deferral_carries_what_is_awaited_and_no_secret(bucket: Bucket) -> None:
    sensor = sensor_of(bucket_key=bucket.uri("a"), sqs_queue="q", consume="all", deferrable=True)
    deferred = deferral_of(sensor)
    text = json.dumps([deferred.kwargs, trigger_of(deferred).serialize()])
    assert set(deferred.kwargs or {}) == {"until"}
    assert bucket.uri("a").rpartition("/")[2] in text
    for secret in ("Receipt", "secret-access-key", "password"):
        assert secret not in text


def test_it_defers_for_its_time_out_and_airflow_s_own_comes_later(bucket: Bucket) -> None:
    deferred = deferral_of(sensor_of(bucket_key=bucket.uri("a"), timeout=100, deferrable=True))
    until = (deferred.kwargs or {})["until"]
    assert 90 < until - time.time() <= 100
    assert deferred.timeout is not None
    assert deferred.timeout.total_seconds() > 100


def test_the_trigger_waits_until_airflow_has_noticed_the_deferral(bucket: Bucket) -> None:
    assert trigger_of(deferral_of(sensor_of(bucket_key=bucket.uri("a"), deferrable=True))).quiet_seconds >= 5


def test_it_answers_from_the_bucket_after_the_wake_up(bucket: Bucket) -> None:
    sensor = sensor_of(bucket_key=bucket.uri("a"), deferrable=True)
    until = (deferral_of(sensor).kwargs or {})["until"]
    bucket.put("a")
    assert keys_of(resume(sensor, "arrived", until)) == ["a"]


def test_an_object_that_is_gone_again_at_the_wake_up_is_waited_for_on(bucket: Bucket) -> None:
    sensor = sensor_of(bucket_key=bucket.uri("a"), deferrable=True)
    until = (deferral_of(sensor).kwargs or {})["until"]
    with pytest.raises(TaskDeferred) as again:
        resume(sensor, "arrived", until)
    assert again.value.kwargs == {"until": until}


def test_at_the_time_out_the_bucket_is_asked_once_more(bucket: Bucket) -> None:
    bucket.put("a")
    sensor = sensor_of(bucket_key=bucket.uri("a"), deferrable=True)
    assert keys_of(resume(sensor, "deadline", time.time() - 1)) == ["a"]


def test_a_time_out_says_what_was_missing(bucket: Bucket) -> None:
    sensor = sensor_of(bucket_key=bucket.uri("a"), deferrable=True, timeout=0)
    until = (deferral_of(sensor).kwargs or {})["until"]
    with pytest.raises(AirflowSensorTimeout, match=bucket.uri("a")):
        resume(sensor, "deadline", until)


def test_a_time_out_with_soft_fail_is_a_skip(bucket: Bucket) -> None:
    sensor = sensor_of(bucket_key=bucket.uri("a"), deferrable=True, soft_fail=True)
    with pytest.raises(AirflowSkipException):
        resume(sensor, "deadline", time.time() - 1)


def nowhere(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings of a sensor whose AWS is away."""
    extra = {"endpoint_url": f"http://127.0.0.1:{free_port()}", "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "a", "password": "b", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", json.dumps(connection))
    config = {"retries": {"max_attempts": 0}}
    return {"bucket_key": "s3://b/k", "aws_conn_id": "nowhere", "botocore_config": config}


def test_a_bucket_out_of_reach_is_waited_for_in_the_triggerer(monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = sensor_of(**nowhere(monkeypatch), deferrable=True)
    until = (deferral_of(sensor).kwargs or {})["until"]
    with pytest.raises(TaskDeferred):
        resume(sensor, "arrived", until)


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_time_out_in_an_outage_is_no_answer(monkeypatch: pytest.MonkeyPatch, deferrable: bool) -> None:
    sensor = sensor_of(**nowhere(monkeypatch), deferrable=deferrable, timeout=0.1)
    with pytest.raises(OutageError):
        resume(sensor, "deadline", time.time() - 1) if deferrable else sensor.execute({})


# Blocking


def later(seconds: float, act: Any) -> threading.Timer:
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


def test_in_poke_mode_its_own_queue_wakes_it_long_before_the_interval(bucket: Bucket, sqs: Any) -> None:
    sensor = sensor_of(
        bucket_key=bucket.uri("a"),
        sqs_queue=bucket.queue,
        consume="all",
        deferrable=False,
        poke_interval=3600,
    )
    timer = later(1.5, lambda: bucket.put("a"))
    assert keys_of(sensor.execute({})) == ["a"]
    timer.join()
    assert counts(sqs, bucket.queue) == (0, 0)


def test_in_poke_mode_without_a_queue_it_looks_every_interval(bucket: Bucket) -> None:
    timer = later(0.5, lambda: bucket.put("a"))
    assert keys_of(sensor_of(bucket_key=bucket.uri("a"), deferrable=False, poke_interval=1).execute({})) == [
        "a"
    ]
    timer.join()


def test_in_poke_mode_time_runs_out(bucket: Bucket) -> None:
    with pytest.raises(AirflowSensorTimeout):
        sensor_of(bucket_key=bucket.uri("a"), deferrable=False, timeout=0.5).execute({})


def test_in_poke_mode_soft_fail_skips_at_the_time_out(bucket: Bucket) -> None:
    with pytest.raises(AirflowSkipException):
        sensor_of(bucket_key=bucket.uri("a"), deferrable=False, timeout=0.5, soft_fail=True).execute({})


def test_in_reschedule_mode_a_poke_is_one_look_and_the_queue_is_not_used(bucket: Bucket) -> None:
    sensor = sensor_of(
        bucket_key=bucket.uri("a"), sqs_queue="no-such-queue", deferrable=False, mode="reschedule"
    )
    assert not sensor.poke({})


def test_in_reschedule_mode_an_outage_is_as_good_as_nothing_there_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not sensor_of(**nowhere(monkeypatch), deferrable=False, mode="reschedule").poke({})


# Whose messages


@in_every_mode
def test_on_somebody_else_s_queue_it_receives_and_deletes_nothing(bucket: Bucket, sqs: Any, how: Any) -> None:
    bucket.put("a")
    answer_of(sensor_of(bucket_key=bucket.uri("a"), sqs_queue=bucket.queue, **how))
    if how == {"deferrable": False}:
        waiting = sensor_of(bucket_key=bucket.uri("b"), sqs_queue=bucket.queue, timeout=5, **how)
        timer = later(0.5, lambda: bucket.put("b"))
        waiting.execute({})
        timer.join()
    messages = receive(sqs, bucket.queue, MaxNumberOfMessages=10)
    assert messages
    assert {message["Attributes"]["ApproximateReceiveCount"] for message in messages} == {"1"}
