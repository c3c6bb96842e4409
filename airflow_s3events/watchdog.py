"""What is wrong with a queue and its dispatcher, with the reason and what to do about it. Pure.

Facts in, findings out: who gathers the facts (``s3events status``) decides nothing, and who decides asks
nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from airflow_s3events.messages import QueueAttributes
from airflow_s3events.signs import Sign

#: A trigger that no triggerer has taken for so long is taken by none: a triggerer looks for work each second,
#: and is called dead after 30 seconds.
_UNTAKEN_SECONDS = 60.0
#: A task that has waited for a worker for so long does not get one soon.
_UNWORKED_SECONDS = 300.0
#: ``@continuous`` makes the next run within the scheduler's loop; its DAG may be parsed anew meanwhile.
_UNSCHEDULED_SECONDS = 300.0
#: Failed runs or tries of a dispatcher in a row that are no accident.
_FAILURES = 3
#: Part of a queue's retention after which its oldest message is about to be lost.
_RETENTION_SHARE = 0.5
_FEW_RECEIVES = 10

Weight = Literal["error", "warning"]

#: Every finding by its name: its weight, and what to do about it.
FINDINGS: Mapping[str, tuple[Weight, str]] = {
    "queue_unreadable": ("error", "put right what the error names; nothing is received until then"),
    "refused": ("error", "put right what the error names; the dispatcher cannot work until then"),
    "throttled": (
        "warning",
        "it goes on by itself; see who else calls, or ask AWS for more (SQS FIFO, KMS, DynamoDB have quotas)",
    ),
    "aws_away": ("error", "it goes on by itself; see the network, VPC endpoints and AWS's health page"),
    "clock_wrong": ("warning", "set the clocks of the workers and of who sends the events (NTP)"),
    "ledger_away": ("error", "put right what the error names; messages are held meanwhile, nothing is lost"),
    "disk_full": ("error", "make room on the disk of the database that the error is of"),
    "anomaly": (
        "warning",
        "look at the run that was told of it: who deletes, overwrites or uploads so much?",
    ),
    "about_to_be_lost": (
        "error",
        "start what reads the queue, or raise MessageRetentionPeriod (14 days at most)",
    ),
    "late": (
        "warning",
        "see what else is found; if nothing is: more room (max_in_flight, parallel, workers)",
    ),
    "no_dead_letter_queue": ("warning", "give the queue a redrive policy with maxReceiveCount 20"),
    "few_receives": ("warning", "set maxReceiveCount of the redrive policy to 20"),
    "dead_letters": (
        "warning",
        "s3events dead-letters list; when the reason is gone, s3events dead-letters redrive",
    ),
    "dead_letters_unreadable": ("warning", "put right what the error names"),
    "airflow_away": (
        "error",
        "see the API server and Airflow's database: their logs, and room on their disks",
    ),
    "database_away": (
        "error",
        "see Airflow's database: is it up, is its disk full, has it connections left?",
    ),
    "scheduler_dead": ("error", "start a scheduler: airflow scheduler"),
    "triggerer_dead": ("error", "start a triggerer: airflow triggerer"),
    "triggerer_elsewhere": (
        "error",
        "start a triggerer that takes it: one without --queues, or with --queues and this queue",
    ),
    "watcher_raises": ("error", "mend the filter of this watcher; what it cannot judge waits in the queue"),
    "dag_missing": (
        "error",
        "airflow dags list-import-errors; look whether the file is deployed, and its folder parsed",
    ),
    "dag_broken": ("error", "airflow dags list-import-errors"),
    "dag_paused": ("error", "unpause it; its messages have waited in the queue"),
    "spinning": (
        "error",
        "read the log of its last run; what it names must be put right, it will not go away",
    ),
    "not_scheduled": (
        "error",
        "look at the schedule (@continuous), the start date and max_active_runs of the DAG",
    ),
    "no_worker": ("error", "free a slot: workers, parallelism, the task's pool"),
    "target_missing": ("error", "deploy the DAG, or take its route away"),
    "target_broken": ("error", "airflow dags list-import-errors"),
    "target_paused": ("warning", "unpause it; its events wait in the queue meanwhile"),
    "target_full": (
        "warning",
        "have its runs end: max_active_runs, workers, pools; or raise max_queued_runs",
    ),
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """One finding: ``code`` is a name of ``FINDINGS``, ``reason`` what was seen."""

    code: str
    about: str
    reason: str

    @property
    def weight(self) -> Weight:
        """How bad it is."""
        return FINDINGS[self.code][0]

    @property
    def action(self) -> str:
        """What to do."""
        return FINDINGS[self.code][1]

    def serialize(self) -> dict[str, str]:
        """Return plain data."""
        return {**asdict(self), "weight": self.weight, "action": self.action}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """What was seen of a queue.

    Attributes:
        name: As it was asked for.
        attributes: What SQS says of it; None where it does not.
        error: Why it does not.
        trouble: The finding that this is.
        oldest_seconds: Age of its oldest message, by CloudWatch; None where that was not asked, or is silent.
        dead_letters: Messages of its dead letter queue; None where it has none, or it cannot be read.
        dead_letters_error: Why it cannot be read.
        reasons: Of the dead letters that were looked at: how many by reason.
        late_seconds: A message that has waited longer than this is late.
    """

    name: str
    attributes: QueueAttributes | None = None
    error: str = ""
    trouble: str = "queue_unreadable"
    oldest_seconds: float | None = None
    dead_letters: int | None = None
    dead_letters_error: str = ""
    reasons: Mapping[str, int] = field(default_factory=dict)
    late_seconds: float = 900.0

    @property
    def is_away(self) -> bool:
        """Whether it is AWS that does not answer, and not a setting that is wrong."""
        return self.attributes is None and self.trouble != "queue_unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """One task of a dispatcher's run that has not ended; times in seconds since the epoch."""

    task_id: str
    state: str
    #: When it came into this state, as far as Airflow tells.
    since: float | None = None
    #: The triggerer that has its trigger; None: none has.
    triggerer_id: int | None = None
    #: The queue of its trigger: only triggerers of this queue take it.
    trigger_queue: str | None = None
    try_number: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DagFacts:
    """One DAG, a dispatcher or a target.

    Attributes:
        dag_id: Its id.
        exists: Airflow knows it.
        is_paused, is_broken: It is paused; its file has import errors.
        queued: Its runs that wait.
        states: The states of its last runs, the newest first.
        idle_since: When its last run ended, where none is under way; seconds since the epoch.
        tasks: Of the run under way: tasks that have not ended.
        signs: What its tasks left word of.
    """

    dag_id: str
    exists: bool = True
    is_paused: bool = False
    is_broken: bool = False
    queued: int = 0
    states: Sequence[str] = ()
    idle_since: float | None = None
    tasks: Sequence[TaskFacts] = ()
    signs: Sequence[Sign] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowFacts:
    """What Airflow says of itself and of the DAGs of a queue.

    Attributes:
        error: Why it says nothing; all else is unknown then.
        database, scheduler: ``healthy`` or not, in Airflow's own word.
        triggerers: Triggerers that are alive.
        dispatcher: The DAG that reads the queue; None where nobody named it.
        targets: The DAGs that it starts runs of, as far as they were named.
        max_queued_runs: As in the routes.
    """

    error: str = ""
    database: str = "healthy"
    scheduler: str = "healthy"
    triggerers: int = 1
    #: Why watchers of assets cannot judge events, by their names.
    raising: Mapping[str, str] = field(default_factory=dict)
    dispatcher: DagFacts | None = None
    targets: Sequence[DagFacts] = ()
    max_queued_runs: int = 1_000

    @property
    def is_away(self) -> bool:
        """Whether it does not answer, or cannot."""
        return bool(self.error) or self.database != "healthy"


def alarms(queue: QueueFacts, airflow: AirflowFacts | None, now: float) -> list[Alarm]:
    """Return everything that is wrong, errors first.

    Args:
        queue: The queue.
        airflow: Airflow; None where it was not asked.
        now: Seconds since the epoch.
    """
    found = [*_of_queue(queue), *_of_dead_letters(queue)]
    if airflow is not None:
        found += _of_airflow(airflow, now)
    return sorted(found, key=lambda alarm: alarm.weight != "error")


def _of_queue(queue: QueueFacts) -> Iterator[Alarm]:
    attributes = queue.attributes
    if attributes is None:
        yield Alarm(queue.trouble, queue.name, queue.error)
        return
    oldest = queue.oldest_seconds
    if oldest is not None and oldest > attributes.retention_seconds * _RETENTION_SHARE:
        reason = (
            f"the oldest message is {oldest:.0f} s old and SQS drops it at {attributes.retention_seconds} s"
        )
        yield Alarm("about_to_be_lost", queue.name, reason)
    elif oldest is not None and oldest > queue.late_seconds:
        yield Alarm("late", queue.name, f"the oldest message is {oldest:.0f} s old")
    limit = attributes.max_receive_count
    if attributes.dead_letter_arn is None:
        yield Alarm("no_dead_letter_queue", queue.name, "what cannot be read stays until its retention ends")
    elif limit is not None and limit < _FEW_RECEIVES:
        reason = f"maxReceiveCount is {limit}: waking, outages and kills each cost a message one receive"
        yield Alarm("few_receives", queue.name, reason)


def _of_dead_letters(queue: QueueFacts) -> Iterator[Alarm]:
    if queue.dead_letters_error:
        yield Alarm("dead_letters_unreadable", queue.name, queue.dead_letters_error)
    if queue.dead_letters:
        shown = ", ".join(f"{count} {reason}" for reason, count in queue.reasons.items())
        yield Alarm(
            "dead_letters", queue.name, f"{queue.dead_letters} dead letters{': ' * bool(shown)}{shown}"
        )


def _of_airflow(airflow: AirflowFacts, now: float) -> Iterator[Alarm]:
    if airflow.error:
        yield Alarm("airflow_away", "Airflow", airflow.error)
        return
    if airflow.database != "healthy":
        yield Alarm("database_away", "Airflow", f"the database is {airflow.database}")
        return
    for name, reason in airflow.raising.items():
        yield Alarm("watcher_raises", name, reason)
    if airflow.scheduler != "healthy":
        yield Alarm("scheduler_dead", "Airflow", f"the scheduler is {airflow.scheduler}")
    if not airflow.triggerers:
        yield Alarm("triggerer_dead", "Airflow", "no triggerer is alive")
    if airflow.dispatcher is not None:
        yield from _of_dispatcher(airflow.dispatcher, airflow, now)
    for target in airflow.targets:
        yield from _of_target(target, airflow)


def _of_dispatcher(dag: DagFacts, airflow: AirflowFacts, now: float) -> Iterator[Alarm]:
    if not dag.exists:
        yield Alarm("dag_missing", dag.dag_id, "Airflow does not know this DAG")
        return
    for sign in dag.signs:
        if sign.code in FINDINGS and sign.is_told(now):
            yield Alarm(sign.code, dag.dag_id, sign.reason)
    if dag.is_broken:
        yield Alarm(
            "dag_broken", dag.dag_id, "its file has import errors; the last good version may still run"
        )
    if dag.is_paused:
        yield Alarm("dag_paused", dag.dag_id, "it is paused: nothing is received")
        return
    failures = _failures(dag)
    if failures >= _FAILURES:
        yield Alarm("spinning", dag.dag_id, f"it has failed {failures} times in a row")
    if dag.idle_since is not None and now - dag.idle_since > _UNSCHEDULED_SECONDS:
        seconds = now - dag.idle_since
        yield Alarm(
            "not_scheduled", dag.dag_id, f"no run is under way, the last one ended {seconds:.0f} s ago"
        )
    elif not dag.states:
        yield Alarm("not_scheduled", dag.dag_id, "it has never run")
    for task in dag.tasks:
        yield from _of_task(dag, task, airflow, now)


def _failures(dag: DagFacts) -> int:
    """Runs that failed in a row, the latest included, or tries that its present task has behind it."""
    ended = [state for state in dag.states if state in ("failed", "success")]
    runs = next((number for number, state in enumerate(ended) if state != "failed"), len(ended))
    retries = (task.try_number - 1 for task in dag.tasks if task.state == "up_for_retry")
    return max([runs, *retries])


def _of_task(dag: DagFacts, task: TaskFacts, airflow: AirflowFacts, now: float) -> Iterator[Alarm]:
    if task.since is None:
        return
    waited, about = now - task.since, f"{dag.dag_id}.{task.task_id}"
    is_untaken = task.state == "deferred" and task.triggerer_id is None and waited > _UNTAKEN_SECONDS
    if is_untaken and airflow.triggerers:
        queue = (
            f"queue {task.trigger_queue!r}"
            if task.trigger_queue
            else "no queue, and each of them has --queues"
        )
        reason = f"no triggerer has taken its trigger for {waited:.0f} s; it is of {queue}"
        yield Alarm("triggerer_elsewhere", about, reason)
    if task.state in ("queued", "scheduled") and waited > _UNWORKED_SECONDS:
        yield Alarm("no_worker", about, f"it has been {task.state} for {waited:.0f} s")


def _of_target(dag: DagFacts, airflow: AirflowFacts) -> Iterator[Alarm]:
    if not dag.exists:
        yield Alarm("target_missing", dag.dag_id, "Airflow does not know this DAG: its events are put off")
        return
    if dag.is_broken:
        yield Alarm("target_broken", dag.dag_id, "its file has import errors: its events are put off")
    if dag.is_paused:
        yield Alarm("target_paused", dag.dag_id, "it is paused: nothing is started for it")
    if dag.queued >= airflow.max_queued_runs:
        yield Alarm(
            "target_full", dag.dag_id, f"{dag.queued} of its runs wait: nothing more is started for it"
        )
