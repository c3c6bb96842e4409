"""The stock pattern: a deferrable sensor, then one ``TriggerDagRunOperator`` for each object, in a loop."""

import os

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from tests.benchmarks.stock import queue_loop

stock = queue_loop("stock", queue=os.environ["BENCHMARK_STOCK"], target="target_stock")

with DAG("target_stock", schedule=None, max_active_runs=1):
    EmptyOperator(task_id="held", pool=os.environ["BENCHMARK_POOL"])
