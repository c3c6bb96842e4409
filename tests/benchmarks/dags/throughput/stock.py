"""The stock pattern: a deferrable sensor, then one ``TriggerDagRunOperator`` for each object, in a loop."""

import json
import os
from datetime import datetime, timezone
from urllib.parse import unquote_plus

from airflow.providers.amazon.aws.sensors.sqs import SqsSensor
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, task

with DAG(
    "stock",
    schedule="@continuous",
    start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
):
    messages = SqsSensor(
        task_id="wait",
        sqs_queue=os.environ["BENCHMARK_STOCK"],
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
    TriggerDagRunOperator.partial(task_id="start", trigger_dag_id="target_stock").expand(conf=found)

with DAG("target_stock", schedule=None, max_active_runs=1):
    EmptyOperator(task_id="held", pool=os.environ["BENCHMARK_POOL"])
