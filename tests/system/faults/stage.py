"""The stage of every scenario: PostgreSQL, an embedded AWS, a whole Airflow, a dispatcher and its target."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from tests.lines import STORED_AT
from tests.system.faults.audit import conf_of
from tests.system.faults.feed import Feeder
from tests.system.faults.ground import Ground, prepared
from tests.system.faults.targets import DISPATCHER as _PLAIN
from tests.system.faults.targets import Target
from tests.system.faults.witness import Witness
from tests.system.postgres import Postgres

DISPATCHER = "dispatcher"
TARGET = "target"
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


@dataclass(frozen=True, kw_only=True)
class Stage(Ground):
    """What a scenario plays on: a ``Ground`` with a dispatcher on it, and who feeds that."""

    aws: EmbeddedAws
    bucket: NotifyingBucket
    feeder: Feeder
    #: SQLAlchemy URL of the dispatcher's ledger; empty without one.
    ledger_url: str = ""

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
        """State, process id and tries of the dispatcher's latest task; one that runs or waits first."""
        sql = """
            SELECT ti.state, ti.pid, ti.try_number FROM task_instance ti
            JOIN dag_run run ON run.dag_id = ti.dag_id AND run.run_id = ti.run_id
            WHERE ti.dag_id = :dag ORDER BY run.id DESC, (ti.state = 'running') DESC NULLS LAST,
            (ti.state = 'deferred') DESC NULLS LAST LIMIT 1
        """
        rows = self.rows(sql, dag=DISPATCHER)
        return (str(rows[0][0]), rows[0][1], int(rows[0][2])) if rows else ("none", None, 0)

    def clear_far_retries(self) -> int:
        """Clear tasks of the dispatcher that failed by a clock ahead, as an operator would; how many.

        Airflow tries them again some seconds after that moment: when the clocks get there.
        """
        sql = """
            SELECT run_id, task_id FROM task_instance
            WHERE dag_id = :dag AND state = 'up_for_retry' AND end_date > now() + interval '1 minute'
        """
        found = self.rows(sql, dag=DISPATCHER)
        for run_id, task_id in found:
            asked = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
            self.cluster.api.call("POST", f"/dags/{DISPATCHER}/clearTaskInstances", asked)
        self.say(f"cleared, for Airflow would try them when the clocks get there: {len(found)} tasks")
        return len(found)

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

    def has_all(self) -> bool:
        """Whether each object that was sent so far has a run."""
        return self.run_count() >= len(self.feeder.manifest["objects"])

    def succeeded_of(self, versions: list[str]) -> list[str]:
        """Of some versions of objects, those whose run has succeeded."""
        sql = """
            SELECT conf -> 's3_event' ->> 'version_id' FROM dag_run
            WHERE dag_id = :dag AND state = 'success' AND conf -> 's3_event' ->> 'version_id' = ANY(:versions)
        """
        return [str(row[0]) for row in self.rows(sql, dag=TARGET, versions=versions)]

    def forget(self, timeout_seconds: float) -> bool:
        """Remove some runs from Airflow, as a clean-up does, and send their messages again.

        Returns:
            Whether the queue was empty in time: the ledger knew them.
        """
        versions = self.feeder.some_sent()
        with_version = "conf -> 's3_event' ->> 'version_id' = ANY(:versions)"
        sql = f"DELETE FROM dag_run WHERE dag_id = :dag AND {with_version}"  # noqa: S608 - a constant
        self.execute(sql, dag=TARGET, versions=versions)
        self.say(f"{len(versions)} runs are removed, and their messages sent again")
        self.feeder.send_again(versions)
        deadline = time.monotonic() + timeout_seconds
        while any(count for name, count in self.counts().items() if name != "dlq"):
            if time.monotonic() > deadline:
                return False
            time.sleep(1.0)
        return True

    def audit(self) -> dict[str, Any]:
        """What ``audit.py``, in a process of its own, says."""
        manifest = self.cluster.folder / "manifest.json"
        self.feeder.manifest["moves"] = self.moves
        if self.sky.witness is not None:
            self.feeder.manifest["deletes"] = self.sky.witness.report()
        self.feeder.save(manifest)
        command = [sys.executable, str(Path(__file__).with_name("audit.py")), str(manifest)]
        command += ["--database", self.database_url, "--endpoint", self.aws.endpoint_url]
        command += ["--queue", self.bucket.queue_url, "--dlq", self.bucket.dlq_url]
        command += ["--ledger", self.ledger_url] if self.ledger_url else []
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        result: dict[str, Any] = json.loads(done.stdout)
        return result


@contextmanager
def set_up(
    folder: Path,
    timeouts: Timeouts,
    *,
    seed: int,
    parallel: int,
    say: Callable[[str], None],
    scale_out: bool = False,
    target: Target = _PLAIN,
    dags_source: str = "",
    kinds: Sequence[str] = (),
    max_receive_count: int = 5,
    **values: Any,
) -> Iterator[Stage]:
    """Start everything; yield the stage when the dispatcher waits for messages.

    ``scale_out`` starts Celery over Redis, and two of all that may be two; ``kinds`` are the faults to come;
    ``values`` are further ones for the ``%`` of ``dags_source``, which stands for that of ``target``.

    Raises:
        PostgresMissingError: There is no PostgreSQL on this machine.
        RedisMissingError: There is no Redis on this machine, and ``scale_out`` needs one.
    """
    with Postgres() as postgres, EmbeddedAws(folder / "aws") as aws:
        bucket = aws.notifying_bucket("landing", versioned=True, max_receive_count=max_receive_count)
        dags = folder / "dags"
        dags.mkdir(parents=True)
        values |= {"queue": bucket.queue_url, "arguments": timeouts.dispatcher, "parallel": parallel}
        (dags / "faults.py").write_text((dags_source or target.dags) % {**values, "more": target.more})
        environment, ledger = dict(timeouts.airflow), ""
        if target.has_ledger:
            ledger = postgres.create_database("ledger")
            environment["AIRFLOW_CONN_LEDGER_DB"] = ledger.replace("postgresql+psycopg2", "postgres")
        with (
            prepared(folder, aws, postgres, kinds, environment=environment, scale_out=scale_out) as ground,
            ground["cluster"],
        ):
            more: dict[str, Any] = {"aws": aws, "bucket": bucket, "feeder": Feeder(aws, bucket, TARGET, seed)}
            more |= {"say": say, "ledger_url": ledger, "freeze_seconds": timeouts.freeze_seconds}
            stage = Stage(**ground, **more)
            if target.holds:
                stage.sky.witness = Witness(bucket.queue_url, stage.succeeded_of)
            stage.cluster.wait_for_dag(TARGET)
            stage.wait("the dispatcher to defer", stage.is_watched, 180)
            say("the dispatcher waits for messages")
            yield stage
