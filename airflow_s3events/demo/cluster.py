"""``Cluster``: a whole local Airflow, each component a process of its own."""

from __future__ import annotations

import base64
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow_s3events.demo.airflow_api import AirflowApi, api_of
from airflow_s3events.demo.lifetime import Lifetime
from airflow_s3events.demo.lines import LINES, WEBSERVER_CONFIG, installed_major
from airflow_s3events.demo.processes import Processes, free_port, send_signal

_HEALTHY_IN_SECONDS = 120.0
_MIGRATED_IN_SECONDS = 120.0
#: Variables of the surrounding shell that would lead this Airflow to another database or a real AWS account.
_FOREIGN_PREFIXES = ("AIRFLOW", "AWS_", "_AIRFLOW", "_AF_")


class ClusterError(RuntimeError):
    """Airflow or the embedded AWS did not start or ended by itself; the text ends with its last log lines."""


@dataclass
class Cluster(Lifetime):
    """A whole Airflow in one folder: API server, scheduler with LocalExecutor, DAG processor and triggerer.

    On Airflow 2 the webserver serves the API and the scheduler processes the DAG files.

    ::

        with Cluster(folder, dags_folder=dags) as airflow:     # start() and wait_healthy(); stop() at the end
            airflow.wait_for_dag("my_dag")
            airflow.api.trigger("my_dag", "run-1")
            airflow.kill("triggerer")                         # kill -9 of it and all its children
            airflow.restart("triggerer")

    Everything listens on a free port of 127.0.0.1, keys are random for each start, AIRFLOW and AWS variables
    of the surrounding environment do not reach it. DAGs are unpaused when they appear. Processes die with
    us, however we die. Nothing outside ``folder`` is written.
    """

    folder: Path
    dags_folder: Path
    #: SQLAlchemy URL of an empty database; None for SQLite in the folder.
    database_url: str | None = None
    #: Further environment variables of every component, over the defaults.
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Further ones of single components, by their names, over those of all.
    component_environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: Task processes at a time.
    parallelism: int = 6
    #: Folder that is removed should we die without ``stop``.
    remove_folder: Path | None = None
    major_version: int = field(default_factory=installed_major)

    def __post_init__(self) -> None:
        self._line = LINES[self.major_version]
        self.port = free_port()
        self.processes = Processes(self.folder / "components", remove_folder=self.remove_folder)
        self.api: AirflowApi = api_of(self.url, self.major_version)
        self._started_at: dict[str, datetime] = {}
        self._variables = {**_surroundings(), **self._settings(), **self.environment}

    @property
    def url(self) -> str:
        """Address of the UI and the API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the components, in the order in which they are started."""
        return tuple(self._line.components)

    @property
    def server(self) -> str:
        """Name of the component that serves UI and API."""
        return self._line.server

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the components, for an ``airflow`` command line of the caller's own."""
        return dict(self._variables)

    def bring_up(self) -> None:
        """Start every component, and wait until all are healthy."""
        self.start()
        self.wait_healthy()

    def start(self) -> None:
        """Create the database, then start every component; returns without waiting for them.

        :raises ClusterError: the database could not be created.
        """
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        self.dags_folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "webserver_config.py").write_text(WEBSERVER_CONFIG)
        self._airflow("migrate", ("db", "migrate"))
        # The API server is the slowest to start, and that of Airflow 3 asks nothing until somebody asks it.
        early = () if self._line.server_needs_database else (self.server,)
        for component in early:
            self.start_component(component)
        if self.processes.wait("migrate", _MIGRATED_IN_SECONDS) != 0:
            raise ClusterError(self._with_log("migrate", "Airflow could not create its database"))
        for component in self.components:
            if component not in early:
                self.start_component(component)

    def start_component(self, component: str, name: str | None = None) -> None:
        """Start one component, or one more of its kind under another ``name`` (a second triggerer)."""
        self._started_at[name or component] = datetime.now(timezone.utc)
        self._airflow(name or component, self._line.components[component])

    def wait_healthy(self, timeout_seconds: float = _HEALTHY_IN_SECONDS) -> None:
        """Wait until Airflow calls every component healthy.

        :raises ClusterError: a component ended, or time is up.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self.api.warm_up() or (late := self.unhealthy()):
            self.check_alive()
            if time.monotonic() > deadline:
                late = self.unhealthy()
                raise ClusterError(self._with_log(late[0], f"not healthy in time: {', '.join(late)}"))
            time.sleep(0.2)

    def unhealthy(self) -> list[str]:
        """Components that do not count as healthy yet."""
        health = self.api.health()
        if not health:
            return list(self.components)
        return [name for name in self._line.health_names if not self._is_healthy(name, health)]

    def _is_healthy(self, component: str, health: Mapping[str, Mapping[str, str | None]]) -> bool:
        """Airflow's word and a heartbeat since the start: a dead component stays "healthy" for 30 s."""
        known = self._line.health_names[component]
        seen = health.get(known, {}).get(f"latest_{known}_heartbeat")
        if health.get(known, {}).get("status") != "healthy" or seen is None:
            return False
        return datetime.fromisoformat(seen.replace("Z", "+00:00")) > self._started_at[component]

    def check_alive(self) -> None:
        """Raise ClusterError with the last log lines if a component has ended by itself."""
        for component in self.components:
            status = self.processes.exit_status(component)
            if status is not None:
                raise ClusterError(self._with_log(component, f"{component} ended with status {status}"))

    def pids(self, component: str) -> list[int]:
        """Every process of a component. ``"worker"`` names what the scheduler's LocalExecutor started."""
        if component == "worker":
            main = self.processes.main_pid("scheduler")
            return [pid for pid in self.processes.pids("scheduler") if pid != main]
        return self.processes.pids(component)

    def kill(self, component: str, signum: int = signal.SIGKILL) -> list[int]:
        """Signal every process of a component at once, as if its machine had gone; the pids that got it."""
        return send_signal(self.pids(component), signum)

    def kill_main(self, component: str, signum: int = signal.SIGKILL) -> list[int]:
        """Signal only the main process of a component; what it started stays behind as orphans."""
        return send_signal([self.processes.main_pid(component)], signum)

    def restart(self, component: str) -> None:
        """Start a component anew, after ending what may be left of it; returns without waiting."""
        self.processes.stop(component)
        self.start_component(component)

    def pause(self, component: str) -> list[int]:
        """Freeze a component (SIGSTOP): it keeps its connections and answers nothing."""
        return self.kill(component, signal.SIGSTOP)

    def resume(self, component: str) -> list[int]:
        """Let a frozen component go on (SIGCONT)."""
        return self.kill(component, signal.SIGCONT)

    def stop(self, grace_seconds: float = 2.0) -> None:
        """End every process. Safe to call twice; leaves the folder.

        ``grace_seconds``: how long components have to end by themselves. Nothing here outlives them, so it
        is short: the scheduler would wait for its tasks.
        """
        self.processes.stop_all(grace_seconds)

    def wait_for_dag(self, dag_id: str, timeout_seconds: float = 60.0) -> None:
        """Wait until Airflow has parsed a DAG.

        :raises ClusterError: time is up; the text holds the import errors.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self.api.has_dag(dag_id):
            self.check_alive()
            if time.monotonic() > deadline:
                errors = self.api.import_errors()
                raise ClusterError(f"Airflow does not know DAG {dag_id!r}; import errors: {errors}")
            time.sleep(0.2)

    def unpause(self, dag_id: str) -> None:
        """Unpause a DAG that something has paused; those new here are unpaused already."""
        self.api.set_paused(dag_id, False)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """All runs of a DAG, oldest first, as Airflow's API gives them."""
        return self.api.runs(dag_id)

    def logs(self, components: Iterable[str] = (), lines: int = 30) -> str:
        """The last lines of each component's output, for a failure report."""
        names = list(components) or self.processes.names()
        return "\n".join(f"--- {name}\n{self.processes.log_tail(name, lines)}" for name in names)

    def _airflow(self, name: str, arguments: tuple[str, ...]) -> None:
        variables = {**self._variables, **self.component_environment.get(name, {})}
        self.processes.start(name, [sys.executable, "-m", "airflow", *arguments], variables)

    def _with_log(self, component: str, text: str) -> str:
        return f"{text}\n{self.logs([component])}"

    def _settings(self) -> dict[str, str]:
        return {
            "AIRFLOW_HOME": str(self.folder),
            # Airflow keeps locks of DAG bundles there.
            "TMPDIR": str(self.folder / "tmp"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags_folder),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database_url or f"sqlite:///{self.folder}/airflow.db",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.folder / "logs"),
            "AIRFLOW__CORE__PARALLELISM": str(self.parallelism),
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            **{name: str(self.port) for name in self._line.port_settings},
            **{name: f"{self.url}{path}" for name, path in self._line.url_settings.items()},
            **{name: secrets.token_urlsafe(64) for name in self._line.secret_settings},
            **self._line.settings,
        }


def _surroundings() -> dict[str, str]:
    """Our own environment without what would lead this Airflow out of its folder or off this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_PREFIXES)}
    # Without bytecode each component compiles the whole of Airflow at every start: 30 s more on two cores.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | {
        "NO_PROXY": "*",
        "no_proxy": "*",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
