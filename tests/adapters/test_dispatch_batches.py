"""``S3EventDispatchOperator`` with routes that have a batch: what it refuses, and one shift of its work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import tag
from airflow_s3events.routing import Batch, Route, Routes
from tests.adapters.conftest import Bucket
from tests.adapters.test_dispatch_operator import Side, deferral_of, operator_of, upload
from tests.adapters.test_trigger import counts
from tests.lines import AIRFLOW

BATCH = Batch(by=r"in/(?P<day>[0-9-]+)/", count=2, open_seconds=600)
MARKED = Batch(by=BATCH.by, marker="_SUCCESS", after_marker_seconds=90)
# One run at a time must not mean one message at a time.
ROUTE = Route(dag_id="process", batch=BATCH, max_active_runs=4)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    connection = {"conn_type": "sqlite", "host": str(tmp_path / "ledger.db")}
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps(connection))
    return "sql:ledger"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"ledger": None}, "batch: which event is in which batch is kept in a ledger"),
        ({"scorer": "some.module:scorer"}, "without a scorer only"),
        ({"ordering": "newest"}, "ordering='none' only"),
        ({"ordering": "per_key"}, "ordering='none' only"),
        ({"max_age_seconds": 60}, "max_age_seconds"),
        ({"life_seconds": 60}, "idle_seconds=60 of route 'process' is no less than life_seconds=60"),
        (
            {"life_seconds": 70, "routes": Route(dag_id="process", batch=MARKED)},
            "after_marker_seconds=90 of route 'process'",
        ),
        ({"max_held": 1}, "count=2 of route 'process' is more than max_held=1"),
        (
            {"routes": Routes([Route(dag_id="archive", when=tag("a", "b")), ROUTE])},
            "a filter of routes asks S3",
        ),
    ],
)
def test_what_does_not_go_with_a_batch_is_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        operator_of(**{"routes": ROUTE, "ledger": "sql:ledger", **settings}).check_settings()
    assert named in str(refused.value)


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="messages are held from Airflow 3 on")
def test_run_succeeded_is_refused_and_what_to_do_instead_is_said() -> None:
    with pytest.raises(ConfigurationError, match="clearing it in Airflow"):
        operator_of(routes=ROUTE, ledger="sql:ledger", acknowledge="run_succeeded").check_settings()


def test_a_queue_that_is_not_fit_is_refused_before_anything_is_received(
    sqs: Any, queue: str, ledger: str, airflow_side: Side
) -> None:
    upload(sqs, queue, "in/1/a")
    route = Route(dag_id="process", batch=Batch(by=BATCH.by, open_seconds=39_600))
    with pytest.raises(ConfigurationError, match="maxReceiveCount=5"):
        operator_of(queue, route, ledger=ledger).execute({})
    assert counts(sqs, queue) == (1, 0)
    assert airflow_side.runs == {}


def test_one_run_starts_for_a_group_and_its_messages_are_deleted(
    sqs: Any, queue: str, ledger: str, airflow_side: Side
) -> None:
    upload(sqs, queue, "in/1/a", "in/1/b", "in/2/a", "in/2/b")
    deferral_of(operator_of(queue, ROUTE, ledger=ledger))
    found = sorted([event["key"] for event in conf["s3_events"]] for conf in airflow_side.runs.values())
    assert found == [["in/1/a", "in/1/b"], ["in/2/a", "in/2/b"]]
    assert counts(sqs, queue) == (0, 0)


def test_it_stays_while_a_group_is_open_and_a_manifest_is_read_from_s3(
    bucket: Bucket, ledger: str, airflow_side: Side
) -> None:
    bucket.put("in/1/m.json", json.dumps(["in/1/a", "in/1/b"]).encode())
    bucket.put("in/1/a")
    bucket.put("in/1/b")
    batch = Batch(by=BATCH.by, idle_seconds=None, open_seconds=600, manifest="m.json")
    deferral_of(operator_of(bucket.queue, Route(dag_id="process", batch=batch), ledger=ledger))
    (conf,) = airflow_side.runs.values()
    assert len(conf["s3_events"]) == 3
    assert conf["s3_batch"]["closed_by"] == "manifest"
