"""The stage of every benchmark that needs a whole Airflow: PostgreSQL, an embedded AWS and Airflow itself."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.demo.cluster import Cluster
from tests.lines import STORED_AT
from tests.system.postgres import Postgres

HERE = Path(__file__).parent
_POLL_SECONDS = 0.05
T = TypeVar("T")


@dataclass(frozen=True)
class Stage:
    """What a benchmark plays on."""

    folder: Path
    cluster: Cluster
    aws: EmbeddedAws
    database_url: str

    def rows(self, sql: str, **values: Any) -> list[Any]:
        """What Airflow's database answers."""
        from sqlalchemy import text

        with self._engine.begin() as connection:
            result = connection.execute(text(sql), values)
            return list(result) if result.returns_rows else []

    def created_at(self, dag_id: str) -> list[float]:
        """When each run of a DAG was stored, in seconds since the epoch, in order."""
        sql = f"SELECT EXTRACT(EPOCH FROM {STORED_AT}) FROM dag_run WHERE dag_id = :dag ORDER BY {STORED_AT}"  # noqa: S608
        return [float(row[0]) for row in self.rows(sql, dag=dag_id)]

    def run_count(self, dag_id: str) -> int:
        """Runs of a DAG."""
        return int(self.rows("SELECT count(*) FROM dag_run WHERE dag_id = :dag", dag=dag_id)[0][0])

    def deferred_seconds(self, dag_id: str) -> float:
        """For how long a task of the DAG has been deferred; 0 while none is."""
        sql = """
            SELECT EXTRACT(EPOCH FROM now() - t.created_date) FROM task_instance ti
            JOIN trigger t ON t.id = ti.trigger_id WHERE ti.dag_id = :dag AND ti.state = 'deferred'
        """
        return max((float(row[0]) for row in self.rows(sql, dag=dag_id)), default=0.0)

    def state(self, dag_id: str, run_id: str) -> str:
        """State of a run."""
        sql = "SELECT state FROM dag_run WHERE dag_id = :dag AND run_id = :run"
        return str(self.rows(sql, dag=dag_id, run=run_id)[0][0])

    def wait(self, what: str, probe: Callable[[], T], timeout_seconds: float = 120.0) -> T:
        """Ask until the answer is true.

        Raises:
            TimeoutError: It did not become true; with the last lines of every component.
        """
        deadline = time.monotonic() + timeout_seconds
        while not (answer := probe()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout_seconds:.0f} s for: {what}\n{self.cluster.logs()}")
            time.sleep(_POLL_SECONDS)
        return answer

    @cached_property
    def _engine(self) -> Any:
        from sqlalchemy import create_engine

        return create_engine(self.database_url, pool_pre_ping=True)


@contextmanager
def staged(
    dags: str,
    *,
    prepare: Callable[[EmbeddedAws], Mapping[str, str]],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Stage]:
    """Start everything with the DAG files of ``dags/<dags>``; end and remove it all afterwards.

    Args:
        dags: Folder of DAG files beside this file.
        prepare: Makes buckets and queues, and returns the environment variables that the DAG files read.
        environment: Further environment variables of Airflow.

    Raises:
        PostgresMissingError: There is no PostgreSQL on this machine.
    """
    folder = Path(tempfile.mkdtemp(prefix="s3events-benchmark-"))
    try:
        with Postgres() as postgres, EmbeddedAws(folder / "aws") as aws:
            variables = {
                "AIRFLOW_CONN_AWS_DEFAULT": aws.connection,
                "PYTHONPATH": str(HERE.parents[1]),
                "BENCHMARK_FOLDER": str(folder),
                **prepare(aws),
                **(environment or {}),
            }
            url = postgres.create_database("airflow")
            with Cluster(
                folder / "airflow",
                dags_folder=HERE / "dags" / dags,
                database_url=url,
                environment=variables,
                remove_folder=folder,
            ) as cluster:
                yield Stage(folder, cluster, aws, url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
