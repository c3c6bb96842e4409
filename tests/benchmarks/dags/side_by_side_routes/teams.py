"""The DAGs that the routes lead to: the scheduler itself ends their runs."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

for number in range(500):
    with DAG(f"team_{number:03}", schedule=None, max_active_runs=10_000) as team:
        EmptyOperator(task_id="done")
    globals()[f"team_{number:03}"] = team
