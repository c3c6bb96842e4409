"""``S3EventDispatchOperator`` with Airflow's classes and an emulated SQS, no Airflow running."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import pytest

from airflow_s3events._compat import DAG
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import prefix
from airflow_s3events.ledger import Ledger
from airflow_s3events.ledger.sql import SqlStore
from airflow_s3events.operators.dispatch import S3EventDispatchOperator
from airflow_s3events.routing import Route, Routes
from airflow_s3events.testing import bodies
from airflow_s3events.triggers.s3_event import S3EventTrigger
from tests.adapters.channel import Channel
from tests.adapters.deferral import TaskDeferred
from tests.adapters.metadata_database import MetadataDatabase
from tests.adapters.test_trigger import counts, receive
from tests.lines import AIRFLOW, serialized

Side = Channel | MetadataDatabase

ROUTES: Mapping[str, Any] = {
    "a DAG id": "process",
    "a route": Route(dag_id="process", when=prefix("in/"), extra={"a": [1]}),
    "a list": ["process", Route(dag_id="archive", when=prefix("x/"))][::-1],
    "a mapping to filters": {"archive": prefix("x/"), "process": None},
    "routes": Routes([Route(dag_id="process", when=prefix("in/"))], default=Route(dag_id="archive")),
    "plain data": {"routes": [{"dag_id": "process"}], "mode": "all"},
}
routes_of_every_kind = pytest.mark.parametrize("routes", ROUTES.values(), ids=ROUTES)


def operator_of(queue: str = "q", routes: Any = "process", **kwargs: Any) -> S3EventDispatchOperator:
    kwargs.setdefault("linger_seconds", 0.2)
    return S3EventDispatchOperator(task_id="dispatch", sqs_queue=queue, routes=routes, **kwargs)


def deferral_of(operator: S3EventDispatchOperator) -> TaskDeferred:
    """Work until it defers."""
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute({})
    return deferred.value


def trigger_of(deferred: TaskDeferred) -> S3EventTrigger:
    trigger = deferred.trigger
    assert isinstance(trigger, S3EventTrigger)
    return trigger


def upload(sqs: Any, queue: str, *keys: str) -> None:
    for key in keys:
        sqs.send_message(QueueUrl=queue, MessageBody=bodies.object_created_body("landing", key))


# Settings


@routes_of_every_kind
def test_routes_of_every_kind_can_be_copied_and_pickled(routes: Any) -> None:
    operator = operator_of(routes=routes)
    wanted = Routes.of(routes)
    assert Routes.of(copy.copy(operator).routes) == wanted
    assert Routes.of(copy.deepcopy(operator).routes) == wanted
    assert Routes.of(pickle.loads(pickle.dumps(operator.routes))) == wanted  # noqa: S301 - our own


@routes_of_every_kind
def test_a_dag_with_routes_of_every_kind_goes_through_airflow_s_serialisation(routes: Any) -> None:
    with DAG(dag_id="dispatcher", schedule=None) as dag:
        operator_of(routes=routes)
    again = serialized(dag)
    (task,) = again.tasks
    assert task.task_type == "S3EventDispatchOperator"


@routes_of_every_kind
def test_one_task_for_each_of_several_queues_goes_through_airflow_s_serialisation(routes: Any) -> None:
    with DAG(dag_id="dispatcher", schedule=None) as dag:
        S3EventDispatchOperator.partial(task_id="dispatch", routes=routes).expand(sqs_queue=["a", "b"])
    again = serialized(dag)
    assert [task.task_id for task in again.tasks] == ["dispatch"]


def test_queue_connection_and_region_are_templated() -> None:
    operator = operator_of(
        "{{ a }}", dead_letter_queue="{{ a }}-dlq", aws_conn_id="{{ a }}", region_name="{{ a }}"
    )
    operator.render_template_fields(cast("Any", {"a": "x"}))
    seen = (operator.sqs_queue, operator.dead_letter_queue, operator.aws_conn_id, operator.region_name)
    assert seen == ("x", "x-dlq", "x", "x")


def test_nothing_is_looked_up_when_a_dag_file_is_parsed() -> None:
    operator = operator_of(
        "no such queue!", routes={"process": "no filter"}, aws_conn_id="no-such-connection"
    )
    assert operator.sqs_queue == "no such queue!"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("routes", []),
        ("life_seconds", 0),
        ("life_seconds", "3600"),
        ("linger_seconds", -1),
        ("linger_seconds", float("nan")),
        ("visibility_seconds", 5),
        ("visibility_seconds", 43_201),
        ("max_in_flight", 0),
        ("max_in_flight", 1.5),
        ("give_up_seconds", None),
        ("ignore_before", datetime(2026, 1, 1)),
        ("ignore_before", "2026-01-01"),
    ],
)
def test_a_setting_that_cannot_work_is_named(setting: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        operator_of(**{setting: value}).execute({})


# Work


def test_starts_one_run_for_each_object_deletes_and_defers(sqs: Any, queue: str, airflow_side: Side) -> None:
    upload(sqs, queue, "a", "b", "c")
    deferral_of(operator_of(queue))
    assert sorted(conf["s3_event"]["key"] for conf in airflow_side.runs.values()) == ["a", "b", "c"]
    assert counts(sqs, queue) == (0, 0)


def test_a_message_whose_run_cannot_be_read_back_is_not_deleted(
    sqs: Any, queue: str, airflow_side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow_side.forget_runs(monkeypatch)
    upload(sqs, queue, "a")
    deferral_of(operator_of(queue))
    assert counts(sqs, queue) == (0, 1)


def test_a_retry_finds_the_run_of_the_first_try(sqs: Any, queue: str, airflow_side: Side) -> None:
    body = bodies.object_created_body("landing", "a")
    for _ in range(2):
        sqs.send_message(QueueUrl=queue, MessageBody=body)
        deferral_of(operator_of(queue))
    assert len(airflow_side.runs) == 1
    assert counts(sqs, queue) == (0, 0)


def test_the_deferral_carries_no_body_no_handle_and_no_secret(
    sqs: Any, queue: str, airflow_side: Side
) -> None:
    upload(sqs, queue, "hush-hush")
    deferred = deferral_of(operator_of(queue))
    text = json.dumps([deferred.kwargs, trigger_of(deferred).serialize()])
    assert airflow_side.runs
    assert set(deferred.kwargs or {}) == {"until"}
    for secret in ("hush-hush", "Receipt", "secret-access-key", "password"):
        assert secret not in text


def test_defers_for_the_rest_of_its_life(queue: str, airflow_side: Side) -> None:  # noqa: ARG001
    deferred = deferral_of(operator_of(queue, life_seconds=100))
    until = (deferred.kwargs or {})["until"]
    assert 90 < until - time.time() <= 100
    with pytest.raises(TaskDeferred) as again:
        operator_of(queue).resume({}, {"reason": "messages"}, until=until)
    assert again.value.kwargs == {"until": until}


def test_ends_when_its_life_is_over(queue: str, airflow_side: Side) -> None:  # noqa: ARG001
    operator_of(queue).resume({}, {"reason": "deadline"}, until=time.time() - 1)


def test_the_trigger_waits_until_airflow_has_noticed_the_deferral(queue: str, airflow_side: Side) -> None:  # noqa: ARG001
    assert trigger_of(deferral_of(operator_of(queue))).quiet_seconds >= 5


@pytest.mark.skipif((3, 0) <= AIRFLOW < (3, 2), reason="before Airflow 3.2 a task cannot know of a pause")
def test_a_paused_dag_costs_its_messages_no_receive(sqs: Any, queue: str, airflow_side: Side) -> None:
    airflow_side.pause("process")
    upload(sqs, queue, "a")
    assert trigger_of(deferral_of(operator_of(queue))).recheck_seconds == 60
    assert [m["Attributes"]["ApproximateReceiveCount"] for m in receive(sqs, queue)] == ["1"]


def test_a_full_dag_costs_its_messages_no_receive(sqs: Any, queue: str, airflow_side: Side) -> None:
    upload(sqs, queue, *"abcdefghijkl")
    route = Route(dag_id="process", max_queued_runs=4)
    assert trigger_of(deferral_of(operator_of(queue, route))).recheck_seconds == 30
    assert len(airflow_side.runs) == 4
    assert counts(sqs, queue) == (8, 0)
    messages = receive(sqs, queue, MaxNumberOfMessages=10)
    assert {m["Attributes"]["ApproximateReceiveCount"] for m in messages} == {"1"}


def test_a_missing_dag_puts_its_messages_off(sqs: Any, queue: str, airflow_side: Side) -> None:
    upload(sqs, queue, "a")
    deferral_of(operator_of(queue, "absent"))
    assert not airflow_side.runs
    assert counts(sqs, queue) == (0, 1)


def test_a_body_that_is_no_event_goes_to_the_queue_s_own_dead_letter_queue(
    sqs: Any,
    queue: str,
    airflow_side: Side,  # noqa: ARG001
) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="no event")
    deferral_of(operator_of(queue))
    (dead,) = receive(sqs, f"{queue}-dlq", MessageAttributeNames=["All"])
    assert dead["Body"] == "no event"
    assert "not JSON" in dead["MessageAttributes"]["s3events.reason"]["StringValue"]


def test_sigterm_ends_it_soon_and_gives_back_what_it_held(sqs: Any, queue: str, airflow_side: Side) -> None:  # noqa: ARG001
    operator = operator_of(queue, linger_seconds=60.0)
    killer = threading.Timer(1.5, operator.on_kill)
    killer.start()
    began = time.monotonic()
    deferral_of(operator)
    killer.join()
    assert time.monotonic() - began < 5
    assert counts(sqs, queue) == (0, 0)


def test_a_sigterm_before_the_queue_is_open_is_not_forgotten(
    sqs: Any, queue: str, airflow_side: Side
) -> None:
    upload(sqs, queue, "a")
    operator = operator_of(queue, linger_seconds=60.0)
    operator.on_kill()
    deferral_of(operator)
    assert not airflow_side.runs
    assert counts(sqs, queue) == (1, 0)


@pytest.mark.parametrize("receives", ["1", "2"])
def test_a_redrive_policy_that_dead_letters_healthy_messages_is_refused_before_any_receive(
    sqs: Any,
    queue: str,
    airflow_side: Side,  # noqa: ARG001
    receives: str,
) -> None:
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": f"{arn}-dlq", "maxReceiveCount": receives})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": policy})
    upload(sqs, queue, "a")
    with pytest.raises(ConfigurationError, match="maxReceiveCount"):
        operator_of(queue).execute({})
    assert counts(sqs, queue) == (1, 0)


def test_a_dead_letter_queue_that_is_the_queue_itself_is_refused(queue: str, airflow_side: Side) -> None:  # noqa: ARG001
    with pytest.raises(ConfigurationError, match="dead_letter_queue"):
        operator_of(queue, dead_letter_queue=queue).execute({})


def test_events_older_than_ignore_before_start_nothing(sqs: Any, queue: str, airflow_side: Side) -> None:
    upload(sqs, queue, "old")
    deferral_of(operator_of(queue, ignore_before=datetime(2200, 1, 1, tzinfo=timezone.utc)))
    assert not airflow_side.runs
    assert counts(sqs, queue) == (0, 0)


# Ledger


def test_what_was_decided_is_an_object_of_the_audit(
    sqs: Any, s3: Any, queue: str, airflow_side: Side
) -> None:
    bucket = f"audits-{queue.rpartition('/')[2]}"
    s3.create_bucket(Bucket=bucket)
    upload(sqs, queue, "in/a.csv")
    sqs.send_message(QueueUrl=queue, MessageBody="no event")
    deferral_of(operator_of(queue, audit=f"s3://{bucket}/audit"))
    lines = []
    for found in s3.list_objects_v2(Bucket=bucket, Prefix="audit/")["Contents"]:
        lines += s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read().decode().splitlines()
    records = {record["outcome"]: record for record in map(json.loads, lines)}
    assert set(records) == {"started", "malformed"}
    assert records["started"]["key"] == "in/a.csv"
    assert len(airflow_side.runs) == 1
    assert records["started"]["run_id"].endswith(records["started"]["event_id"])


def test_an_audit_store_that_is_not_there_stops_nothing(
    sqs: Any, queue: str, airflow_side: Side, caplog: pytest.LogCaptureFixture
) -> None:
    upload(sqs, queue, "in/a.csv")
    with caplog.at_level("INFO"):
        deferral_of(operator_of(queue, audit="s3://no-such-bucket/audit"))
    assert len(airflow_side.runs) == 1
    assert counts(sqs, queue) == (0, 0)
    assert "decision=audit outcome=lost" in caplog.text
    assert "lost=1" in caplog.text


def test_an_audit_that_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="audit"):
        operator_of(audit="somewhere").check_settings()


def test_an_order_without_a_ledger_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="ledger"):
        operator_of(ordering="newest").check_settings()


def test_what_was_started_is_in_the_ledger(
    queue: str, sqs: Any, airflow_side: Side, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    connection = {"conn_type": "sqlite", "host": f"{tmp_path}/ledger.db"}
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps(connection))
    upload(sqs, queue, "a.csv")
    deferral_of(operator_of(queue, ledger="sql:ledger", ordering="newest"))
    (entry,) = asyncio.run(Ledger(SqlStore(url)).history("landing", "a.csv"))
    assert (entry.what, entry.dag_id) == ("started", "process")
    assert len(airflow_side.runs) == 1
