"""Runs created a second by one dispatcher, beside its floor and the stock pattern.

The floor is a task of the same DAG file that creates as many runs, with the same confs, by the very same
call, and touches no SQS. The two take turns on one Airflow, in alternating order; then the stock pattern
works off a queue of its own. A rate is the number of runs over the time from the first run stored to the
last, by Airflow's database. Every target is unpaused and its one task is held by a pool without slots.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.testing import object_created_body
from tests.benchmarks import report
from tests.benchmarks.stage import Stage, staged

POOL = "held"
_RUN = "round-%d"


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--runs", type=int, default=400, help="runs of each round")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--stock-runs", type=int, default=60)
    chosen = options.parse_args()
    load = report.wait_quiet(chosen.quiet_seconds)
    with staged("throughput", prepare=prepare) as stage:
        stage.cluster.api.call("POST", "/pools", {"name": POOL, "slots": 0})
        for dag_id in ("ours", "floor", "target", "stock", "target_stock"):
            stage.cluster.wait_for_dag(dag_id)
        rates: dict[str, list[float]] = {"ours": [], "floor": []}
        for number in range(chosen.rounds):
            for side in ("ours", "floor") if number % 2 else ("floor", "ours"):
                rates[side].append(_round(stage, side, number, chosen.runs))
        stock = _stock(stage, chosen.stock_runs) if chosen.stock_runs else None
    result = {"load_before": load, "load_after": os.getloadavg()[0], "runs": chosen.runs}
    result |= _result(rates, stock)
    report.publish("throughput", "Runs created a second", _text(result), result, write=chosen.write)


def prepare(aws: EmbeddedAws) -> Mapping[str, str]:
    """Make what the DAG files read from the environment."""
    return {"BENCHMARK_STOCK": aws.notifying_bucket("stock").queue_url, "BENCHMARK_POOL": POOL}


def _round(stage: Stage, side: str, number: int, count: int) -> float:
    conf: dict[str, Any] = {"round": number, "count": count}
    if side == "ours":
        conf["queue"] = stage.aws.notifying_bucket(f"ours-{number}").queue_url
        fill(stage.aws, conf["queue"], f"ours-{number}", count)
    before = stage.run_count("target")
    stage.cluster.api.trigger(side, _RUN % number, conf)
    stage.wait("the runs", lambda: stage.run_count("target") == before + count, 600)
    if side == "ours":
        stage.wait("an empty queue", lambda: stage.aws.counts(conf["queue"]) == (0, 0))
        stage.wait("the deferral", lambda: stage.deferred_seconds("ours") > 0)
        path = f"/dags/ours/dagRuns/{_RUN % number}"
        stage.cluster.api.call("PATCH", path, {"state": "failed"})
    stage.wait("the end of the task", partial(has_ended, stage, side, _RUN % number))
    return rate(stage.created_at("target")[before:])


def has_ended(stage: Stage, dag_id: str, run_id: str) -> bool:
    """Whether a run is over."""
    return stage.state(dag_id, run_id) in {"success", "failed"}


def _stock(stage: Stage, count: int) -> float:
    fill(stage.aws, stage.cluster.variables["BENCHMARK_STOCK"], "stock", count)
    stage.cluster.unpause("stock")
    stage.wait("the runs", lambda: stage.run_count("target_stock") == count, 60 + 6 * count)
    return rate(stage.created_at("target_stock"))


def _incoming(number: int) -> str:
    return f"incoming/file {number:06}.csv"


def fill(
    aws: EmbeddedAws, queue_url: str, bucket: str, count: int, key: Callable[[int], str] = _incoming
) -> None:
    """Send the events of so many new objects, whose keys ``key`` makes of their numbers."""
    bodies = [object_created_body(bucket, key(one)) for one in range(count)]
    for first in range(0, count, 10):
        entries = [
            {"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies[first : first + 10])
        ]
        aws.sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)


def rate(created_at: list[float]) -> float:
    """Return runs a second, from the first to the last."""
    return (len(created_at) - 1) / (created_at[-1] - created_at[0])


def _result(rates: Mapping[str, list[float]], stock: float | None) -> dict[str, Any]:
    middle = {side: statistics.median(values) for side, values in rates.items()}
    rounded = {side: [round(rate, 1) for rate in values] for side, values in rates.items()}
    return {
        "rates": rounded,
        "ours": round(middle["ours"], 1),
        "floor": round(middle["floor"], 1),
        "of_floor": round(middle["ours"] / middle["floor"], 3),
        "stock": None if stock is None else round(stock, 2),
        "times_stock": None if stock is None else round(middle["ours"] / stock, 1),
    }


def _text(result: Mapping[str, Any]) -> str:
    rows = [
        {"side": name, "runs/s, median": result[side], "runs/s, each round": str(result["rates"][side])}
        for side, name in (("floor", "the same calls, no SQS"), ("ours", "one dispatcher"))
    ]
    if result["stock"]:
        rows.append({"side": "stock pattern", "runs/s, median": result["stock"], "runs/s, each round": ""})
    return (
        f"{report.table(rows)}\n\n"
        f"**{result['of_floor']}** of the floor (bar: 0.8), **{result['times_stock']}** times the stock "
        f"pattern (bar: 5). {result['runs']} runs a round. "
        f"Load average before {result['load_before']:.2f}, at the end {result['load_after']:.2f}."
    )


if __name__ == "__main__":
    main()
