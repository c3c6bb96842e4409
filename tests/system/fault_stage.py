"""The stage of the fifteen faults: a queue, a dispatcher and a target for each, on an Airflow that runs."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_s3events.demo.aws import REGION, EmbeddedAws
from airflow_s3events.demo.cluster import Cluster
from tests.page_server import PageServer
from tests.statsd import StatsdServer
from tests.system.aws_proxy import aws_proxy
from tests.system.fault_place import Place, Wrath
from tests.system.fault_signs import AWS_CONN_ID, LEDGER_CONN_ID, SMALL_LEDGER_CONN_ID, Fault
from tests.system.lookout import Lookout
from tests.system.postgres import Postgres

_SMALL = "2m"
_READY_SECONDS = 240.0


@dataclass(frozen=True)
class FaultStage:
    """Where faults are made, each at its place, and who looks for their signs."""

    lookout: Lookout
    places: dict[str, Place]

    def is_ready(self) -> bool:
        """Whether every queue is read, every dispatcher waits for messages, and every DAG is known."""
        sent = self.lookout.statsd.so_far()
        read = {tags.get("queue") for name, _, _, tags in sent if name == "s3events.receive.calls"}
        if not read.issuperset(place.queue for place in self.places.values()):
            return False
        for place in self.places.values():
            api = place.cluster.api
            if not api.has_dag(place.target):
                return False
            if api.has_dag(place.name):
                tasks = api.task_instances(place.name)
                if not any(task["state"] == "deferred" for task in tasks):
                    return False
        return True

    def make(self, faults: Sequence[Fault]) -> dict[str, float]:
        """Make the faults, all at once; return when each was made."""
        since = {}
        for fault in faults:
            since[fault.name] = time.monotonic()
            fault.make(self.places[fault.name])
        return since


@contextmanager
def fault_stage(
    cluster: Cluster, aws: EmbeddedAws, statsd: StatsdServer, folder: Path, faults: Sequence[Fault]
) -> Iterator[FaultStage]:
    """Set the stage and take it down again. Raises ``PostgresMissingError`` without a PostgreSQL."""
    wrath = Wrath()
    with ExitStack() as stack:
        url = stack.enter_context(aws_proxy(aws.endpoint_url, instead=wrath.answer))
        postgres = stack.enter_context(Postgres())
        postgres.create_database("ledger")
        small = stack.enter_context(small_disk(folder / "small"))
        connections = {
            AWS_CONN_ID: _aws(url),
            "ledger_away": {
                "conn_type": "postgres",
                "host": "127.0.0.1",
                "port": postgres.port,
                "login": "airflow",
                "schema": "ledger",
            },
            LEDGER_CONN_ID: {"conn_type": "sqlite", "schema": str(folder / "ledger.db")},
            SMALL_LEDGER_CONN_ID: {"conn_type": "sqlite", "schema": str(small / "ledger.db")},
        }
        for conn_id, connection in connections.items():
            stack.enter_context(_connection(cluster, conn_id, connection))
        places = {
            fault.name: _place(cluster, aws, wrath, postgres.kill, lambda: fill(small)) for fault in faults
        }
        stack.callback(_clear, cluster, list(places.values()))
        for fault in faults:
            places[fault.name].write(fault.source())
        page = PageServer(folder, cluster.variables, _options(faults, places))
        stack.enter_context(page)
        yield FaultStage(Lookout(cluster, page, statsd, _environment(page, url, statsd, folder)), places)


def _aws(url: str) -> dict[str, Any]:
    extra = json.dumps({"endpoint_url": url, "region_name": REGION})
    return {"conn_type": "aws", "login": "demo", "password": "demo", "extra": extra}


def _options(faults: Sequence[Fault], places: dict[str, Place]) -> dict[str, str]:
    return {"page_queues": json.dumps([fault.watched(places[fault.name]) for fault in faults])}


def _environment(page: PageServer, url: str, statsd: StatsdServer, folder: Path) -> dict[str, str]:
    """What the command needs: nothing of the Airflow that it looks at but an address and a login."""
    address = {
        "conn_type": "http",
        "host": "127.0.0.1",
        "port": page.port,
        "login": "admin",
        "password": "pw-of-admin",
    }
    aws = _aws(url)
    return {
        "AIRFLOW_HOME": str(folder / "command"),
        "AIRFLOW_CONN_AIRFLOW_API": json.dumps(address),
        f"AIRFLOW_CONN_{AWS_CONN_ID.upper()}": json.dumps({**aws, "extra": json.loads(aws["extra"])}),
        "NO_PROXY": "*",
        **statsd.settings,
    }


def _place(
    cluster: Cluster,
    aws: EmbeddedAws,
    wrath: Wrath,
    harm_ledger: Callable[[], object],
    fill_disk: Callable[[], object],
) -> Place:
    name = f"sign-{secrets.token_hex(3)}"
    bucket = aws.notifying_bucket(name, max_receive_count=20)
    return Place(name, aws, cluster, wrath, bucket, harm_ledger, fill_disk)


@contextmanager
def _connection(cluster: Cluster, conn_id: str, connection: dict[str, Any]) -> Iterator[None]:
    cluster.api.call("POST", "/connections", {"connection_id": conn_id, **connection})
    try:
        yield
    finally:
        with suppress(Exception):
            cluster.api.call("DELETE", f"/connections/{conn_id}")


def _clear(cluster: Cluster, places: Sequence[Place]) -> None:
    for place in places:
        (cluster.dags_folder / f"{place.name}_dags.py").unlink(missing_ok=True)
        with suppress(Exception):
            cluster.api.set_paused(place.name, True)


def can_mount() -> bool:
    """Whether a disk can be made here that is soon full."""
    with suppress(OSError, subprocess.CalledProcessError):
        folder = Path("/tmp") / f"s3events-can-mount-{secrets.token_hex(3)}"  # noqa: S108 - empty, and removed
        with small_disk(folder, must=True):
            return True
    return False


@contextmanager
def small_disk(folder: Path, size: str = _SMALL, *, must: bool = False) -> Iterator[Path]:
    """Mount a disk of this size; where that is refused it is a folder like any other, unless it ``must``."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "s3events", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=must).returncode == 0
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def fill(disk: Path) -> None:
    """Write until there is no room left."""
    with suppress(OSError), (disk / "full").open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4_096)


def wait_ready(stage: FaultStage, timeout_seconds: float = _READY_SECONDS) -> None:
    """Wait until everything works."""
    deadline = time.monotonic() + timeout_seconds
    while not stage.is_ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not ready in {timeout_seconds:.0f} s")
        time.sleep(1.0)
