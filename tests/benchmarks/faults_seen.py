"""How soon fifteen faults are seen: in the metrics, on the page in Airflow's UI and by ``s3events status``.

Run it with ``python -m tests.benchmarks.faults_seen``. Each fault is made on a whole Airflow that runs; the
seconds are from then until its sign was there, the looks' own time included: the page is asked every two
seconds, the command is started when the page has shown it. Those of one queue are made at once, each on a
queue of its own; those of the whole Airflow come after them, one by one. Time-outs are Airflow's own.
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
_DISK = "300m"
#: Looks for longer than is allowed: a sign that comes late is a figure, too.
_SLACK_SECONDS = 240.0
_MISSED = "not seen"


def main() -> None:
    """Make the faults, measure, print, write."""
    chosen = report.parser(__doc__).parse_args()
    load = report.wait_quiet(chosen.quiet_seconds)
    rows = []
    with tempfile.TemporaryDirectory(prefix="s3events-faults-") as name:
        folder = Path(name)
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
            environment={"AIRFLOW__TRIGGERER__QUEUES_ENABLED": "True", **statsd.settings},
        )
        yield stack.enter_context(cluster), aws, statsd, disk


Found = dict[str, float]


def _all(
    cluster: Cluster, aws: EmbeddedAws, statsd: StatsdServer, folder: Path, disk: Path
) -> Iterator[tuple[Fault, Found]]:
    with fault_stage(cluster, aws, statsd, folder / "queues", FAULTS) as stage:
        wait_ready(stage, 600)
        yield from _seen(stage, FAULTS)
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
    since = stage.make(faults)
    most = max(fault.allowed_seconds for fault in faults)
    found = stage.lookout.watch(signs, since, most + _SLACK_SECONDS)
    yield from ((fault, found[fault.name]) for fault in faults)


def _start_triggerer(stage: FaultStage) -> None:
    cluster = stage.lookout.cluster
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
    "database_away": lambda _: None,
}


def _row(fault: Fault, found: Found) -> dict[str, Any]:
    def seconds(place: str) -> str:
        return f"{found[place]:.0f} s" if place in found else _MISSED

    tags = "".join(f" {name}={value}" for name, value in fault.tags.items())
    return {
        "fault": fault.name,
        "in metrics": f"`{fault.metric}`{tags}",
        "finding": f"`{fault.code}`",
        "allowed": f"{fault.own_seconds:.0f} + {fault.top_seconds:.0f} s ({fault.top})",
        "metrics": seconds("metrics"),
        "page": seconds("page"),
        "status": seconds("command"),
    }


if __name__ == "__main__":
    main()
