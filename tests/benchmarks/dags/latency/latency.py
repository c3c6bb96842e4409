"""DAGs of the latency benchmark: ours and the floor, each with a target of its own.

The stock pattern is in a file of its own: it imports the AWS libraries when it is parsed, so ours would find
them loaded.
"""

import os
from datetime import datetime, timezone

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
except ImportError:  # Airflow 2
    from airflow.operators.empty import EmptyOperator  # type: ignore[import-not-found, no-redef]

from airflow_s3events import S3EventDispatchOperator, s3_event_dispatcher
from airflow_s3events._compat import DAG
from tests.benchmarks.floor import FloorOperator
from tests.benchmarks.marks import mark_creates, mark_method

mark_creates()
mark_method(S3EventDispatchOperator, "resume")
mark_method(FloorOperator, "resume")

ours = s3_event_dispatcher(
    dag_id="ours", sqs_queue=os.environ["BENCHMARK_OURS"], routes="target_ours", linger_seconds=1.0
)
trickle = s3_event_dispatcher(
    dag_id="trickle", sqs_queue=os.environ["BENCHMARK_TRICKLE"], routes="target_trickle"
)

with DAG(
    "floor",
    schedule="@continuous",
    start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
):
    FloorOperator(task_id="floor", path=os.environ["BENCHMARK_FLOOR"], target="target_floor")

for _name in ("target_ours", "target_trickle", "target_floor"):
    with DAG(_name, schedule=None, max_active_runs=100) as _target:
        EmptyOperator(task_id="done")
    globals()[_name] = _target
