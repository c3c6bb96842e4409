"""``S3EventDispatchOperator``: one DAG run for each object event of a queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from airflow_s3events._compat import BaseOperator, Context, earliest_resume_seconds, sigterm_calls
from airflow_s3events.operators.dispatching.queues import open_queues
from airflow_s3events.operators.dispatching.setting_checks import check
from airflow_s3events.operators.dispatching.shift import Shift, consumer_settings
from airflow_s3events.triggers.s3_event import S3EventTrigger
from airflow_s3events.triggers.s3_event_hold import S3EventHoldTrigger

if TYPE_CHECKING:
    from airflow_s3events.anomaly import AnomalyWatch
    from airflow_s3events.dispatch.gates import Closed
    from airflow_s3events.dispatch.journal import Ordering
    from airflow_s3events.hooks.s3_events import S3EventsHook
    from airflow_s3events.ledger import LedgerSettings
    from airflow_s3events.routing import Route, Routes
    from airflow_s3events.scores import ScoreFunction

_TEMPLATED = ("sqs_queue", "dead_letter_queue", "ledger", "audit", "aws_conn_id", "region_name")


class S3EventDispatchOperator(BaseOperator):
    """Starts one DAG run for each object event that a queue holds, and goes on for ``life_seconds``.

    Works on a worker while there are messages, lingers ``linger_seconds`` for more, then defers to
    ``S3EventTrigger``, which wakes it at the next message. The run has the event in ``conf["s3_event"]``
    (``events_of(context)`` gives it typed) and a run id made from what S3 sent, so that a repeat of the event
    finds the run instead of starting another. A message is deleted after its runs have been read back from
    Airflow.

    What it needs of AWS: ``sqs:ReceiveMessage``, ``DeleteMessage``, ``ChangeMessageVisibility``,
    ``GetQueueAttributes`` and ``GetQueueUrl`` on the queue, ``sqs:SendMessage``, ``GetQueueAttributes`` and
    ``GetQueueUrl`` on the dead letter queue. Where routes ask S3 about objects: ``s3:GetObject`` and
    ``GetObjectVersion`` and ``ListBucket``, or ``s3:GetObjectTagging`` and ``GetObjectVersionTagging``.

    Args:
        sqs_queue: URL, ARN or name of the queue. Templated.
        routes: Which DAG gets which event: a DAG id, a ``Route``, a list of those, a mapping of DAG id to
            filter, or ``Routes``.
        dead_letter_queue: Where messages go that no redelivery can help; the queue of ``sqs_queue``'s redrive
            policy when None. Templated.
        linger_seconds: Keep the worker slot so long after the last message, for one that may follow: a
            trickle does not pay a task start for each object. Default 10.
        life_seconds: End after so long, so that new DAG code takes over. Default 3,600.
        visibility_seconds: How long a received message stays hidden if we die; extended while we live.
            Default 300.
        max_in_flight: Messages received and not settled, at most. Default 100.
        ignore_before: Start nothing for events older than this; they are counted and acknowledged.
        max_age_seconds: The same of events that are older than so long when they are looked at, also for
            another time: an event that waited for a paused DAG, or whose run has failed.
        give_up_seconds: An event that its DAG refuses goes to the dead letter queue after so long (and five
            receives). Default 6 hours.
        parallel: Dispatchers side by side on the queue, this one included; ``s3_event_dispatcher`` sets it.
        acknowledge: ``"run_stored"`` deletes a message when Airflow has its run, ``"run_succeeded"`` when the
            run has succeeded: a failed one is started again, and its event dead-lettered with the reason when
            ``maxReceiveCount`` leaves no further try (each takes three receives).
        on_redelivery: How, then: ``"clear"`` under its own name, ``"new_run"`` under one with the attempt.
        max_held: Messages held for runs that work, at most, in each triggerer; 1 to 2,000. Default 500.
        retry_delay_seconds: Start again after so long, doubling to 15 minutes. Default 60.
        expected_hold_seconds: How long runs take; messages must be kept twice as long. Default 1 hour.
        ledger: Keeps what happened to each event, and knows it for longer than Airflow keeps its run:
            ``sql:<Airflow connection>`` (PostgreSQL, MySQL, SQLite) or ``dynamodb:<table>``. Templated.
        ordering: ``"newest"``, with a ledger: an event older than one of its key that has come starts
            nothing. A ``ByField``: the same, by a field of yours. ``"per_key"``, with a ledger: at most one
            run for a key works at a time, the next starts when it has ended, in S3's order; the others wait
            in the queue, whose ``maxReceiveCount`` must be 10 or more. Default ``"none"``.
        anomaly: With a ledger, an ``AnomalyWatch``: a DAG gets a run for each spike of deletions, overwrites
            or uploads, and for each principal that was never seen before.
        scorer: A function, or the import path ``"package.module:function"`` of one, that is given each event
            that a route takes, and returns a ``Score`` (another priority, another route, or why the event is
            dropped) or None. It runs on the worker, in a thread. Where it does not answer in
            ``scorer_timeout_seconds``, raises or answers what it may not, the routes decide.
        scorer_timeout_seconds: Default 5.
        ledger_settings: How long the ledger remembers.
        audit: Where each decision goes as a line of JSON: ``s3://bucket/prefix`` or ``logs:<log group>``.
            Best effort: no message waits for it. Templated.
        redact_keys: Write digests of object keys into the log instead of the keys; conf has them as ever. See
            ``run_id="opaque"`` of ``Route`` for run ids.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.
    """

    template_fields: Sequence[str] = _TEMPLATED
    ui_color = "#f0a848"

    def __init__(
        self,
        *,
        sqs_queue: str,
        routes: Routes | Route | str | Mapping[str, Any] | Sequence[Any],
        dead_letter_queue: str | None = None,
        linger_seconds: float = 10.0,
        life_seconds: float = 3600.0,
        visibility_seconds: int = 300,
        max_in_flight: int = 100,
        ignore_before: datetime | None = None,
        max_age_seconds: float | None = None,
        give_up_seconds: float = 6 * 3600.0,
        acknowledge: Literal["run_stored", "run_succeeded"] = "run_stored",
        on_redelivery: Literal["clear", "new_run"] = "clear",
        max_held: int = 500,
        retry_delay_seconds: float = 60.0,
        expected_hold_seconds: float = 3600.0,
        parallel: int = 1,
        ledger: str | None = None,
        ordering: Ordering = "none",
        ledger_settings: LedgerSettings | None = None,
        anomaly: AnomalyWatch | None = None,
        scorer: ScoreFunction | str | None = None,
        scorer_timeout_seconds: float = 5.0,
        redact_keys: bool = False,
        audit: str | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sqs_queue = sqs_queue
        self.routes = routes
        self.dead_letter_queue = dead_letter_queue
        self.linger_seconds = linger_seconds
        self.life_seconds = life_seconds
        self.visibility_seconds = visibility_seconds
        self.max_in_flight = max_in_flight
        self.ignore_before = ignore_before
        self.max_age_seconds = max_age_seconds
        self.give_up_seconds = give_up_seconds
        self.acknowledge = acknowledge
        self.on_redelivery = on_redelivery
        self.max_held = max_held
        self.retry_delay_seconds = retry_delay_seconds
        self.expected_hold_seconds = expected_hold_seconds
        self.parallel = parallel
        self.ledger, self.ordering, self.ledger_settings = ledger, ordering, ledger_settings
        self.anomaly = anomaly
        self.scorer, self.scorer_timeout_seconds = scorer, scorer_timeout_seconds
        self.redact_keys = redact_keys
        self.audit = audit
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self._held_elsewhere = 0
        self._shift: Shift | None = None
        self._is_killed = False

    def check_settings(self) -> None:
        """Look at every setting that needs neither Airflow nor AWS to be judged.

        Raises:
            ConfigurationError: One of them cannot work; names it and says what to put there.
        """
        check(self)
        consumer_settings(self, self.life_seconds)

    def execute(self, context: Context) -> None:
        """Start what waits in the queue, then defer; see the class."""
        self.check_settings()
        until = time.time() + self.life_seconds
        if self._holds:
            # Only the trigger knows how much an earlier task has left it to hold.
            asyncio.run(self._check_queue())
            self._defer(context, until, None)
        self._work_and_defer(context, until)

    def resume(self, context: Context, event: Mapping[str, Any], until: float) -> None:
        """Go on after a wake-up. ``until`` is the end of this task's life in seconds since the epoch."""
        self.log.info("Woken: %s", event.get("reason"))
        self._held_elsewhere = int(event.get("held", 0))
        self._work_and_defer(context, until)

    def on_kill(self) -> None:
        """Stop receiving, settle what is decided, release the rest: Airflow sends SIGTERM before SIGKILL."""
        self._is_killed = True
        if self._shift is not None:
            self._shift.stop()

    def aws_arguments(self) -> dict[str, Any]:
        """Return what every hook of the amazon provider asks for."""
        names = ("aws_conn_id", "region_name", "verify", "botocore_config")
        return {name: getattr(self, name) for name in names}

    def hook(self) -> S3EventsHook:
        """Return the hook of the queue's region."""
        from airflow_s3events.hooks.s3_events import hook_for

        return hook_for(self.sqs_queue, **self.aws_arguments())

    @property
    def _holds(self) -> bool:
        return self.acknowledge == "run_succeeded"

    def _work_and_defer(self, context: Context, until: float) -> None:
        self._shift = shift = Shift(self, until, self._held_elsewhere, context.get("ti"))
        if self._is_killed:
            shift.stop()
        with sigterm_calls(self.on_kill):
            closed = asyncio.run(shift.work())
        if time.time() < until:
            self._defer(context, until, closed)

    def _defer(self, context: Context, until: float, closed: Closed | None) -> None:
        common: dict[str, Any] = {
            "sqs_queue": self.sqs_queue,
            "until": until,
            "quiet_seconds": earliest_resume_seconds(),
            "recheck_seconds": None if closed is None else closed.retry_seconds,
            **self.aws_arguments(),
        }
        trigger = self._hold_trigger(context, common) if self._holds else S3EventTrigger(**common)
        self.defer(trigger=trigger, method_name="resume", kwargs={"until": until})

    def _hold_trigger(self, context: Context, common: Mapping[str, Any]) -> S3EventHoldTrigger:
        from airflow_s3events.routing import Routes

        return S3EventHoldTrigger(
            name=f"{self.dag_id}/{self.task_id}/{getattr(context.get('ti'), 'map_index', -1)}",
            dead_letter_queue=self.dead_letter_queue,
            routes=Routes.of(self.routes).serialize(),
            max_held=self.max_held,
            visibility_seconds=self.visibility_seconds,
            retry_delay_seconds=self.retry_delay_seconds,
            parallel=self.parallel,
            redact_keys=self.redact_keys,
            audit=self.audit,
            **common,
        )

    async def _check_queue(self) -> None:
        hook = self.hook()
        async with hook.open_client() as client:
            await open_queues(self, hook, client)
