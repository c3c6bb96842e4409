"""Memory of a real triggerer whose trigger looks at a queue of 100 messages, and of 100,000.

The woken task leaves the messages where they are and defers again, so the trigger meets the full queue
every few seconds. What counts is the peak of the triggerer's processes together, in memory of their own and
their share of what they share (PSS).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil  # type: ignore[import-untyped]  # comes with Airflow

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.testing import object_created_body
from tests.benchmarks import report
from tests.benchmarks.stage import Stage, staged

_BAR_MIB = 40
_FEW = 100


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--messages", type=int, default=100_000)
    options.add_argument("--seconds", type=float, default=60.0, help="length of each measurement")
    chosen = options.parse_args()
    with staged("triggerer_memory", prepare=_prepare) as stage:
        queue = stage.cluster.variables["BENCHMARK_QUEUE"]
        stage.cluster.wait_for_dag("woken")
        _fill(stage.aws, queue, _FEW)
        stage.cluster.api.trigger("woken", "memory")
        # The first deferrals load the AWS libraries.
        stage.wait("a few deferrals", lambda: stage.deferred_seconds("woken") > 3)
        _peak(stage, chosen.seconds / 2)
        peaks = {_FEW: _peak(stage, chosen.seconds)}
        _fill(stage.aws, queue, chosen.messages - _FEW)
        waiting = sum(stage.aws.counts(queue))
        peaks[waiting] = _peak(stage, chosen.seconds)
        woken = stage.state("woken", "memory")
    result = _result(peaks, woken)
    report.publish("triggerer_memory", "Memory of the triggerer", _text(result), result, write=chosen.write)


def _prepare(aws: EmbeddedAws) -> Mapping[str, str]:
    return {"BENCHMARK_QUEUE": aws.sqs.create_queue(QueueName="waiting")["QueueUrl"]}


def _fill(aws: EmbeddedAws, queue_url: str, count: int) -> None:
    def send(first: int) -> None:
        bodies = [object_created_body("landing", f"file {first + one:06}.csv") for one in range(10)]
        entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies)]
        aws.sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(0, count, 10)))


def _peak(stage: Stage, seconds: float) -> float:
    """The most memory that the triggerer's processes had together, in MiB."""
    deadline = time.monotonic() + seconds
    most = 0
    while time.monotonic() < deadline:
        most = max(most, sum(pss(pid) for pid in stage.cluster.pids("triggerer")))
        time.sleep(0.5)
    return most / 2**20


def pss(pid: int) -> int:
    """Memory of a process: its own and its share of what it shares, in bytes; 0 if it has ended."""
    try:
        return int(psutil.Process(pid).memory_full_info().pss)
    except psutil.Error:  # it ended meanwhile
        return 0


def _result(peaks: Mapping[int, float], state: str) -> dict[str, Any]:
    few, many = peaks.values()
    rounded = {str(count): round(mib, 1) for count, mib in peaks.items()}
    return {"peak_mib": rounded, "more_mib": round(many - few, 1), "task": state, "load": os.getloadavg()[0]}


def _text(result: Mapping[str, Any]) -> str:
    rows = [{"messages waiting": count, "peak, MiB": mib} for count, mib in result["peak_mib"].items()]
    return f"{report.table(rows)}\n\n**{result['more_mib']} MiB** more (bar: {_BAR_MIB} MiB)."


if __name__ == "__main__":
    main()
