"""The stage of every scenario: PostgreSQL, an embedded AWS, a whole Airflow, a dispatcher and its target."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from airflow_s3events.demo.cluster import Cluster
from tests.lines import DAG_IMPORTS, STORED_AT
from tests.system.faults.audit import conf_of
from tests.system.faults.feed import Feeder
from tests.system.faults.weather import Weather, weather
from tests.system.postgres import Postgres
from tests.system.redis import Redis
from tests.system.scale_out import ScaledOut

DISPATCHER = "dispatcher"
TARGET = "target"
_DAGS = f"""{DAG_IMPORTS}
from datetime import timedelta


from airflow_s3events import s3_event_dispatcher

dispatcher = s3_event_dispatcher(
    dag_id="dispatcher", sqs_queue=%(queue)r, routes="target", parallel=%(parallel)d, **%(arguments)s
)

with DAG("target", schedule=None, max_active_runs=100) as target:
    EmptyOperator(task_id="done")
"""
_POLL_SECONDS = 0.05
_SAY_SECONDS = 30.0
#: With an empty queue no run comes later than this.
_GIVE_UP_SECONDS = 60.0


@dataclass(frozen=True)
class Timeouts:
    """Time-outs of Airflow and of the dispatcher; both empty are the defaults of both."""

    airflow: Mapping[str, str] = field(default_factory=dict)
    #: Python source of further arguments of ``s3_event_dispatcher``.
    dispatcher: str = "{}"
    #: Longer than the dispatcher's visibility timeout.
    freeze_seconds: float = 320.0


DEFAULT = Timeouts()
#: For a run in continuous integration: what takes five minutes by default takes some twenty seconds.
SHORT = Timeouts(
    airflow={
        # The first two as Airflow 2 calls them.
        "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "15",
        "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "3",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
        # A task that a dead worker of Celery had fetched.
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "30",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    },
    dispatcher="dict(visibility_seconds=20, linger_seconds=3, retry_delay=timedelta(seconds=1))",
    freeze_seconds=30.0,
)


@dataclass(frozen=True)
class Stage:
    """What a scenario plays on; ``say`` writes its progress."""

    cluster: Cluster
    aws: EmbeddedAws
    bucket: NotifyingBucket
    database_url: str
    feeder: Feeder
    timeouts: Timeouts
    say: Callable[[str], None]
    postgres: Postgres
    sky: Weather
    #: Components that a fault keeps away.
    away: set[str] = field(default_factory=set)

    @contextmanager
    def revived(self) -> Iterator[Counter[str]]:
        """Start anew what ends by itself, as systemd would; yield how often which component was."""
        over, revived = threading.Event(), Counter[str]()

        def watch() -> None:
            while not over.wait(1.0):
                for name in set(self.cluster.components) - self.away:
                    if self.cluster.processes.exit_status(name) is not None:
                        revived[name] += 1
                        self.cluster.restart(name)

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        try:
            yield revived
        finally:
            over.set()
            watching.join()

    def worker_of(self, pid: int) -> str | None:
        """Name of the Celery worker that a task's process belongs to; None where there is no Celery."""
        return self.cluster.worker_of(pid) if isinstance(self.cluster, ScaledOut) else None

    def run_times(self) -> list[tuple[float, str]]:
        """When each run of the target was stored, in seconds since the epoch, in order; its version id."""
        sql = f"""
            SELECT EXTRACT(EPOCH FROM {STORED_AT}), conf FROM dag_run WHERE dag_id = :dag ORDER BY {STORED_AT}
        """  # noqa: S608 - one of two columns
        rows = self.rows(sql, dag=TARGET)
        return [(float(at), str(conf_of(conf)["s3_event"]["version_id"])) for at, conf in rows]

    def has_run_since(self, at: float) -> bool:
        """Whether a run of the target was stored after that moment."""
        sql = f"SELECT max(EXTRACT(EPOCH FROM {STORED_AT})) FROM dag_run WHERE dag_id = :dag"  # noqa: S608
        latest = self.rows(sql, dag=TARGET)[0][0]
        return latest is not None and float(latest) > at

    def run_count(self) -> int:
        """Runs of the target so far."""
        return int(self.rows("SELECT count(*) FROM dag_run WHERE dag_id = :dag", dag=TARGET)[0][0])

    def runs_by_state(self) -> dict[str, int]:
        """Runs of the target by their state."""
        sql = "SELECT state, count(*) FROM dag_run WHERE dag_id = :dag GROUP BY state"
        return {str(state): int(count) for state, count in self.rows(sql, dag=TARGET)}

    def succeeded(self) -> int:
        """Object events that have a run that succeeded, of whatever DAG."""
        sql = """
            SELECT count(DISTINCT conf -> 's3_event' ->> 'event_id') FROM dag_run
            WHERE state = 'success' AND conf -> 's3_event' IS NOT NULL
        """
        return int(self.rows(sql)[0][0])

    def dispatcher(self) -> tuple[str, int | None, int]:
        """State, process id and tries of the dispatcher's latest task; of a running one first."""
        sql = """
            SELECT ti.state, ti.pid, ti.try_number FROM task_instance ti
            JOIN dag_run run ON run.dag_id = ti.dag_id AND run.run_id = ti.run_id
            WHERE ti.dag_id = :dag ORDER BY run.id DESC, (ti.state = 'running') DESC NULLS LAST LIMIT 1
        """
        rows = self.rows(sql, dag=DISPATCHER)
        return (str(rows[0][0]), rows[0][1], int(rows[0][2])) if rows else ("none", None, 0)

    def is_watched(self) -> bool:
        """Whether the dispatcher has deferred and a triggerer has taken its trigger."""
        sql = "SELECT count(*) FROM trigger WHERE triggerer_id IS NOT NULL"
        return self.dispatcher()[0] == "deferred" and self.rows(sql)[0][0] > 0

    def counts(self) -> dict[str, int]:
        """Messages of the queue: visible, in flight, delayed; and those in the dead letter queue."""
        names = {
            "ApproximateNumberOfMessages": "visible",
            "ApproximateNumberOfMessagesNotVisible": "in_flight",
            "ApproximateNumberOfMessagesDelayed": "delayed",
        }
        found = self.aws.sqs.get_queue_attributes(QueueUrl=self.bucket.queue_url, AttributeNames=list(names))[
            "Attributes"
        ]
        dead, hidden = self.aws.counts(self.bucket.dlq_url)
        return {short: int(found.get(name, 0)) for name, short in names.items()} | {"dlq": dead + hidden}

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

    def wait_drained(self, timeout_seconds: float) -> bool:
        """Wait until every object has a run and both queues are empty.

        False when time is up first, or when the queue is empty and what is missing does not come any more.
        """
        deadline = time.monotonic() + timeout_seconds
        said = busy = time.monotonic()
        while time.monotonic() < deadline:
            counts, runs = self.counts(), self.run_count()
            dead = counts.pop("dlq")
            wanted = (len(self.feeder.manifest["objects"]), len(self.feeder.manifest["malformed"]))
            if runs >= wanted[0] and dead >= wanted[1] and not any(counts.values()):
                return True
            if any(counts.values()):
                busy = time.monotonic()
            elif time.monotonic() - busy > _GIVE_UP_SECONDS:
                return False
            if time.monotonic() - said > _SAY_SECONDS:
                self.say(f"{runs} runs; {counts}; {dead} dead letters; dispatcher {self.dispatcher()[0]}")
                said = time.monotonic()
            time.sleep(0.5)
        return False

    def audit(self) -> dict[str, Any]:
        """What ``audit.py``, in a process of its own, says."""
        manifest = self.cluster.folder / "manifest.json"
        self.feeder.save(manifest)
        command = [sys.executable, str(Path(__file__).with_name("audit.py")), str(manifest)]
        command += ["--database", self.database_url, "--endpoint", self.aws.endpoint_url]
        command += ["--queue", self.bucket.queue_url, "--dlq", self.bucket.dlq_url]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def rows(self, sql: str, **values: Any) -> list[Any]:
        """Ask Airflow's database."""
        from sqlalchemy import text

        with self._engine.connect() as connection:
            return list(connection.execute(text(sql), values))

    @cached_property
    def _engine(self) -> Any:
        from sqlalchemy import create_engine

        return create_engine(self.database_url, pool_pre_ping=True)


@contextmanager
def set_up(
    folder: Path,
    timeouts: Timeouts,
    *,
    seed: int,
    parallel: int,
    say: Callable[[str], None],
    scale_out: bool = False,
    dags_source: str = _DAGS,
    max_receive_count: int = 5,
    **values: Any,
) -> Iterator[Stage]:
    """Start everything; yield the stage when the dispatcher waits for messages.

    ``scale_out`` starts Celery over Redis, and two of all that may be two; ``values`` are further ones for
    the ``%`` of ``dags_source``.

    Raises:
        PostgresMissingError: There is no PostgreSQL on this machine.
        RedisMissingError: There is no Redis on this machine, and ``scale_out`` needs one.
    """
    with Postgres() as postgres, EmbeddedAws(folder / "aws") as aws, ExitStack() as stack:
        bucket = aws.notifying_bucket("landing", versioned=True, max_receive_count=max_receive_count)
        dags = folder / "dags"
        dags.mkdir(parents=True)
        values |= {"queue": bucket.queue_url, "arguments": timeouts.dispatcher, "parallel": parallel}
        (dags / "faults.py").write_text(dags_source % values)
        url = postgres.create_database("airflow")
        sky = stack.enter_context(weather(aws.endpoint_url))
        connection = aws.connection.replace(aws.endpoint_url, sky.url)
        environment = {"AIRFLOW_CONN_AWS_DEFAULT": connection, **timeouts.airflow}
        start: Callable[..., Cluster] = Cluster
        if scale_out:
            start = partial(ScaledOut, broker_url=stack.enter_context(Redis(folder / "redis")).url)
        cluster = start(folder / "airflow", dags_folder=dags, database_url=url, environment=environment)
        with cluster:
            feeder = Feeder(aws, bucket, TARGET, seed)
            stage = Stage(cluster, aws, bucket, url, feeder, timeouts, say, postgres, sky)
            cluster.wait_for_dag(TARGET)
            stage.wait("the dispatcher to defer", stage.is_watched, 180)
            say("the dispatcher waits for messages")
            yield stage
