"""The DAGs that the routes lead to: their runs are held by a pool without slots."""

import os

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

for number in range(500):
    with DAG(f"team_{number:03}", schedule=None, max_active_runs=1) as team:
        EmptyOperator(task_id="held", pool=os.environ["BENCHMARK_POOL"])
    globals()[f"team_{number:03}"] = team
