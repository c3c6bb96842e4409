"""What a fault is done to: a whole Airflow, its database, the SQS before it, its clocks and disk."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.demo.cluster import Cluster
from tests.system.faults import clocks, log_disk
from tests.system.faults.clocks import JUMPS, Clocks
from tests.system.faults.log_disk import LogDisk
from tests.system.faults.weather import Weather, weather
from tests.system.postgres import Postgres
from tests.system.redis import Redis
from tests.system.scale_out import ScaledOut

_POLL_SECONDS = 0.05
_CLOCK, _DISK, _MOVES = "clock-", "log-disk", "triggerer-moves"


@dataclass(frozen=True, kw_only=True)
class Ground:
    """``say`` writes progress; ``clocks`` and ``log_disk`` are None where no fault needs them."""

    cluster: Cluster
    postgres: Postgres
    database_url: str
    sky: Weather
    say: Callable[[str], None]
    clocks: Clocks | None = None
    log_disk: LogDisk | None = None
    freeze_seconds: float = 320.0
    #: Seconds by which a clock may jump.
    jumps: tuple[int, ...] = JUMPS
    #: Components that a fault keeps away.
    away: set[str] = field(default_factory=set)
    #: What each triggerer that stood still lost to the other; see ``moves``.
    moves: list[dict[str, Any]] = field(default_factory=list)

    @property
    def components(self) -> tuple[str, ...]:
        """Names of all that runs."""
        return self.cluster.components

    @contextmanager
    def revived(self) -> Iterator[Counter[str]]:
        """Start anew what ends by itself, as systemd would; yield how often which component was."""
        over, revived = threading.Event(), Counter[str]()

        def watch() -> None:
            while not over.wait(1.0):
                for name in set(self.components) - self.away:
                    if self.cluster.processes.exit_status(name) is not None:
                        revived[name] += 1
                        self.restart(name)

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        try:
            yield revived
        finally:
            over.set()
            watching.join()

    def restart(self, name: str) -> None:
        """Start a component anew, after ending what may be left of it."""
        self.cluster.restart(name)

    def worker_of(self, pid: int) -> str | None:
        """Name of the Celery worker that a task's process belongs to; None where there is no Celery."""
        return self.cluster.worker_of(pid) if isinstance(self.cluster, ScaledOut) else None

    def wait(self, what: str, probe: Callable[[], Any], timeout_seconds: float) -> Any:
        """Ask until the answer is true.

        Raises:
            TimeoutError: It did not become true.
        """
        deadline = time.monotonic() + timeout_seconds
        while not (answer := probe()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout_seconds:.0f} s for: {what}")
            time.sleep(_POLL_SECONDS)
        return answer

    def rows(self, sql: str, **values: Any) -> list[Any]:
        """Ask Airflow's database."""
        from sqlalchemy import text

        with self._engine.connect() as connection:
            return list(connection.execute(text(sql), values))

    def execute(self, sql: str, **values: Any) -> None:
        """Change Airflow's database."""
        from sqlalchemy import text

        with self._engine.begin() as connection:
            connection.execute(text(sql), values)

    @cached_property
    def _engine(self) -> Any:
        from sqlalchemy import create_engine

        return create_engine(self.database_url, pool_pre_ping=True)


def left_out(kinds: Sequence[str], *, triggerers: int) -> dict[str, str]:
    """Return the kinds of fault that cannot be played here, each with the reason."""
    found = {}
    for kind in kinds:
        if kind.startswith(_CLOCK) and clocks.find_library() is None:
            found[kind] = "libfaketime is not installed (Debian: apt-get install faketime)"
        if kind == _DISK and (reason := log_disk.missing()):
            found[kind] = reason
        if kind == _MOVES and triggerers < 2:
            found[kind] = "there is one triggerer; --scale-out starts two"
    return found


@contextmanager
def prepared(
    folder: Path,
    aws: EmbeddedAws,
    postgres: Postgres,
    kinds: Sequence[str],
    *,
    environment: Mapping[str, str],
    scale_out: bool,
) -> Iterator[dict[str, Any]]:
    """Yield what makes a ``Ground`` for these kinds of fault; its cluster is not started."""
    with ExitStack() as stack:
        sky = stack.enter_context(weather(aws.endpoint_url))
        connection = aws.connection.replace(aws.endpoint_url, sky.url)
        variables = {"AIRFLOW_CONN_AWS_DEFAULT": connection, **environment}
        found: dict[str, Any] = {"sky": sky, "postgres": postgres, "clocks": None, "log_disk": None}
        library = clocks.find_library()
        if library is not None and any(kind.startswith(_CLOCK) for kind in kinds):
            found["clocks"] = Clocks(folder / "clocks", library)
        if _DISK in kinds:
            found["log_disk"] = disk = stack.enter_context(log_disk.log_disk(folder / "logs"))
            variables["AIRFLOW__LOGGING__BASE_LOG_FOLDER"] = str(disk.folder)
        url = found["database_url"] = postgres.create_database("airflow")
        start: Callable[..., Cluster] = Cluster
        if scale_out:
            start = partial(ScaledOut, broker_url=stack.enter_context(Redis(folder / "redis")).url)
        found["cluster"] = start(
            folder / "airflow",
            dags_folder=folder / "dags",
            database_url=url,
            environment=variables,
            component_environment=found["clocks"].environment() if found["clocks"] else {},
        )
        yield found
