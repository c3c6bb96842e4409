"""All sides with a queue or a bucket of their own, working as they would for days; runs may begin and end."""

import asyncio
import os
from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, get_current_context, task

from airflow_s3events import events_of, s3_event_asset, s3_event_dispatcher
from tests.benchmarks.beside.loop import receive_create_delete
from tests.benchmarks.marks import note
from tests.benchmarks.stock import bucket_loop, queue_loop, watched


def queue(side: str) -> str:
    """The queue of a side."""
    return os.environ[f"BENCHMARK_{side.upper()}"]


# Messages of who is killed come back after 30 s on every side: the others have it from the queue.
ours = s3_event_dispatcher(
    dag_id="ours",
    sqs_queue=queue("ours"),
    routes="target_ours",
    aws_conn_id="aws_ours",
    visibility_seconds=30,
    dag_arguments={"is_paused_upon_creation": True},
)
sensor = queue_loop(
    "stock_sensor",
    queue=queue("stock_sensor"),
    target="target_stock_sensor",
    aws_conn_id="aws_stock_sensor",
)
key = bucket_loop("stock_s3", bucket="stock-s3", target="target_stock_s3", aws_conn_id="aws_stock_s3")

with DAG("bare", schedule=None):

    @task(retries=100, retry_delay=timedelta(seconds=1))
    def loop():  # type: ignore[no-untyped-def]
        """For ever."""
        endpoint = os.environ["BENCHMARK_BARE_ENDPOINT"]
        asyncio.run(receive_create_delete(queue("bare"), endpoint, lambda _: "target_bare"))

    loop()

fastest = {"waiter_delay": 1, "max_messages": 10}
schedules = {
    **dict.fromkeys(("ours", "bare", "stock_sensor", "stock_s3")),
    "ours_asset": s3_event_asset(
        "ours_asset", sqs_queue=queue("ours_asset"), aws_conn_id="aws_ours_asset", visibility_seconds=30
    ),
    "stock_asset": watched(
        "stock_asset", queue=queue("stock_asset"), aws_conn_id="aws_stock_asset", **fastest
    ),
    "stock_default": watched("stock_default", queue=queue("stock_default"), aws_conn_id="aws_stock_default"),
}
for side, schedule in schedules.items():
    with DAG(f"target_{side}", schedule=schedule, max_active_runs=1000) as target:
        EmptyOperator(task_id="done")
    globals()[f"target_{side}"] = target

with DAG(
    "seen", schedule=schedules["ours_asset"], max_active_runs=1000, is_paused_upon_creation=True
) as seeing:

    @task(retries=100, retry_delay=timedelta(seconds=1))
    def see():  # type: ignore[no-untyped-def]
        """Note which objects a task of the run gets: repeats are dropped there, not before."""
        context = get_current_context()
        keys = [f"{event.bucket}/{event.key}" for event in events_of(context)]
        note("seen", run_id=context["run_id"], keys=keys)

    see()
