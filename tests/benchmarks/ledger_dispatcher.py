"""What a ledger in PostgreSQL costs a real dispatcher on a whole Airflow: with and without, in turns.

A rate is the number of runs over the time from the first run stored to the last, by Airflow's database. The
ledger has a PostgreSQL of its own. Beside the rates stands the time that the calls of the ledger took within
the task, by its own clock: other work on the machine slows both alike, so the share is steadier than a rate.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping
from functools import partial
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws
from tests.benchmarks import report
from tests.benchmarks.stage import Stage, staged
from tests.benchmarks.throughput import fill, rate
from tests.system.postgres import Postgres

_POOL = "held"
_SIDES = ("without", "ledger", "newest")


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--runs", type=int, default=200, help="runs of each round")
    options.add_argument("--rounds", type=int, default=8)
    chosen = options.parse_args()
    load = report.wait_quiet(chosen.quiet_seconds)
    with Postgres() as server, staged("ledger", prepare=partial(_prepare, server)) as stage:
        stage.cluster.api.call("POST", "/pools", {"name": _POOL, "slots": 0})
        for dag_id in (*_SIDES, "target"):
            stage.cluster.wait_for_dag(dag_id)
        rounds: dict[str, list[tuple[float, float]]] = {side: [] for side in _SIDES}
        for number in range(chosen.rounds):
            for side in _SIDES if number % 2 else reversed(_SIDES):
                rounds[side].append(_round(stage, side, number, chosen.runs))
    result = {"load_before": load, "load_after": os.getloadavg()[0], "runs": chosen.runs, **_result(rounds)}
    report.publish(
        "ledger_dispatcher",
        "What a ledger costs on a whole Airflow",
        _text(result),
        result,
        write=chosen.write,
    )


def _prepare(server: Postgres, aws: EmbeddedAws) -> Mapping[str, str]:  # noqa: ARG001 - the stage gives it
    server.create_database("ledger")
    where = {"host": "127.0.0.1", "port": server.port, "login": "airflow", "schema": "ledger"}
    connection = json.dumps({"conn_type": "postgres", **where})
    return {"BENCHMARK_POOL": _POOL, "AIRFLOW_CONN_LEDGER_DB": connection}


def _round(stage: Stage, side: str, number: int, count: int) -> tuple[float, float]:
    """Return runs a second, and milliseconds of the ledger for each run."""
    name = f"{side}-{number}"
    queue = stage.aws.notifying_bucket(name).queue_url
    fill(stage.aws, queue, name, count)
    spent = stage.folder / "ledger_seconds"
    spent.unlink(missing_ok=True)
    before = stage.run_count("target")
    stage.cluster.api.trigger(side, name, {"queue": queue})
    stage.wait("the runs", lambda: stage.run_count("target") == before + count, 600)
    stage.wait("an empty queue", lambda: stage.aws.counts(queue) == (0, 0))
    stage.wait("the deferral", lambda: stage.deferred_seconds(side) > 0)
    stage.cluster.api.call("PATCH", f"/dags/{side}/dagRuns/{name}", {"state": "failed"})
    stage.wait("the end of the task", lambda: stage.state(side, name) in {"success", "failed"})
    seconds = sum(map(float, spent.read_text().split()))
    return rate(stage.created_at("target")[before:]), 1000 * seconds / count


def _result(rounds: Mapping[str, list[tuple[float, float]]]) -> dict[str, Any]:
    rates = {side: [one[0] for one in each] for side, each in rounds.items()}
    spent = {side: statistics.median(one[1] for one in each) for side, each in rounds.items()}
    whole = {side: 1000 / statistics.median(each) for side, each in rates.items()}
    pairs = {
        side: [with_ / without for with_, without in zip(rates[side], rates["without"], strict=True)]
        for side in _SIDES
    }
    return {
        "rates": {side: [round(one, 1) for one in each] for side, each in rates.items()},
        "median_rate": {side: round(statistics.median(each), 1) for side, each in rates.items()},
        "of_without": {side: round(statistics.median(each), 3) for side, each in pairs.items()},
        "ledger_ms": {side: round(one, 2) for side, one in spent.items()},
        "share_percent": {side: round(100 * spent[side] / whole[side], 1) for side in _SIDES},
    }


def _text(result: Mapping[str, Any]) -> str:
    rows = [
        {
            "side": side,
            "runs/s, median": result["median_rate"][side],
            "of a round without, median": result["of_without"][side],
            "ms in the ledger, a run": result["ledger_ms"][side],
            "of the time of a run": f"{result['share_percent'][side]} %",
            "runs/s, each round": str(result["rates"][side]),
        }
        for side in _SIDES
    ]
    most = max(result["share_percent"].values())
    return (
        f"{report.table(rows)}\n\n**{most} %** of a dispatcher's time at most is spent in the ledger"
        f" (bar: 10 %). {result['runs']} runs a round."
        f" Load average before {result['load_before']:.2f}, at the end {result['load_after']:.2f}."
    )


if __name__ == "__main__":
    main()
