"""A task that our trigger wakes again and again, because it leaves the messages where they are."""

import os

from airflow.sdk import DAG

from tests.benchmarks.waking import WokenOperator

with DAG("woken", schedule=None):
    WokenOperator(task_id="wait", sqs_queue=os.environ["BENCHMARK_QUEUE"])
