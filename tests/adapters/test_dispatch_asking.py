"""``S3EventDispatchOperator`` with routes that ask S3: from an upload to the conf of a run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.anomaly import AnomalyWatch
from airflow_s3events.arns import Arn
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import content_type, tag
from airflow_s3events.ledger import Ledger
from airflow_s3events.ledger.sql import SqlStore
from airflow_s3events.policies import Request, Resources, evaluate, role_policy
from airflow_s3events.routing import Route, Routes
from airflow_s3events.triggers.s3_event_asset import S3EventAssetTrigger
from tests.adapters.channel import Channel
from tests.adapters.conftest import Bucket
from tests.adapters.test_dispatch_operator import deferral_of, operator_of
from tests.adapters.test_iam_calls import watch_async
from tests.lines import AIRFLOW
from tests.setup_world import Calls

ROUTES = Routes(
    [
        Route(dag_id="process", when=tag("class", "gold") & content_type("text/*")),
        Route(dag_id="archive", enrich=["tags"]),
    ]
)
needs_airflow_3 = pytest.mark.skipif(AIRFLOW < (3, 0), reason="the channel of a task is Airflow 3's")


def upload(bucket: Bucket, key: str, **more: Any) -> None:
    bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=b"1", **more)


@needs_airflow_3
def test_the_tags_and_type_of_an_upload_choose_its_dag_and_are_in_the_runs_conf(
    bucket: Bucket, channel: Channel
) -> None:
    upload(bucket, "a.txt", Tagging="class=gold", ContentType="text/plain")
    upload(bucket, "b.png", Tagging="class=gold", ContentType="image/png")
    upload(bucket, "c.txt", Tagging="class=silver", ContentType="text/plain")
    deferral_of(operator_of(bucket.queue, ROUTES))
    events: dict[str, list[dict[str, Any]]] = {"process": [], "archive": []}
    for (dag_id, _), conf in channel.runs.items():
        events[dag_id].append(conf["s3_event"])
    (gold,) = events["process"]
    assert (gold["key"], gold["facts"]["tags"]) == ("a.txt", {"class": "gold"})
    assert (gold["facts"]["state"], gold["facts"]["content_type"]) == ("found", "text/plain")
    assert {event["key"] for event in events["archive"]} == {"b.png", "c.txt"}


@needs_airflow_3
def test_every_call_is_in_the_policy_of_its_role(
    bucket: Bucket, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(bucket, "in/a.txt", Tagging="class=gold")
    calls = Calls()
    watch_async(calls, monkeypatch)
    deferral_of(operator_of(bucket.queue, ROUTES))
    queue = Arn.parse("arn:aws:sqs:us-east-1:000000000000:q", setting="queue")
    what = Resources(queue=queue, bucket=bucket.name, prefix="in/", enrich=("head", "tags"))
    policy = role_policy("dispatch", what)
    made = [call for call in calls.made if call[0] == "s3"]
    assert [operation for _, operation, _ in made] == ["GetObjectTagging", "HeadObject"]
    for _, operation, parameters in made:
        action = f"s3:{'GetObject' if operation == 'HeadObject' else operation}"
        resource = f"arn:aws:s3:::{bucket.name}/{parameters['Key']}"
        assert evaluate(
            policy, Request(action=action, resource=resource, principal="role", context={})
        ).allowed
    assert channel.runs


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2 holds no messages, whatever the routes")
def test_a_filter_that_asks_is_refused_where_messages_are_held_and_enrich_is_not() -> None:
    with pytest.raises(ConfigurationError, match=r"run_succeeded.*enrich="):
        operator_of(routes=ROUTES, acknowledge="run_succeeded").check_settings()
    operator_of(routes=Route(dag_id="process", enrich=["tags"]), acknowledge="run_succeeded").check_settings()


@pytest.mark.parametrize("age", [0, -1, "1", True])
def test_an_age_that_is_no_number_above_0_is_refused(age: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_age_seconds"):
        operator_of(max_age_seconds=age).check_settings()


def test_an_assets_watcher_cannot_ask() -> None:
    trigger = S3EventAssetTrigger(sqs_queue="q", when=tag("class"))
    with pytest.raises(ConfigurationError, match="an asset's watcher does not ask"):
        trigger.check_settings()


def test_a_watch_for_anomalies_needs_a_ledger() -> None:
    watch = AnomalyWatch(dag_id="told")
    with pytest.raises(ConfigurationError, match=r"anomaly: .*set ledger"):
        operator_of(anomaly=watch).check_settings()
    operator_of(anomaly=watch, ledger="sql:ledger").check_settings()


def test_the_past_of_a_bucket_is_kept_in_the_dispatchers_ledger(
    bucket: Bucket, airflow_side: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    connection = {"conn_type": "sqlite", "host": f"{tmp_path}/ledger.db"}
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps(connection))
    upload(bucket, "a.txt")
    operator = operator_of(bucket.queue, ledger="sql:ledger", anomaly=AnomalyWatch(dag_id="archive"))
    deferral_of(operator)
    ledger = Ledger(SqlStore(f"sqlite:///{tmp_path}/ledger.db"))
    state = asyncio.run(ledger.progress(f"anomaly/{operator.dag_id}/{operator.task_id}/{bucket.name}"))
    assert state is not None
    assert state["series"]["uploads"]["count"] == 1
    assert len(airflow_side.runs) == 1
