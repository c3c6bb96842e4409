"""``S3EventDispatchOperator``: one DAG run for each object event of a queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from airflow_s3events._compat import (
    BaseOperator,
    Context,
    airflow_runs,
    check_can_hold,
    earliest_resume_seconds,
    sigterm_calls,
)
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.gates import all_waiting
from airflow_s3events.preload import uncollected
from airflow_s3events.settlement import check_hold, check_redrive
from airflow_s3events.triggers.s3_event import S3EventTrigger
from airflow_s3events.triggers.s3_event_hold import S3EventHoldTrigger

if TYPE_CHECKING:
    from airflow_s3events.consumer import Consumer, ConsumerSettings
    from airflow_s3events.dispatch import Dispatcher
    from airflow_s3events.gates import Closed, Gate
    from airflow_s3events.hooks.s3_events import S3EventsHook
    from airflow_s3events.journal import Journal, Ordering
    from airflow_s3events.ledger import LedgerSettings
    from airflow_s3events.messages import QueueAttributes
    from airflow_s3events.routing import Route, Routes
    from airflow_s3events.sqs import SqsQueue

#: Messages between two read-backs of the runs just created.
_BATCH_COUNT = 50
#: Seconds that a stop waits for receives: Airflow gives a task 5 s between SIGTERM and SIGKILL.
_STOP_SECONDS = 2.0
#: Settings and their least values. A shorter life would start one run of the dispatcher DAG after the other.
_LEAST = {
    "linger_seconds": 0,
    "life_seconds": 60,
    "give_up_seconds": 0,
    "visibility_seconds": 10,
    "max_in_flight": 1,
    "retry_delay_seconds": 0,
    "expected_hold_seconds": 0,
    "parallel": 1,
}
_CHOICES = {"acknowledge": ("run_stored", "run_succeeded"), "on_redelivery": ("clear", "new_run")}
#: Messages held by one dispatcher: with more, asking for their runs' states would take more than it gives.
_MOST_HELD = 2_000
_TEMPLATED = ("sqs_queue", "dead_letter_queue", "ledger", "aws_conn_id", "region_name")


class S3EventDispatchOperator(BaseOperator):
    """Starts one DAG run for each object event that a queue holds, and goes on for ``life_seconds``.

    Works on a worker while there are messages, lingers ``linger_seconds`` for more, then defers to
    ``S3EventTrigger``, which wakes it at the next message. The run has the event in ``conf["s3_event"]``
    (``events_of(context)`` gives it typed) and a run id made from what S3 sent, so that a repeat of the event
    finds the run instead of starting another. A message is deleted after its runs have been read back from
    Airflow.

    What it needs of AWS: ``sqs:ReceiveMessage``, ``DeleteMessage``, ``ChangeMessageVisibility``,
    ``GetQueueAttributes`` and ``GetQueueUrl`` on the queue, ``sqs:SendMessage``, ``GetQueueAttributes`` and
    ``GetQueueUrl`` on the dead letter queue.

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
        give_up_seconds: An event that its DAG refuses goes to the dead letter queue after so long (and five
            receives). Default 6 hours.
        parallel: Dispatchers side by side on the queue, this one included; ``s3_event_dispatcher`` sets it.
        acknowledge: ``"run_stored"`` deletes a message when Airflow has its run, ``"run_succeeded"`` when the
            run has succeeded: a failed one is started again, and its event dead-lettered with the reason when
            ``maxReceiveCount`` leaves no further try (each takes three receives).
        on_redelivery: How, then: ``"clear"`` under its own name, ``"new_run"`` under one with the attempt.
        max_held: Messages held for runs that work, at most; 1 to 2,000. Default 500.
        retry_delay_seconds: Start again after so long, doubling to 15 minutes. Default 60.
        expected_hold_seconds: How long runs take; messages must be kept twice as long. Default 1 hour.
        ledger: Keeps what happened to each event, and knows it for longer than Airflow keeps its run:
            ``sql:<Airflow connection>`` (PostgreSQL, MySQL, SQLite) or ``dynamodb:<table>``. Templated.
        ordering: ``"newest"``, with a ledger: an event older than one of its key that has come starts
            nothing. A ``ByField``: the same, by a field of yours. Default ``"none"``.
        ledger_settings: How long the ledger remembers.
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
        self.give_up_seconds = give_up_seconds
        self.acknowledge = acknowledge
        self.on_redelivery = on_redelivery
        self.max_held = max_held
        self.retry_delay_seconds = retry_delay_seconds
        self.expected_hold_seconds = expected_hold_seconds
        self.parallel = parallel
        self.ledger, self.ordering, self.ledger_settings = ledger, ordering, ledger_settings
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self._held_elsewhere = 0
        self._consumer: Consumer | None = None
        self._is_killed = False

    def check_settings(self) -> None:
        """Look at every setting that needs neither Airflow nor AWS to be judged.

        Raises:
            ConfigurationError: One of them cannot work; names it and says what to put there.
        """
        from airflow_s3events.journal import Order
        from airflow_s3events.routing import Routes

        Routes.of(self.routes)
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
                raise ConfigurationError(f"{name}={value!r}: give a number from {least}")
        if self._holds:
            check_can_hold()
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigurationError(f"{name}={getattr(self, name)!r}: give one of {', '.join(choices)}")
        if type(self.max_held) is not int or not 1 <= self.max_held <= _MOST_HELD:
            raise ConfigurationError(
                f"max_held={self.max_held!r}: give a whole number from 1 to {_MOST_HELD}"
            )
        if self.ignore_before is not None and getattr(self.ignore_before, "tzinfo", None) is None:
            raise ConfigurationError(
                f"ignore_before={self.ignore_before!r}: give a datetime with a time zone"
            )
        Order.of(self.ordering, ledger=self.ledger)
        self._consumer_settings(self.life_seconds)

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
        if self._consumer is not None:
            self._consumer.stop()

    @property
    def _holds(self) -> bool:
        return self.acknowledge == "run_succeeded"

    def _work_and_defer(self, context: Context, until: float) -> None:
        with sigterm_calls(self.on_kill):
            closed = asyncio.run(self._work(until))
        if time.time() < until:
            self._defer(context, until, closed)

    def _defer(self, context: Context, until: float, closed: Closed | None) -> None:
        common: dict[str, Any] = {
            "sqs_queue": self.sqs_queue,
            "until": until,
            "quiet_seconds": earliest_resume_seconds(),
            "recheck_seconds": None if closed is None else closed.retry_seconds,
            **self._aws(),
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
            **common,
        )

    async def _check_queue(self) -> None:
        hook = self._hook()
        async with hook.open_client() as client:
            attributes = await (await hook.queue(client, self.sqs_queue)).describe()
            await self._checked(hook, client, attributes)

    async def _checked(self, hook: S3EventsHook, client: Any, attributes: QueueAttributes) -> SqsQueue | None:
        """Return the dead letter queue, once the queue is found fit."""
        check_redrive(attributes, dispatchers=self.parallel)
        dead_letters = await self._dead_letters(hook, client, attributes)
        if self._holds:
            check_hold(
                attributes,
                has_dead_letters=dead_letters is not None,
                expected_hold_seconds=self.expected_hold_seconds,
                dispatchers=self.parallel,
            )
        return dead_letters

    def _aws(self) -> dict[str, Any]:
        names = ("aws_conn_id", "region_name", "verify", "botocore_config")
        return {name: getattr(self, name) for name in names}

    async def _work(self, until: float) -> Closed | None:
        """Drain the queue; return why nothing can be started now, if that is so."""
        from airflow_s3events.dispatch import gates_of
        from airflow_s3events.routing import Routes

        gates = gates_of(Routes.of(self.routes), airflow_runs(), time.monotonic)
        # Loading the AWS libraries takes a new process half a second: Airflow answers meanwhile.
        asked = asyncio.ensure_future(all_waiting(gates.values()))
        try:
            async with AsyncExitStack() as stack:
                with uncollected():
                    hook = await asyncio.to_thread(self._hook)
                    client = await stack.enter_async_context(hook.open_client())
                closed = await self._drain(hook, client, gates, asked, until)
        finally:
            asked.cancel()
        if closed is not None:
            self.log.info("Nothing can be started now: %s", closed.reason)
        return closed

    def _hook(self) -> S3EventsHook:
        from airflow_s3events.hooks.s3_events import hook_for

        return hook_for(self.sqs_queue, **self._aws())

    async def _drain(
        self,
        hook: S3EventsHook,
        client: Any,
        gates: dict[str, Gate],
        asked: asyncio.Future[Closed | None],
        until: float,
    ) -> Closed | None:
        queue = await hook.queue(client, self.sqs_queue)
        attributes = await queue.describe()
        dead_letters = await self._checked(hook, client, attributes)
        self._consumer = consumer = self._make_consumer(queue, dead_letters, until)
        has_dead_letters = dead_letters is not None
        dispatcher = self._make_dispatcher(consumer, gates, attributes, has_dead_letters=has_dead_letters)
        try:
            with suppress(OutageError):
                await asked
            # Each gate remembers its answer; one that got none is asked again.
            closed = await dispatcher.waiting()
            if closed is None:
                async with self._journal() as dispatcher.journal, consumer:
                    closed = await dispatcher.run()
        finally:
            self._report(consumer, dispatcher)
        return closed

    def _journal(self) -> AbstractAsyncContextManager[Journal]:
        from airflow_s3events.hooks.ledger import open_journal

        return open_journal(self.ledger, self.ordering, self.ledger_settings, aws=self._aws())

    async def _dead_letters(
        self, hook: S3EventsHook, client: Any, attributes: QueueAttributes
    ) -> SqsQueue | None:
        named = self.dead_letter_queue or attributes.dead_letter_arn
        if named is not None:
            dead_letters = await hook.queue(client, named)
            # A redrive policy cannot name its own queue; a setting can.
            if self.dead_letter_queue and (await dead_letters.describe()).arn == attributes.arn:
                raise ConfigurationError(
                    f"dead_letter_queue: {named!r} is sqs_queue itself; name another queue"
                )
            return dead_letters
        self.log.warning(
            "Queue %s has no dead letter queue: what cannot be read stays in it until its retention ends. "
            "Give the queue a redrive policy, or set dead_letter_queue",
            attributes.arn,
        )
        return None

    def _make_consumer(self, queue: SqsQueue, dead_letters: SqsQueue | None, until: float) -> Consumer:
        from airflow_s3events.consumer import Consumer

        settings = self._consumer_settings(max(0.0, until - time.time()))
        consumer = Consumer(queue, settings, dead_letters=dead_letters)
        if self._is_killed:
            consumer.stop()
        return consumer

    def _consumer_settings(self, life_seconds: float) -> ConsumerSettings:
        from airflow_s3events.consumer import ConsumerSettings

        most = max(1, self.max_held - self._held_elsewhere) if self._holds else self.max_in_flight
        return ConsumerSettings(
            visibility_seconds=self.visibility_seconds,
            max_in_flight=most,
            batch_count=min(_BATCH_COUNT, most),
            idle_seconds=self.linger_seconds,
            life_seconds=life_seconds,
            stop_seconds=_STOP_SECONDS,
        )

    def _make_dispatcher(
        self,
        consumer: Consumer,
        gates: dict[str, Gate],
        attributes: QueueAttributes,
        *,
        has_dead_letters: bool,
    ) -> Dispatcher:
        from airflow_s3events.dispatch import Dispatcher, DispatchSettings
        from airflow_s3events.routing import Routes

        settings = DispatchSettings(
            ignore_before=self.ignore_before,
            give_up_seconds=self.give_up_seconds,
            max_receive_count=attributes.max_receive_count,
            has_dead_letters=has_dead_letters,
        )
        dispatcher = Dispatcher(
            inbox=consumer,
            routes=Routes.of(self.routes),
            runs=airflow_runs(),
            settings=settings,
            now=time.time,
            clock=time.monotonic,
            gates=gates,
        )
        if self._holds:
            dispatcher.hold_runs(self.on_redelivery, self.retry_delay_seconds, dispatchers=self.parallel)
        return dispatcher

    def _report(self, consumer: Consumer, dispatcher: Dispatcher) -> None:
        events = ", ".join(f"{count} {what}" for what, count in sorted(dispatcher.counts.items()))
        self.log.info("Events: %s. Messages: %s", events or "none", consumer.stats)
        if dispatcher.holder is not None:
            held, ended = len(dispatcher.holder), dict(dispatcher.holder.counts)
            self.log.info("On hold: %d. Runs: %s", held, ended)
