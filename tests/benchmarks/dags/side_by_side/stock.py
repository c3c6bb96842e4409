"""The stock ways with their fastest settings: loops around a sensor, and an asset that is watched."""

import os

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from tests.benchmarks.stock import queue_loop, watched

for number in range(8):
    globals()[f"loop_{number}"] = queue_loop(
        f"stock_sensor_{number}",
        queue=os.environ["BENCHMARK_STOCK_SENSOR"],
        target="target_stock_sensor",
        aws_conn_id="aws_stock_sensor",
    )

asset = watched(
    "stock_asset",
    queue=os.environ["BENCHMARK_STOCK_ASSET"],
    aws_conn_id="aws_stock_asset",
    waiter_delay=1,
    max_messages=10,
)
with DAG("target_stock_asset", schedule=asset, max_active_runs=1000):
    EmptyOperator(task_id="done")
