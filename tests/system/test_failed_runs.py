"""``S3EventRetryFailedRunsOperator`` over the REST API of a real Airflow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_s3events import S3EventRetryFailedRunsOperator
from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from airflow_s3events.demo.cluster import Cluster
from airflow_s3events.envelopes import parse_body
from airflow_s3events.identity import event_id, run_id
from airflow_s3events.testing.bodies import object_created_body
from tests.lines import AIRFLOW, DAG_IMPORTS
from tests.system.conftest import AddDags, Eventually

pytestmark = pytest.mark.skipif(AIRFLOW < (3, 0), reason="over the REST API of Airflow 3")

_FAILING = f"""{DAG_IMPORTS}
from pathlib import Path

with DAG(dag_id="%(name)s", schedule=None):
    @task(retries=0)
    def work():
        if not Path(__file__).with_suffix(".mended").exists():
            raise ValueError("no such column: price")

    work()
"""


def conf_of(key: str) -> tuple[str, dict[str, Any]]:
    (event,) = parse_body(object_created_body("landing", key), message_id="m").events
    return run_id(event), {"s3_event": {**event.serialize(), "event_id": event_id(event)}}


def test_failed_runs_are_found_cleared_repeated_and_parked(  # noqa: PLR0917 - fixtures
    cluster: Cluster,
    aws: EmbeddedAws,
    bucket: NotifyingBucket,
    add_dags: AddDags,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (dag_id,) = add_dags(_FAILING)
    token = cluster.api._credentials()["Authorization"].removeprefix("Bearer ")
    connection = {"conn_type": "http", "host": cluster.url, "extra": {"token": token}}
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws.connection)

    def states() -> dict[str, str]:
        return {run["dag_run_id"]: run["state"] for run in cluster.runs(dag_id)}

    def retry(**arguments: Any) -> dict[str, Any]:
        return S3EventRetryFailedRunsOperator(task_id="retry", failed_dag_id=dag_id, **arguments).execute({})

    (first, conf_1), (second, conf_2), (third, conf_3) = map(conf_of, ("in/1", "in/2", "other/3"))
    for name, conf in ((first, conf_1), (second, conf_2), (third, conf_3), ("by-hand", conf_1)):
        cluster.api.trigger(dag_id, name, conf)
    eventually(lambda: set(states().values()) == {"failed"}, 120)

    assert retry(dry_run=True)["matched"] == 3
    assert retry(error="no such table")["matched"] == 0
    assert retry(since="2100-01-01T00:00:00Z")["looked_at"] == 0

    parked = retry(action="park", key_prefix="other/", dead_letter_queue=bucket.dlq_url)
    assert parked["runs"] == [third]
    assert retry(dry_run=True, key_prefix="other/")["matched"] == 0
    assert aws.counts(bucket.dlq_url) == (1, 0)

    next(cluster.dags_folder.glob(f"*{dag_id[-6:]}*.py")).with_suffix(".mended").touch()
    assert retry(action="new_run", key_prefix="in/1", error="no such column")["runs"] == [first]
    assert retry(action="clear", key_prefix="in/")["runs"] == [second]
    wanted = {first: "failed", f"{first}_a1": "success", second: "success", third: "failed"}
    eventually(lambda: states() == {**wanted, "by-hand": "failed"}, 120)
