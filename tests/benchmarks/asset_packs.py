"""What each task of a run is given by packs of different sizes, and what a run for each object costs.

1. A thousand object events are stored in packs of 1, 100 and 1,000, then one run is started that has them
   all. Given are the seconds until Airflow has stored them, the bytes of JSON that each task of the run is
   given, and how long a task takes that does nothing but look at them. One object is there for comparison.
2. As many objects as ``--each`` says come at once to an asset whose DAG starts a run for each from mapped
   tasks, and to a dispatcher. Seconds count from the first message sent to the last run stored. The runs
   that are started wait for a pool without slots.

Partitions, Airflow's own way to a run for each event, are not there: a watcher's events have no key.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws
from tests.benchmarks import report
from tests.benchmarks.stage import Stage, staged
from tests.benchmarks.throughput import fill

_PACKS = {"single": 1, "pack1": 1_000, "pack100": 1_000, "pack1000": 1_000}
_POOL = "held"


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--each", type=int, default=50, help="objects that get a run each")
    chosen = options.parse_args()
    load = report.wait_quiet(chosen.quiet_seconds)
    with staged("asset_packs", prepare=_prepare) as stage:
        stage.cluster.api.call("POST", "/pools", {"name": _POOL, "slots": 0})
        for name in (*_PACKS, "fan", "dispatcher", "fan_target", "dispatcher_target"):
            stage.cluster.wait_for_dag(name)
        stage.wait("the dispatcher to defer", lambda: stage.deferred_seconds("dispatcher") > 0)
        # The watchers start, and the dispatcher's trigger wakes nobody in its first seconds.
        time.sleep(15)
        packs = [_pack(stage, name, count) for name, count in _PACKS.items()]
        each = [_each(stage, name, chosen.each) for name in ("fan", "dispatcher")]
    result = {"load_before": load, "load_after": os.getloadavg()[0], "packs": packs, "each": each}
    report.publish(
        "asset_packs", "Packs, and a run for each object", _text(result), result, write=chosen.write
    )


def _prepare(aws: EmbeddedAws) -> Mapping[str, str]:
    names = (*_PACKS, "fan", "dispatcher")
    queues = {f"BENCHMARK_{name.upper()}": aws.notifying_bucket(name).queue_url for name in names}
    return {**queues, "BENCHMARK_POOL": _POOL}


def _pack(stage: Stage, name: str, count: int) -> dict[str, Any]:
    start = time.time()
    fill(stage.aws, stage.cluster.variables[f"BENCHMARK_{name.upper()}"], name, count)
    stage.wait(f"{name} stored", lambda: _stored(stage, name)[0] >= count, 300)
    seconds = _stored(stage, name)[1] - start
    gate = stage.rows("SELECT id FROM asset WHERE name = :name", name=f"gate-{name}")[0][0]
    stage.cluster.api.call("POST", "/assets/events", {"asset_id": gate, "extra": {}})
    duration = "SELECT duration FROM task_instance WHERE dag_id = :dag AND state = 'success'"
    stage.wait(f"the run of {name}", lambda: stage.rows(duration, dag=name), 300)
    seen = json.loads((stage.folder / f"{name}.json").read_text())
    return {
        "packs of": name.removeprefix("pack"),
        **seen,
        "seconds until stored": round(seconds, 1),
        "seconds of a task": round(stage.rows(duration, dag=name)[0][0], 2),
    }


def _stored(stage: Stage, name: str) -> tuple[int, float]:
    sql = """
        SELECT coalesce(sum(json_array_length(e.extra -> 'payload' -> 's3_events')), 0),
            EXTRACT(EPOCH FROM max(e.timestamp))
        FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.name = :name
    """
    count, at = stage.rows(sql, name=name)[0]
    return int(count), float(at or 0)


def _each(stage: Stage, name: str, count: int) -> dict[str, Any]:
    target = f"{name}_target"
    start = time.time()
    fill(stage.aws, stage.cluster.variables[f"BENCHMARK_{name.upper()}"], f"each-{name}", count)
    stage.wait(f"the runs of {name}", lambda: stage.run_count(target) == count, 600)
    tasks = "SELECT count(*) FROM task_instance WHERE dag_id = :dag"
    created = stage.created_at(target)
    return {
        "a run for each object": {"fan": "mapped tasks of an asset's run"}.get(name, name),
        "objects": count,
        "seconds to the first": round(created[0] - start, 1),
        "to the last": round(created[-1] - start, 1),
        "task instances": stage.rows(tasks, dag=name)[0][0],
    }


def _text(result: Mapping[str, Any]) -> str:
    return (
        f"{report.table(result['packs'])}\n\n{report.table(result['each'])}\n\n"
        f"Load average before {result['load_before']:.2f}, at the end {result['load_after']:.2f}."
    )


if __name__ == "__main__":
    main()
