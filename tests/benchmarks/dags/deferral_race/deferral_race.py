"""One DAG for each number of seconds, whose tasks defer in a loop to a trigger that fires after so long."""

import os

from airflow_s3events._compat import DAG
from tests.benchmarks.waking import SleepingOperator

for _seconds in os.environ["BENCHMARK_SECONDS"].split(","):
    with DAG(f"after_{_seconds}", schedule=None) as _dag:
        for _number in range(int(os.environ["BENCHMARK_TASKS"])):
            SleepingOperator(
                task_id=f"loop_{_number}",
                seconds=float(_seconds),
                times=int(os.environ["BENCHMARK_TIMES"]),
                retries=0,
            )
    globals()[f"after_{_seconds}"] = _dag
