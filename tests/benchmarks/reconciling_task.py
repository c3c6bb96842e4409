"""The process of one try of ``S3ReconcileOperator``, but for Airflow's API server: runs are lines of a file.

``python -m tests.benchmarks.reconciling_task FILE`` prints the report and the most memory that it had.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_s3events.operators import reconcile
from airflow_s3events.settlement import RunState


class FileRuns:
    """DAG runs by name, each a line, so that they outlive a kill."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()
        self._names = set(path.read_text().split())

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:  # noqa: ARG002
        """Add a line."""
        if run_id in self._names:
            return False
        self._names.add(run_id)
        with self._path.open("a") as file:
            file.write(f"{run_id}\n")
        return True

    async def state(self, dag_id: str, run_id: str) -> RunState:  # noqa: ARG002
        """Look it up."""
        return RunState.SUCCESS if run_id in self._names else RunState.NONE

    async def count_stored(self, dag_id: str, run_ids: Sequence[str]) -> int:  # noqa: ARG002
        """Count them."""
        return sum(name in self._names for name in run_ids)

    async def is_paused(self, dag_id: str) -> bool:  # noqa: ARG002
        """It never is."""
        return False

    async def count_queued(self, dag_id: str) -> int:  # noqa: ARG002
        """None is."""
        return 0

    async def count_active(self, dag_id: str) -> int:  # noqa: ARG002
        """None is."""
        return 0


def main() -> None:
    """Run one try."""
    runs = FileRuns(Path(sys.argv[1]))
    vars(reconcile)["airflow_runs"] = lambda: runs
    task = reconcile.S3ReconcileOperator(
        task_id="reconcile", bucket_name="b", routes="process", ledger="sql:ledger"
    )
    ti = SimpleNamespace(dag_id="d", task_id="reconcile", run_id="r", map_index=-1)
    report = task.execute({"ti": ti})  # type: ignore[typeddict-item]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"report": report, "peak_mib": round(peak, 1)}))


if __name__ == "__main__":
    main()
