"""How soon fifteen faults are seen: in the metrics, on the page in Airflow's UI and by ``s3events status``.

Run it with ``python -m tests.benchmarks.faults_seen``. Each fault is made on a whole Airflow that runs; the
seconds are from then until its sign was there, the looks' own time included: the page is asked every two
seconds, the command is started when the page has shown it. Those of one queue are made four at a time, each
on a queue of its own; those of the whole Airflow come after them, one by one. Time-outs are Airflow's own.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.demo.cluster import Cluster
from tests.benchmarks import report
from tests.statsd import StatsdServer
from tests.system.fault_signs import FAULTS, WHOLE, Fault
from tests.system.fault_stage import FaultStage, fault_stage, fill, small_disk, wait_ready
from tests.system.postgres import Postgres

#: Room for PostgreSQL, an Airflow's tables and the log of its writes.
_DISK = "800m"
#: Looks for longer than is allowed: a sign that comes late is a figure, too.
_SLACK_SECONDS = 240.0
_MISSED = "not seen"
_AT_ONCE = 4
_PLACES = {"metrics", "page", "command"}


def main() -> None:
    """Make the faults, measure, print, write."""
    chosen = report.parser(__doc__).parse_args()
    load = report.wait_quiet(chosen.quiet_seconds)
    rows = []
    with tempfile.TemporaryDirectory(prefix="s3events-faults-") as name:
        folder = Path(name)
        # PostgreSQL does not run as root, and has to reach its folder.
        folder.chmod(0o755)
        with _airflow(folder) as (cluster, aws, statsd, disk):
            for fault, found in _all(cluster, aws, statsd, folder, disk):
                rows.append(_row(fault, found))
                print(json.dumps(rows[-1]), flush=True)
    result = {"load_before": round(load, 2), "faults": rows}
    report.publish("faults_seen", "How soon a fault is seen", report.table(rows), result, write=chosen.write)


@contextmanager
def _airflow(folder: Path) -> Iterator[tuple[Cluster, EmbeddedAws, StatsdServer, Path]]:
    """An Airflow whose database is on a disk of its own."""
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk", _DISK, must=True))
        tempfile.tempdir = str(disk)
        postgres = stack.enter_context(Postgres())
        tempfile.tempdir = None
        aws = stack.enter_context(EmbeddedAws(folder / "aws"))
        statsd = StatsdServer()
        stack.callback(statsd.close)
        cluster = Cluster(
            folder / "airflow",
            dags_folder=folder / "dags",
            database_url=postgres.create_database("airflow"),
            environment=dict(statsd.settings),
        )
        yield stack.enter_context(cluster), aws, statsd, disk


Found = dict[str, float]


def _all(
    cluster: Cluster, aws: EmbeddedAws, statsd: StatsdServer, folder: Path, disk: Path
) -> Iterator[tuple[Fault, Found]]:
    with fault_stage(cluster, aws, statsd, folder / "queues", FAULTS) as stage:
        wait_ready(stage, 600)
        # Some at a time, since each look at a fault costs a process.
        for first in range(0, len(FAULTS), _AT_ONCE):
            yield from _seen(stage, FAULTS[first : first + _AT_ONCE])
    with fault_stage(cluster, aws, statsd, folder / "whole", WHOLE) as stage:
        wait_ready(stage, 600)
        for fault in WHOLE:
            mend = _MENDING[fault.code]
            stage.places[fault.name].fill_disk = lambda: fill(disk)
            yield from _seen(stage, [fault])
            mend(stage)


def _seen(stage: FaultStage, faults: tuple[Fault, ...] | list[Fault]) -> Iterator[tuple[Fault, Found]]:
    signs = {fault.name: fault.sign(stage.places[fault.name]) for fault in faults}
    before = stage.lookout.on_page()
    for fault in faults:
        shown = before[signs[fault.name].key]
        assert fault.code not in shown, f"{fault.name}: {shown} before it was made"
    sent = len(stage.lookout.statsd.so_far())
    since = stage.make(faults)
    most = max(fault.allowed_seconds for fault in faults)
    found = stage.lookout.watch(signs, since, sent, most + _SLACK_SECONDS)
    yield from ((fault, found[fault.name]) for fault in faults)


def _start_triggerer(stage: FaultStage) -> None:
    cluster = stage.lookout.cluster
    if "elsewhere" in cluster.processes.names():
        cluster.processes.stop("elsewhere")
    cluster.restart("triggerer")
    deadline = time.monotonic() + 300
    while any(
        {"triggerer_dead", "triggerer_elsewhere"} & codes for codes in stage.lookout.on_page().values()
    ):
        if time.monotonic() > deadline:
            raise TimeoutError("the triggerer does not come back")
        time.sleep(2)


_MENDING: dict[str, Callable[[FaultStage], None]] = {
    "triggerer_dead": _start_triggerer,
    "triggerer_elsewhere": _start_triggerer,
    "scheduler_dead": lambda _: None,
}


def _row(fault: Fault, found: Found) -> dict[str, Any]:
    def seconds(place: str) -> str:
        return f"{found[place]:.0f} s" if place in found else _MISSED

    tags = "".join(f" {name}={value}" for name, value in fault.tags.items())
    return {
        "fault": fault.name,
        "in metrics": f"`{fault.metric}`{tags}",
        "finding": f"`{fault.code}`",
        "own interval": f"{fault.own_seconds:.0f} s",
        "on top": "-" if fault.top == "-" else f"{fault.top_seconds:.0f} s: {fault.top}",
        "allowed, with the look": f"{fault.allowed_seconds:.0f} s",
        "metrics": seconds("metrics"),
        "page": seconds("page"),
        "status, the command's own run": f"{seconds('command')}, {seconds('took')}",
        "in time": "yes" if _is_in_time(fault, found) else "**no**",
    }


def _is_in_time(fault: Fault, found: Found) -> bool:
    """Return whether it was seen in all three places, not counting how long the command itself ran."""
    if not set(found) >= _PLACES:
        return False
    by_command = found["command"] - found["took"]
    # It is the command that sends this metric.
    metrics = by_command if fault.metric == "finding" else found["metrics"]
    return max(metrics, found["page"], by_command) <= fault.allowed_seconds


if __name__ == "__main__":
    main()
