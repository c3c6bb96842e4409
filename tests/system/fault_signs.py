"""Fifteen faults, how each is made on a running Airflow, and the sign that must be seen of it.

Most are one queue's: they are made side by side, each on a queue and a dispatcher of its own. Four are the
whole Airflow's, and come one after the other.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_s3events.testing import event_body, object_created_body
from tests.lines import DAG_IMPORTS
from tests.system.fault_place import Place, at
from tests.system.lookout import Sign

#: The connection that leads to AWS through ``Wrath``, and the ledger's.
AWS_CONN_ID = "aws_signs"
LEDGER_CONN_ID = "ledger_signs"
SMALL_LEDGER_CONN_ID = "ledger_small"
#: What SQS answers: status, error code, text. Of KMS as SQS passes it on:
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html.
_KMS = (
    400,
    "KMS.AccessDeniedException",
    "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or"
    " you are not allowed to access.",
)
_DENIED = (
    403,
    "AccessDeniedException",
    "User: arn:aws:sts::000000000000:assumed-role/airflow/worker is not authorized to perform: this action",
)
_THROTTLED = (400, "RequestThrottled", "The request was denied due to request throttling.")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault and its sign.

    Attributes:
        name: As in ``docs/reference/signs.md``.
        make: Makes it.
        metric, tags: The sign in the metrics.
        code: The finding.
        own_seconds: Interval of the detector.
        top_seconds: What Airflow or AWS takes by itself, at most.
        least: The metric must be above this.
        arguments, limit: Further arguments of the dispatcher and of its route, Python source.
        is_watched: An asset's watcher reads the queue instead.
    """

    name: str
    make: Callable[[Place], None]
    metric: str
    code: str
    own_seconds: float
    top_seconds: float
    top: str
    tags: dict[str, str] = field(default_factory=dict)
    arguments: str = ""
    limit: str = ""
    least: float = 0.0
    is_watched: bool = False

    @property
    def allowed_seconds(self) -> float:
        """What both take together."""
        return self.own_seconds + self.top_seconds

    def sign(self, place: Place) -> Sign:
        """What is looked for."""
        named = () if self.is_watched else ("--dispatcher", place.name)
        options = (*named, "--target", place.target, "--aws-conn-id", AWS_CONN_ID)
        return Sign(
            queue=place.queue,
            key=place.queue,
            metric=self.metric,
            tags=self.tags,
            least=self.least,
            code=self.code,
            options=options,
        )

    def watched(self, place: Place) -> dict[str, object]:
        """Return the queue as the page is told of it."""
        named = {} if self.is_watched else {"dispatcher": place.name}
        return {
            "queue": place.queue,
            "targets": [place.target],
            "aws_conn_id": AWS_CONN_ID,
            **named,
        }

    def source(self) -> str:
        """Return the DAG file."""
        reader = _WATCHER if self.is_watched else _DISPATCHER
        return (
            (DAG_IMPORTS + reader)
            .replace("{more}", self.arguments)
            .replace("{limit}", self.limit)
            .replace("{aws}", AWS_CONN_ID)
        )


_DISPATCHER = """
from datetime import timedelta

from airflow_s3events import AnomalyWatch, Route, s3_event_dispatcher

with DAG(dag_id="{name}-target", schedule=None):
    EmptyOperator(task_id="nothing")

d = s3_event_dispatcher(
    dag_id="{name}", sqs_queue="{name}-events", routes=Route(dag_id="{name}-target"{limit}), linger_seconds=1,
    aws_conn_id="{aws}", {more}
)
"""
_WATCHER = """
from airflow_s3events import s3_event_asset

asset = s3_event_asset(
    "{name}", sqs_queue="{name}-events", when={"predicate": "math:sqrt"}, aws_conn_id="{aws}", {more}
)
with DAG(dag_id="{name}-target", schedule=asset):
    EmptyOperator(task_id="nothing")
"""


def _spike(place: Place) -> None:
    bucket = place.bucket.bucket
    place.send(event_body("ObjectRemoved:Delete", bucket, "in/old", event_time=at(-7 * 3_600)))
    for number in range(30):
        place.send(event_body("ObjectRemoved:Delete", bucket, f"in/{number}", event_time=at(0)))


def _be_late(place: Place) -> None:
    place.wrath.oldest[place.queue] = time.time() - 1_200
    place.put(5, age_seconds=1_200)


def _break_target(place: Place) -> None:
    source = (place.cluster.dags_folder / f"{place.name}_dags.py").read_text()
    place.write(f"{source}\nimport no_such_module\n")


def _harm_ledger(place: Place) -> None:
    place.harm_ledger()
    place.put()


def _fill_disk(place: Place) -> None:
    place.fill_disk()
    place.put(20)


#: A waiting trigger asks every so many seconds.
_POLL = 20.0
#: A message wakes the task no sooner than so; the task's start comes on top.
_WAKE = 8.0
_REPORT = 10.0
_TASK = ("start of a task", 60.0)

#: Of one queue each.
FAULTS: tuple[Fault, ...] = (
    Fault(
        name="the dispatcher is paused",
        make=lambda place: place.cluster.api.set_paused(place.name, True),
        metric="finding",
        tags={"finding": "dag_paused"},
        code="dag_paused",
        own_seconds=0,
        top_seconds=0,
        top="-",
    ),
    Fault(
        name="the queue's policy, or the role's, is revoked",
        make=lambda place: place.answers(_DENIED),
        metric="queue.failures",
        code="queue_unreadable",
        own_seconds=_POLL,
        top_seconds=0,
        top="-",
    ),
    Fault(
        name="the queue is deleted",
        make=lambda place: place.aws.sqs.delete_queue(QueueUrl=place.bucket.queue_url),
        metric="queue.failures",
        code="queue_unreadable",
        own_seconds=_POLL,
        top_seconds=60,
        top="SQS deletes",
    ),
    Fault(
        name="the queue's KMS key is revoked",
        make=lambda place: place.answers(_KMS, "ReceiveMessage"),
        metric="receive.failures",
        code="refused",
        own_seconds=_POLL + _REPORT,
        top_seconds=0,
        top="-",
    ),
    Fault(
        name="the dead letter queue fills",
        make=lambda place: place.send("this is no event"),
        metric="messages.dead_lettered",
        code="dead_letters",
        own_seconds=_WAKE + _REPORT,
        top_seconds=_TASK[1],
        top=_TASK[0],
    ),
    Fault(
        name="a watcher raises",
        make=lambda place: place.put(),
        metric="events.error",
        code="watcher_raises",
        own_seconds=_REPORT,
        top_seconds=0,
        top="-",
        is_watched=True,
    ),
    Fault(
        name="a clock is wrong",
        make=lambda place: place.send(
            object_created_body(place.bucket.bucket, "in/future", event_time=at(3_600))
        ),
        metric="lag.negative",
        code="clock_wrong",
        own_seconds=_REPORT,
        top_seconds=0,
        top="-",
    ),
    Fault(
        name="the lag rises",
        make=_be_late,
        metric="lag.event_to_run",
        least=900_000,
        code="late",
        own_seconds=_WAKE + _REPORT,
        top_seconds=_TASK[1],
        top=f"{_TASK[0]}; of CloudWatch some minutes",
        limit=", max_runs_per_minute=1",
    ),
    Fault(
        name="AWS throttles",
        make=lambda place: place.answers(_THROTTLED),
        metric="outages",
        code="throttled",
        own_seconds=_POLL + _REPORT,
        top_seconds=30,
        top="botocore's own tries",
    ),
    Fault(
        name="a target DAG is broken",
        make=_break_target,
        metric="finding",
        tags={"finding": "target_broken"},
        code="target_broken",
        own_seconds=0,
        top_seconds=90,
        top="the DAG processor's interval",
    ),
    Fault(
        name="deletions spike",
        make=_spike,
        metric="anomalies",
        tags={"kind": "deletions"},
        code="anomaly",
        own_seconds=_WAKE + _REPORT,
        top_seconds=_TASK[1],
        top=_TASK[0],
        arguments=f'ledger="sql:{LEDGER_CONN_ID}",'
        ' anomaly=AnomalyWatch(dag_id="{name}-target", warm_up_days=0.25, watched=("deletions",)),',
    ),
    Fault(
        name="the ledger is away",
        make=_harm_ledger,
        metric="breaker.open",
        tags={"breaker": "ledger"},
        code="ledger_away",
        own_seconds=_WAKE + _REPORT,
        top_seconds=_TASK[1],
        top=_TASK[0],
        arguments='ledger="sql:ledger_away",',
    ),
    Fault(
        name="the disk of the ledger's database is full",
        make=_fill_disk,
        metric="breaker.open",
        tags={"breaker": "ledger"},
        code="disk_full",
        own_seconds=_WAKE + _REPORT,
        top_seconds=_TASK[1],
        top=_TASK[0],
        arguments=f'ledger="sql:{SMALL_LEDGER_CONN_ID}",',
    ),
)


def _kill_triggerer(place: Place) -> None:
    place.cluster.kill("triggerer")


def _start_elsewhere(place: Place) -> None:

    place.cluster.processes.stop("triggerer")
    command = [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs", "--queues", "elsewhere"]
    place.cluster.processes.start("elsewhere", command, place.cluster.variables)


_TRIGGERER_DEAD = 30.0
#: Of the whole Airflow, one after the other; a full disk of its database is not mended.
WHOLE: tuple[Fault, ...] = (
    Fault(
        name="no triggerer",
        make=_kill_triggerer,
        metric="finding",
        tags={"finding": "triggerer_dead"},
        code="triggerer_dead",
        own_seconds=0,
        top_seconds=_TRIGGERER_DEAD,
        top="triggerer_health_check_threshold",
    ),
    Fault(
        name="all triggerers have `--queues`",
        make=_start_elsewhere,
        metric="finding",
        tags={"finding": "triggerer_elsewhere"},
        code="triggerer_elsewhere",
        own_seconds=60,
        top_seconds=_TRIGGERER_DEAD,
        top="triggerer_health_check_threshold",
    ),
    Fault(
        name="the disk of Airflow's database is full",
        make=_fill_disk,
        metric="finding",
        tags={"finding": "database_away"},
        code="database_away",
        own_seconds=0,
        top_seconds=60,
        top="until PostgreSQL needs room",
    ),
)
