"""Assets that watch a queue each: ours, stock Airflow with its defaults, and stock as fast as it gets.

Each is there if its queue is: Airflow imports the class of a trigger on the loop of the triggerer, for all to
wait, and stock's bring AWS's libraries with them.
"""

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


def watching(name: str) -> Asset:
    """The asset of this name."""
    if name == "ours":
        return s3_event_asset(name, sqs_queue=os.environ["BENCHMARK_OURS"])
    fastest = {"waiter_delay": 1, "max_messages": 10, "num_batches": 10}
    return stock(name, **(fastest if name == "tuned" else {}))


for asset in (
    watching(name) for name in ("ours", "stock", "tuned") if f"BENCHMARK_{name.upper()}" in os.environ
):
    with DAG(asset.name, schedule=asset, max_active_runs=100):
        EmptyOperator(task_id="done")
