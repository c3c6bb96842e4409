"""The stock ways from an object to a run, as DAGs: sensors of a queue and of a bucket, a watched asset.

Imported by DAG files. A sensor takes what its one look found, then a ``TriggerDagRunOperator`` for each
object makes the runs; the DAG begins again (``@continuous``). Tasks have retries: without them one that fails
loses its object.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote_plus

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.providers.amazon.aws.sensors.sqs import SqsSensor
from airflow.providers.amazon.aws.triggers.sqs import SqsSensorTrigger
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset, AssetWatcher, task

_CONTINUOUS: dict[str, Any] = {
    "schedule": "@continuous",
    "start_date": datetime(2024, 1, 1, tzinfo=timezone.utc),
    "catchup": False,
    "max_active_runs": 1,
    "is_paused_upon_creation": True,
    "default_args": {"retries": 3, "retry_delay": timedelta(seconds=1)},
}


def queue_loop(dag_id: str, *, queue: str, target: str, aws_conn_id: str = "aws_default") -> DAG:
    """A deferrable ``SqsSensor``, as fast as it gets, then a run of ``target`` for each object."""
    with DAG(dag_id, **_CONTINUOUS) as dag:
        messages = SqsSensor(
            task_id="wait",
            sqs_queue=queue,
            aws_conn_id=aws_conn_id,
            region_name="us-east-1",
            deferrable=True,
            max_messages=10,
            poke_interval=1,
            timeout=3600,
        )

        @task
        def confs(ti=None):  # type: ignore[no-untyped-def]
            """One conf for each object of the messages."""
            return [
                {"bucket": record["s3"]["bucket"]["name"], "key": unquote_plus(record["s3"]["object"]["key"])}
                for message in ti.xcom_pull(task_ids="wait", key="messages")
                for record in json.loads(message["Body"]).get("Records", [])
            ]

        found = confs()
        messages >> found
        TriggerDagRunOperator.partial(task_id="start", trigger_dag_id=target).expand(conf=found)
    return dag


def bucket_loop(
    dag_id: str, *, bucket: str, target: str, aws_conn_id: str = "aws_default", poke_interval: int = 5
) -> DAG:
    """A deferrable ``S3KeySensor``, then a run of ``target`` for each key, then the objects are deleted.

    Nothing tells the sensor which objects are new, so they have to go away. A real one would copy them
    first, a write more for each.
    """
    with DAG(dag_id, **_CONTINUOUS) as dag:
        waited = S3KeySensor(
            task_id="wait",
            bucket_name=bucket,
            bucket_key="incoming/*",
            wildcard_match=True,
            aws_conn_id=aws_conn_id,
            deferrable=True,
            poke_interval=poke_interval,
            timeout=3600,
        )

        @task
        def confs():  # type: ignore[no-untyped-def]
            """One conf for each object that is there."""
            keys = S3Hook(aws_conn_id).list_keys(bucket, prefix="incoming/")
            return [{"bucket": bucket, "key": key} for key in keys]

        @task
        def take_away(found):  # type: ignore[no-untyped-def]
            """Delete what has a run."""
            if found:
                S3Hook(aws_conn_id).delete_objects(bucket, [conf["key"] for conf in found])

        found = confs()
        waited >> found
        started = TriggerDagRunOperator.partial(task_id="start", trigger_dag_id=target).expand(conf=found)
        started >> take_away(found)
    return dag


def watched(name: str, *, queue: str, **arguments: Any) -> Asset:
    """An asset with what ``MessageQueueTrigger(scheme="sqs", ...)`` turns into."""
    trigger = SqsSensorTrigger(sqs_queue=queue, region_name="us-east-1", **arguments)
    return Asset(name, watchers=[AssetWatcher(name=name, trigger=trigger)])
