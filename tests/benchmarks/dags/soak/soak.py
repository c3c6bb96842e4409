"""A dispatcher that never ends of itself, and an asset: each has a queue."""

import os

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_s3events import s3_event_asset, s3_event_dispatcher

dispatcher = s3_event_dispatcher(
    dag_id="dispatcher", sqs_queue=os.environ["BENCHMARK_RUNS"], routes="target", life_seconds=86_400
)

for name, schedule in (
    ("target", None),
    ("watching", s3_event_asset("soak", sqs_queue=os.environ["BENCHMARK_ASSET"])),
):
    with DAG(name, schedule=schedule):
        EmptyOperator(task_id="done")
