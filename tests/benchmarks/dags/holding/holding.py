"""A dispatcher that holds messages, a DAG whose runs all work, and tasks that wait for a moment each."""

import os

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_s3events import Route, s3_event_dispatcher
from tests.benchmarks.punctual import PunctualOperator

dispatcher = s3_event_dispatcher(
    dag_id="dispatcher",
    sqs_queue=os.environ["BENCHMARK_QUEUE"],
    routes=Route(dag_id="held"),
    acknowledge="run_succeeded",
    max_held=int(os.environ["BENCHMARK_MESSAGES"]),
)

with DAG("held", schedule=None):
    EmptyOperator(task_id="never")

with DAG("punctual", schedule=None, max_active_runs=1_000):
    PunctualOperator(task_id="wait", log=f"{os.environ['BENCHMARK_FOLDER']}/punctual.jsonl")
