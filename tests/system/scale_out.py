"""Several machines' worth of Airflow on one: Celery over Redis, and two of each that may be two.

    python -m tests.system.scale_out

starts one with the DAG files of ``example_dags``, says where its pages are, and ends with Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from airflow_s3events.demo.cluster import Cluster
from tests.system.postgres import Postgres
from tests.system.redis import Redis

SCHEDULERS = ("scheduler", "scheduler-2")
TRIGGERERS = ("triggerer", "triggerer-2")
WORKERS = ("worker-1", "worker-2")
_SLOTS = 6
_READY_SECONDS = 120.0


@dataclass
class ScaledOut(Cluster):
    """A ``Cluster`` with two schedulers, two triggerers, and Celery's workers for the scheduler's own.

    Each has a name of its own for ``kill``, ``pause`` and ``restart``; ``"worker"`` means all workers.
    """

    broker_url: str = ""
    workers: tuple[str, ...] = field(default=WORKERS)

    def __post_init__(self) -> None:
        if self.database_url is None:
            raise ValueError("database_url: Celery needs a database server")
        self.environment = {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": self.broker_url,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{self.database_url}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(_SLOTS),
            "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
            **self.environment,
        }
        super().__post_init__()

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the components, in the order in which they are started."""
        return (*super().components, SCHEDULERS[1], TRIGGERERS[1], *self.workers)

    def start_component(self, component: str, name: str | None = None) -> None:
        """Start one component; a second of its kind has its name and a number."""
        if component in self.workers:
            self._start_worker(component)
        else:
            super().start_component(component.removesuffix("-2"), name or component)

    def wait_healthy(self, timeout_seconds: float = _READY_SECONDS) -> None:
        """Wait until Airflow calls every component healthy, and every worker says that it is ready.

        Raises:
            ClusterError: A component ended.
            TimeoutError: Time is up.
        """
        super().wait_healthy(timeout_seconds)
        deadline = time.monotonic() + timeout_seconds
        while not all("ready." in self.processes.log_tail(name, 200) for name in self.workers):
            self.check_alive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"a worker is not ready\n{self.logs(self.workers)}")
            time.sleep(0.2)

    def pids(self, component: str) -> list[int]:
        """Every process of a component, or of all workers."""
        if component != "worker":
            return self.processes.pids(component)
        return [pid for name in self.workers for pid in self.processes.pids(name)]

    def worker_of(self, pid: int) -> str:
        """Name of the worker that a task's process belongs to.

        Raises:
            LookupError: It is none's.
        """
        for name in self.workers:
            if pid in self.processes.pids(name):
                return name
        raise LookupError(f"process {pid} belongs to no worker")

    def _start_worker(self, name: str) -> None:
        pid_file = self.folder / f"{name}.pid"
        pid_file.unlink(missing_ok=True)  # a killed one leaves it, and the next would not start
        options = ("--celery-hostname", f"{name}@%h", "--pid", str(pid_file), "--skip-serve-logs")
        self._airflow(name, ("celery", "worker", *options))


def main() -> None:
    """Start it and wait for Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    dags = Path(__file__).parents[2] / "example_dags"
    with tempfile.TemporaryDirectory() as place, Postgres() as postgres:
        folder = Path(place)
        with (
            Redis(folder / "redis") as redis,
            ScaledOut(
                folder / "airflow",
                dags_folder=dags,
                database_url=postgres.create_database("airflow"),
                environment={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                broker_url=redis.url,
            ) as airflow,
        ):
            print(f"{', '.join(airflow.components)}: {airflow.url}", flush=True)
            try:
                signal.pause()
            except KeyboardInterrupt:
                print("ending", flush=True)


if __name__ == "__main__":
    main()
