"""Set-up as tasks of a real Airflow: from a bare bucket to its first event, and back."""

from __future__ import annotations

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.demo.cluster import Cluster
from tests.lines import DAG_IMPORTS
from tests.system.conftest import AddDags, Eventually

_DAG = (
    DAG_IMPORTS
    + """
from airflow_s3events import (
    QueueDestination,
    S3CheckNotificationOperator,
    S3ConfigureNotificationOperator,
    S3RemoveNotificationOperator,
)

way = dict(
    bucket_name="%(name)s",
    notification_id="orders",
    prefix="{{ dag_run.conf['prefix'] }}",
    destinations=QueueDestination("%(name)s-events"),
)
with DAG(dag_id="%(name)s", schedule=None):
    look = S3ConfigureNotificationOperator(task_id="look", dry_run=True, **way)
    configure = S3ConfigureNotificationOperator(task_id="configure", settle_seconds=0.2, **way)
    again = S3ConfigureNotificationOperator(task_id="again", **way)
    check = S3CheckNotificationOperator(task_id="check", prove=True, **way)
    remove = S3RemoveNotificationOperator(task_id="remove", delete_queues=True, settle_seconds=0.2, **way)
    empty = S3ConfigureNotificationOperator(task_id="bad", **{**way, "events": ["s3:ObjectCreate:*"]})
    look >> configure >> again >> check >> remove >> empty
"""
)


def test_one_dag_sets_up_proves_and_takes_down(
    add_dags: AddDags, name: str, aws: EmbeddedAws, cluster: Cluster, eventually: Eventually
) -> None:
    aws.s3.create_bucket(Bucket=name)
    (dag_id,) = add_dags(_DAG)
    cluster.unpause(dag_id)
    cluster.api.trigger(dag_id, "first", {"prefix": "orders/"})
    eventually(lambda: _has_ended(cluster, dag_id), 240)
    states = {task["task_id"]: task["state"] for task in cluster.api.task_instances(dag_id)}
    well = dict.fromkeys(("look", "configure", "again", "check", "remove"), "success")
    assert states == {**well, "bad": "failed"}, cluster.logs()

    def returned(task_id: str) -> dict[str, object]:
        found: dict[str, object] = cluster.api.xcom(dag_id, "first", task_id)
        return found

    assert returned("look")["changes"] == returned("configure")["changes"] != []
    assert returned("again")["changes"] == []
    assert "the event of a probe object arrived after" in str(returned("check"))
    answer = aws.s3.get_bucket_notification_configuration(Bucket=name)
    assert "QueueConfigurations" not in answer
    assert not [url for url in aws.sqs.list_queues().get("QueueUrls", []) if f"{name}-events" in url]


def _has_ended(cluster: Cluster, dag_id: str) -> bool:
    return [run["state"] for run in cluster.runs(dag_id)] == ["failed"]
