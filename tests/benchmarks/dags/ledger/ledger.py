"""DAGs of the ledger benchmark: one dispatcher without a ledger, two with one, all for one target.

The target is unpaused; its one task waits for a pool without slots. How long each call of the ledger took is
written to a file, for the share of a dispatcher's time that is no matter of what else the machine does.
"""

import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_s3events import Route, S3EventDispatchOperator
from airflow_s3events.dispatch.journal import Journal

TARGET = Route(dag_id="target", max_queued_runs=1_000_000)
SIDES: dict[str, dict[str, Any]] = {
    "without": {},
    "ledger": {"ledger": "sql:ledger_db"},
    "newest": {"ledger": "sql:ledger_db", "ordering": "newest"},
}


def note(seconds: float) -> None:
    with Path(os.environ["BENCHMARK_FOLDER"], "ledger_seconds").open("a") as file:
        file.write(f"{seconds:.6f}\n")


def timed(call: Callable[..., Awaitable[Any]]) -> Any:
    async def wrapper(self: Journal, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return await call(self, *arguments)
        finally:
            note(time.perf_counter() - began)

    return wrapper


Journal.judge = timed(Journal.judge)  # type: ignore[method-assign]
Journal.record = timed(Journal.record)  # type: ignore[method-assign]

for side, settings in SIDES.items():
    with DAG(side, schedule=None):
        S3EventDispatchOperator(
            task_id="dispatch",
            sqs_queue="{{ dag_run.conf['queue'] }}",
            routes=TARGET,
            linger_seconds=1.0,
            **settings,
        )

with DAG("target", schedule=None, max_active_runs=1):
    EmptyOperator(task_id="held", pool=os.environ["BENCHMARK_POOL"])
