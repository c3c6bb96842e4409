"""``S3ReconcileOperator`` against an emulated S3, a ledger in SQLite, and Airflow's airflow_side."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import tag
from airflow_s3events.hooks.ledger import database_url
from airflow_s3events.operators.reconcile import S3ReconcileOperator
from airflow_s3events.routing import Route
from tests.adapters.channel import Channel
from tests.adapters.conftest import Bucket
from tests.adapters.deferral import TaskDeferred
from tests.adapters.metadata_database import MetadataDatabase
from tests.lines import AIRFLOW

Side = Channel | MetadataDatabase

TI = SimpleNamespace(dag_id="reconcile", task_id="reconcile", run_id="manual__1", map_index=-1)
CONTEXT: Any = {"ti": TI}


@pytest.fixture(autouse=True)
def ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``sql:ledger`` leads to a database of the test's own."""
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", f'{{"conn_type": "sqlite", "host": "{tmp_path}/ledger.db"}}')


def operator(bucket: Bucket, **arguments: Any) -> S3ReconcileOperator:
    standard: dict[str, Any] = {
        "task_id": "reconcile",
        "routes": "process",
        "ledger": "sql:ledger",
        "min_age_seconds": 0,
    }
    return S3ReconcileOperator(bucket_name=bucket.name, **standard | arguments)


def test_an_object_without_an_event_starts_its_run_once(bucket: Bucket, airflow_side: Side) -> None:
    bucket.put("in/a.csv")
    report = operator(bucket, prefix="in/").execute(CONTEXT)
    assert (report["missing"], report["started"]) == (1, 1)
    ((_, conf),) = airflow_side.runs.items()
    assert conf["s3_event"]["key"] == "in/a.csv"
    again = operator(bucket).execute(CONTEXT)
    assert (again["matched"], again["started"]) == (1, 0)


def test_a_dry_run_starts_nothing(bucket: Bucket, airflow_side: Side) -> None:
    bucket.put("a")
    report = operator(bucket, dry_run=True).execute(CONTEXT)
    assert report["examples"] == [bucket.uri("a")]
    assert airflow_side.runs == {}


@pytest.mark.skipif((3, 0) <= AIRFLOW < (3, 2), reason="Airflow 3.2 says whether a DAG is paused")
def test_a_paused_dag_is_waited_for_in_the_triggerer(bucket: Bucket, airflow_side: Side) -> None:
    bucket.put("a")
    airflow_side.pause("process")
    with pytest.raises(TaskDeferred) as deferred:
        operator(bucket, deferrable=True).execute(CONTEXT)
    assert deferred.value.method_name == "resume"
    airflow_side.unpause("process")
    assert operator(bucket, deferrable=True).resume(CONTEXT, event=None)["started"] == 1


def test_time_can_be_text(bucket: Bucket, airflow_side: Side) -> None:
    bucket.put("a")
    assert operator(bucket, modified_after="2100-01-01T00:00:00Z").execute(CONTEXT)["skipped"] == 1
    assert airflow_side.runs == {}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"ledger": "postgresql://u:topsecret@h/d"}, "ledger"),
        ({"ledger": "sql:"}, "ledger"),
        ({"modified_after": "yesterday"}, "modified_after"),
        ({"limit": 0}, "limit"),
        ({"routes": {"process": tag("class", "gold")}}, "routes: .*asks S3"),
        ({"routes": Route(dag_id="process", enrich=["head"])}, "routes: .*asks S3"),
        ({"when": tag("class", "gold")}, "when: it asks S3"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_work_is_named_before_anything_is_asked(
    arguments: dict[str, Any], named: str
) -> None:
    task = operator(SimpleNamespace(name="b"), **arguments)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=named) as raised:
        task.execute(CONTEXT)
    assert "topsecret" not in str(raised.value)


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        (
            "postgres://u:p%40@h:5433/d?sslmode=require&cursor=x",
            "postgresql://u:p%40@h:5433/d?sslmode=require",
        ),
        ("mysql://u@h/d", "mysql://u@h/d"),
    ],
)
def test_a_connection_leads_to_its_database(
    connection: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", connection)
    assert database_url("ledger").render_as_string(hide_password=False) == url


def test_a_connection_to_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", "http://h")
    with pytest.raises(ConfigurationError, match="type 'http'"):
        database_url("ledger")
