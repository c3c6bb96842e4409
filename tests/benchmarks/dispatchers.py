"""Runs created a second by one, two and four dispatchers on one queue, each beside its floor.

The floor is as many tasks that create as many runs together, by the very same call, and touch no SQS. The two
take turns, in alternating order, on the Airflow of ``throughput``. A rate is the number of runs over the time
from the first run stored to the last, by Airflow's database.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping
from functools import partial
from typing import Any

from tests.benchmarks import report
from tests.benchmarks.stage import Stage, staged
from tests.benchmarks.throughput import POOL, fill, has_ended, prepare, rate

_SIDES = ("ours", "floor")


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--runs", type=int, default=600, help="runs of each round")
    options.add_argument("--rounds", type=int, default=3, help="of each number of dispatchers")
    options.add_argument("--dispatchers", type=int, nargs="+", default=[1, 2, 4])
    chosen = options.parse_args()
    load = report.wait_quiet(chosen.quiet_seconds)
    rates: dict[int, dict[str, list[float]]] = {
        count: {side: [] for side in _SIDES} for count in chosen.dispatchers
    }
    with staged("throughput", prepare=prepare) as stage:
        stage.cluster.api.call("POST", "/pools", {"name": POOL, "slots": 0})
        for dag_id in ("ours", "floor", "target"):
            stage.cluster.wait_for_dag(dag_id)
        bytes_before = _database_bytes(stage)
        for number in range(chosen.rounds):
            for count, found in rates.items():
                for side in _SIDES if number % 2 else reversed(_SIDES):
                    found[side].append(_round(stage, side, f"{number}-{count}", count, chosen.runs))
        grown = (_database_bytes(stage) - bytes_before) / stage.run_count("target")
    result = {"load_before": load, "load_after": os.getloadavg()[0], "runs": chosen.runs}
    result["bytes_a_run"] = round(grown)
    result["dispatchers"] = {str(count): _figures(found) for count, found in rates.items()}
    report.publish("dispatchers", "Dispatchers side by side", _text(result), result, write=chosen.write)


def _round(stage: Stage, side: str, name: str, creators: int, count: int) -> float:
    """Have ``creators`` tasks create ``count`` runs together; return runs a second."""
    conf: dict[str, Any] = {"count": count // creators}
    if side == "ours":
        conf["queue"] = stage.aws.notifying_bucket(f"ours-{name}").queue_url
        fill(stage.aws, conf["queue"], f"ours-{name}", count)
    before, names = stage.run_count("target"), [f"{name}-{one}" for one in range(creators)]
    for one in names:
        stage.cluster.api.trigger(side, one, {**conf, "round": one})
    wanted = before + conf["count"] * creators
    stage.wait("the runs", lambda: stage.run_count("target") == wanted, 600)
    if side == "ours":
        stage.wait("an empty queue", lambda: stage.aws.counts(conf["queue"]) == (0, 0))
    for one in names if side == "ours" else ():
        stage.cluster.api.call("PATCH", f"/dags/ours/dagRuns/{one}", {"state": "failed"})
    for one in names:
        stage.wait("the end of the tasks", partial(has_ended, stage, side, one))
    return rate(stage.created_at("target")[before:])


def _database_bytes(stage: Stage) -> int:
    return int(stage.rows("SELECT pg_database_size(current_database())")[0][0])


def _figures(found: Mapping[str, list[float]]) -> dict[str, Any]:
    middle = {side: statistics.median(values) for side, values in found.items()}
    return {
        **{side: round(value, 1) for side, value in middle.items()},
        "of_floor": round(middle["ours"] / middle["floor"], 3),
        "rounds": {side: [round(value, 1) for value in values] for side, values in found.items()},
    }


def _text(result: Mapping[str, Any]) -> str:
    rows = [
        {
            "dispatchers": count,
            "runs/s": found["ours"],
            "as many tasks, no SQS": found["floor"],
            "of the floor (bar: 0.9)": f"**{found['of_floor']}**",
            "each round": f"{found['rounds']['ours']} and {found['rounds']['floor']}",
        }
        for count, found in result["dispatchers"].items()
    ]
    return (
        f"{report.table(rows)}\n\n{result['runs']} runs a round. Each run of one task left "
        f"{result['bytes_a_run']:,} bytes in PostgreSQL, indexes included. "
        f"Load average before {result['load_before']:.2f}, at the end {result['load_after']:.2f}."
    )


if __name__ == "__main__":
    main()
