"""Stock Airflow with its defaults: a DAG scheduled on an asset that a watcher of an SQS queue updates."""

import os

from airflow.providers.amazon.aws.triggers.sqs import SqsSensorTrigger
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetWatcher

# What MessageQueueTrigger(scheme="sqs", ...) turns into.
trigger = SqsSensorTrigger(sqs_queue=os.environ["BENCHMARK_STOCK"], region_name="us-east-1")
objects = Asset("objects", watchers=[AssetWatcher(name="objects", trigger=trigger)])

with DAG("target_stock", schedule=[objects], max_active_runs=100):
    EmptyOperator(task_id="done")
