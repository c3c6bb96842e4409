"""DAGs of the throughput benchmark: ours and the floor, each a task that creates runs of one target.

The target is unpaused; its one task waits for a pool without slots, so that the runs which it gets are
stored and queued, and no worker takes time from either side.
"""

import asyncio
import os
import time

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

from airflow_s3events import Route, S3EventDispatchOperator
from airflow_s3events._compat import airflow_runs
from airflow_s3events.envelopes import parse_body
from airflow_s3events.identity import event_id, run_id
from airflow_s3events.testing import object_created_body

TARGET = Route(dag_id="target", max_queued_runs=1_000_000)

with DAG("ours", schedule=None):
    S3EventDispatchOperator(
        task_id="dispatch",
        sqs_queue="{{ dag_run.conf['queue'] }}",
        routes=TARGET,
        linger_seconds=1.0,
    )


async def _create(number: int, count: int) -> None:
    """Create runs with confs and ids like those of ours, made before the clock starts."""
    bodies = [object_created_body(f"floor-{number}", f"incoming/file {one:06}.csv") for one in range(count)]
    events = [event for body in bodies for event in parse_body(body).events]
    ready = [
        (run_id(event), TARGET.conf({**event.serialize(), "event_id": event_id(event)})) for event in events
    ]
    runs = airflow_runs()
    start = time.time()
    for name, conf in ready:
        await runs.create("target", name, conf)
    print(f"{count / (time.time() - start):.1f} creates a second")


with DAG("floor", schedule=None):

    @task
    def create(dag_run=None):  # type: ignore[no-untyped-def]
        asyncio.run(_create(dag_run.conf["round"], dag_run.conf["count"]))

    create()

with DAG("target", schedule=None, max_active_runs=1):
    EmptyOperator(task_id="held", pool=os.environ["BENCHMARK_POOL"])
