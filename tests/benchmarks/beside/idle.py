"""What waiting costs: calls, memory and processor time of triggers that look at 1, 2, 4 and 8 empty queues.

Each case is a process of its own, with a counted way to AWS of its own; all wait at the same time. The same
triggers run in a triggerer; in a process of their own, what they take is told apart.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # comes with Airflow

from airflow_s3events.demo.aws import EmbeddedAws
from tests.benchmarks.beside.sides import KINDS
from tests.benchmarks.call_counts import CallCounts
from tests.benchmarks.triggerer_memory import pss

COUNTS = (1, 2, 4, 8)
#: After the first receive of all: what happens once, at the start, is no rate.
_WARM_UP_SECONDS = 5.0


def idle(seconds: float) -> dict[str, Any]:
    """For each kind and count: calls an hour, MiB of memory, and processor time in percent of a core."""
    names = [f"{kind}-{count}" for kind in KINDS for count in COUNTS]
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedAws(Path(folder)) as aws,
        CallCounts(aws.port) as counts,
    ):
        for number in range(max(COUNTS)):
            aws.notifying_bucket(f"idle-{number}")
            aws.sqs.purge_queue(QueueUrl=aws.sqs.get_queue_url(QueueName=f"idle-{number}-events")["QueueUrl"])
        waiting = {name: _started(name, counts.connection(name), Path(folder)) for name in names}
        try:
            while not all(_receives(counts, name) for name in names):
                _check_alive(waiting)
                time.sleep(0.5)
            time.sleep(_WARM_UP_SECONDS)
            return _measured(waiting, counts, seconds)
        finally:
            for process in waiting.values():
                process.kill()
                process.wait()


def _receives(counts: CallCounts, name: str) -> bool:
    kind, _, count = name.rpartition("-")
    return counts.of(name)["ReceiveMessage"] >= (1 if kind == "watchers" else int(count))


def _started(name: str, connection: str, folder: Path) -> subprocess.Popen[bytes]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "AWS_"))}
    environment = {**kept, "AIRFLOW_CONN_AWS_DEFAULT": connection, "AIRFLOW_HOME": str(folder / "home")}
    kind, _, count = name.rpartition("-")
    command = [sys.executable, "-m", "tests.benchmarks.beside.waiting", kind, count]
    log = (folder / f"{name}.log").open("wb")
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def _measured(
    waiting: dict[str, subprocess.Popen[bytes]], counts: CallCounts, seconds: float
) -> dict[str, Any]:
    before = {name: (counts.of(name), _processor(process)) for name, process in waiting.items()}
    time.sleep(seconds)
    found: dict[str, Any] = {}
    _check_alive(waiting)
    for name, process in waiting.items():
        calls, used = before[name]
        kind, _, count = name.rpartition("-")
        made = counts.of(name) - calls
        found.setdefault(kind, {})[count] = {
            "calls": {action: round(number * 3600 / seconds) for action, number in made.items()},
            "mib": round(pss(process.pid) / 2**20, 1),
            "processor_percent": round(100 * (_processor(process) - used) / seconds, 2),
        }
    return found


def _check_alive(waiting: dict[str, subprocess.Popen[bytes]]) -> None:
    if dead := [name for name, process in waiting.items() if process.poll() is not None]:
        raise RuntimeError(f"ended by themselves: {', '.join(dead)}")


def _processor(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Measure alone, and print."""
    print(json.dumps(idle(float(sys.argv[1]))))


if __name__ == "__main__":
    main()
