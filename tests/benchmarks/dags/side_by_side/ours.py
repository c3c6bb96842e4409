"""A dispatcher and the bare loop, tasks that are given their queue, and an asset of ours that watches one."""

import asyncio
import os
from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

from airflow_s3events import Route, S3EventDispatchOperator, s3_event_asset
from tests.benchmarks.beside.loop import receive_create_delete

with DAG("ours", schedule=None):
    S3EventDispatchOperator(
        task_id="dispatch",
        sqs_queue="{{ dag_run.conf['queue'] }}",
        routes=Route(dag_id="target_ours", max_queued_runs=1_000_000),
        aws_conn_id="aws_ours",
        linger_seconds=1.0,
    )

with DAG("bare", schedule=None):

    @task(retries=3, retry_delay=timedelta(seconds=1))
    def loop(dag_run=None):  # type: ignore[no-untyped-def]
        """For ever: who measures ends it."""
        endpoint = os.environ["BENCHMARK_BARE_ENDPOINT"]
        asyncio.run(receive_create_delete(dag_run.conf["queue"], endpoint, lambda _: "target_bare"))

    loop()

# The scheduler itself ends an EmptyOperator: no worker takes time from any side. Runs that were held would be
# in the way of those of the sides: the scheduler looks at the oldest twenty.
for name in ("target_ours", "target_bare", "target_stock_sensor"):
    with DAG(name, schedule=None, max_active_runs=10_000) as target:
        EmptyOperator(task_id="done")
    globals()[name] = target

asset = s3_event_asset(
    "ours_asset", sqs_queue=os.environ["BENCHMARK_OURS_ASSET"], aws_conn_id="aws_ours_asset"
)
with DAG("target_ours_asset", schedule=asset, max_active_runs=1000):
    EmptyOperator(task_id="done")
