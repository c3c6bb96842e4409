"""Tasks that defer in a loop, and how many fail, by the seconds after which their trigger fires.

The evidence for ``_compat.earliest_resume_seconds``: a task that is woken too soon after its deferral can
be failed by the scheduler (https://github.com/apache/airflow/issues/71580). No task here does anything but
defer.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from airflow_s3events._compat import earliest_resume_seconds
from tests.benchmarks import report
from tests.benchmarks.stage import Stage, staged

_ENDED = {"success", "failed"}


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--seconds", default="0,1,2,3,4,5,6,7,8", help="delays of the triggers")
    options.add_argument("--tasks", type=int, default=2, help="tasks of each delay")
    options.add_argument("--times", type=int, default=6, help="deferrals of each task")
    chosen = options.parse_args()
    load = report.wait_quiet(chosen.quiet_seconds)
    delays = chosen.seconds.split(",")
    environment = {
        "BENCHMARK_SECONDS": chosen.seconds,
        "BENCHMARK_TASKS": str(chosen.tasks),
        "BENCHMARK_TIMES": str(chosen.times),
    }
    with staged("deferral_race", prepare=lambda _: environment) as stage:
        rows = [_row(stage, delay) for delay in _started(stage, delays)]
    result = {"rows": rows, "load_before": load, "load_after": os.getloadavg()[0]}
    result |= {"times": chosen.times, "earliest_resume_seconds": earliest_resume_seconds()}
    text = (
        f"{report.table(rows)}\n\nEach task defers {chosen.times} times, without retries. "
        f"The package wakes nobody sooner than **{result['earliest_resume_seconds']:g} s** after a deferral. "
        f"Load average before {load:.2f}, at the end {result['load_after']:.2f}."
    )
    report.publish("deferral_race", "Woken too soon after a deferral", text, result, write=chosen.write)


def _started(stage: Stage, delays: list[str]) -> list[str]:
    for delay in delays:
        stage.cluster.wait_for_dag(f"after_{delay}")
    for delay in delays:
        stage.cluster.api.trigger(f"after_{delay}", "race")
    return delays


def _row(stage: Stage, delay: str) -> dict[str, Any]:
    dag_id = f"after_{delay}"
    stage.wait(f"the end of {dag_id}", lambda: stage.state(dag_id, "race") in _ENDED, 900)
    states = Counter(task["state"] for task in stage.cluster.api.task_instances(dag_id, "race"))
    return {"fires after, s": delay, "tasks": sum(states.values()), "failed": states["failed"]}


if __name__ == "__main__":
    main()
