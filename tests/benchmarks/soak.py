"""Memory of a dispatcher's task and of a triggerer, over an hour of objects that trickle in.

One queue has a dispatcher, whose task goes on as long as objects come within its linger; the other an asset,
whose watcher lives in the triggerer. What counts is how much each grew after its first ten minutes: the
median of the last five, less that of the five after the first ten, in memory of their own and their share of
what they share (PSS). The logs of both are searched for clients that nobody closed.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.testing import object_created_body
from tests.benchmarks import report
from tests.benchmarks.stage import Stage, staged
from tests.benchmarks.triggerer_memory import pss

_BAR_MB = 5.0
_WARM_UP_SECONDS = 600.0
_WINDOW_SECONDS = 300.0
_UNCLOSED = re.compile(r"[Uu]nclosed (client|connect|transport)\S*")
#: Seconds since the start to megabytes of each process.
Sample = tuple[float, Mapping[str, float]]


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--minutes", type=float, default=60.0)
    options.add_argument("--every", type=float, default=3.0, help="seconds between two objects of a queue")
    chosen = options.parse_args()
    with staged("soak", prepare=_prepare) as stage:
        for dag_id in ("dispatcher", "target", "watching"):
            stage.cluster.wait_for_dag(dag_id)
        samples = list(_samples(stage, chosen.minutes * 60, chosen.every))
        result = _result(stage, samples)
    report.publish("soak", "An hour of objects", _text(result), result, write=chosen.write)


def _prepare(aws: EmbeddedAws) -> Mapping[str, str]:
    names = ("runs", "asset")
    return {f"BENCHMARK_{name.upper()}": aws.notifying_bucket(name).queue_url for name in names}


def _samples(stage: Stage, seconds: float, every: float) -> Iterator[Sample]:
    start, number = time.monotonic(), 0
    while (now := time.monotonic() - start) < seconds:
        for name in ("RUNS", "ASSET"):
            body = object_created_body(name.lower(), f"in/{number:06}.csv")
            stage.aws.sqs.send_message(
                QueueUrl=stage.cluster.variables[f"BENCHMARK_{name}"], MessageBody=body
            )
        number += 1
        triggerer = sum(pss(pid) for pid in stage.cluster.pids("triggerer"))
        yield now, {"triggerer": triggerer / 1e6, "dispatcher": _dispatcher(stage)}
        time.sleep(max(0.0, every - (time.monotonic() - start - now)))


def _dispatcher(stage: Stage) -> float:
    """Memory of the dispatcher's task; not a number while there is none."""
    sql = "SELECT pid FROM task_instance WHERE dag_id = 'dispatcher' AND state = 'running'"
    memory = [pss(int(pid)) for (pid,) in stage.rows(sql) if pid]
    return memory[0] / 1e6 if memory and memory[0] else float("nan")


def _result(stage: Stage, samples: list[Sample]) -> dict[str, Any]:
    end = samples[-1][0]
    grown = {}
    for name in ("triggerer", "dispatcher"):
        early, late = (
            _median(samples, name, first, first + _WINDOW_SECONDS)
            for first in (min(_WARM_UP_SECONDS, end / 3), end - _WINDOW_SECONDS)
        )
        grown[name] = {"early": round(early, 1), "late": round(late, 1), "grew": round(late - early, 2)}
    runs = {name: stage.run_count(name) for name in ("target", "watching", "dispatcher")}
    unclosed = sum(len(_UNCLOSED.findall(path.read_text(errors="replace"))) for path in _logs(stage))
    return {
        "minutes": round(end / 60, 1),
        "objects": 2 * len(samples),
        "megabytes": grown,
        "runs": runs,
        "tries": int(
            stage.rows("SELECT max(try_number) FROM task_instance WHERE dag_id = 'dispatcher'")[0][0]
        ),
        "unclosed_clients": unclosed,
        "load_after": os.getloadavg()[0],
    }


def _median(samples: list[Sample], name: str, first: float, last: float) -> float:
    known = [memory[name] for at, memory in samples if first <= at <= last and memory[name] == memory[name]]
    return statistics.median(known) if known else float("nan")


def _logs(stage: Stage) -> Iterator[Path]:
    yield stage.cluster.processes.log_path("triggerer")
    yield from (stage.cluster.folder / "logs").rglob("*.log")


def _text(result: Mapping[str, Any]) -> str:
    rows = [
        {
            "process": name,
            "MB after ten minutes": found["early"],
            "MB at the end": found["late"],
            f"grew, MB (bar: {_BAR_MB:g})": f"**{found['grew']}**",
        }
        for name, found in result["megabytes"].items()
    ]
    return (
        f"{report.table(rows)}\n\n{result['objects']} objects in {result['minutes']} minutes; "
        f"**{result['unclosed_clients']}** clients that nobody closed. "
        f"{result['runs']['target']} runs by the dispatcher, {result['runs']['watching']} by the asset. "
        f"Load average at the end {result['load_after']:.2f}."
    )


if __name__ == "__main__":
    main()
