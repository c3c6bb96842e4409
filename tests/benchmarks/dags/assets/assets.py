"""Assets that watch a queue each: ours, stock Airflow with its defaults, and stock as fast as it gets."""

import os
from typing import Any

from airflow.providers.amazon.aws.triggers.sqs import SqsSensorTrigger
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetWatcher

from airflow_s3events import s3_event_asset


def stock(name: str, **arguments: Any) -> Asset:
    """What MessageQueueTrigger(scheme="sqs", ...) turns into."""
    queue = os.environ[f"BENCHMARK_{name.upper()}"]
    trigger = SqsSensorTrigger(sqs_queue=queue, region_name="us-east-1", **arguments)
    return Asset(name, watchers=[AssetWatcher(name=name, trigger=trigger)])


assets = [
    s3_event_asset("ours", sqs_queue=os.environ["BENCHMARK_OURS"]),
    stock("stock"),
    stock("tuned", waiter_delay=1, max_messages=10, num_batches=10),
]
for asset in assets:
    with DAG(asset.name, schedule=asset, max_active_runs=100):
        EmptyOperator(task_id="done")
