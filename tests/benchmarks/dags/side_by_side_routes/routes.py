"""Dispatchers with 1, 10, 50 and 500 routes, and the bare loop, which takes the DAG's name from the key."""

import asyncio
import os

from airflow.sdk import DAG, task

from airflow_s3events import Route, S3EventDispatchOperator
from airflow_s3events.filters import event_type, prefix
from tests.benchmarks.beside.loop import receive_create_delete

COUNTS = (1, 10, 50, 500)


def routes(count: int) -> list[Route]:
    """A DAG for each team's prefix."""
    return [
        Route(
            dag_id=f"team_{team:03}",
            when=event_type("ObjectCreated:*") & prefix(f"team-{team:03}/"),
            max_queued_runs=1_000_000,
        )
        for team in range(count)
    ]


for count in COUNTS:
    with DAG(f"ours_{count}", schedule=None) as dispatcher:
        S3EventDispatchOperator(
            task_id="dispatch",
            sqs_queue="{{ dag_run.conf['queue'] }}",
            routes=routes(count),
            aws_conn_id="aws_ours",
            linger_seconds=1.0,
        )
    globals()[f"ours_{count}"] = dispatcher

with DAG("bare", schedule=None):

    @task
    def loop(dag_run=None):  # type: ignore[no-untyped-def]
        """For ever: who measures ends it."""
        endpoint = os.environ["BENCHMARK_BARE_ENDPOINT"]
        asyncio.run(
            receive_create_delete(dag_run.conf["queue"], endpoint, lambda event: f"team_{event.key[5:8]}")
        )

    loop()
