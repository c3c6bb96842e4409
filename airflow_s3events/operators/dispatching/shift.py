"""One shift of a dispatcher: from its start or a wake-up until there is no more to do, or nothing may be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import airflow_runs
from airflow_s3events._compat.signs import sign_writer
from airflow_s3events._compat.stats import emitter
from airflow_s3events._compat.traces import open_tracing
from airflow_s3events.dispatch.gates import all_waiting
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.operators.dispatching.queues import Queues, open_queues
from airflow_s3events.preload import uncollected

if TYPE_CHECKING:
    from airflow_s3events.audit import AuditTrail
    from airflow_s3events.consumer import Consumer, ConsumerSettings
    from airflow_s3events.decision_log import DecisionLog
    from airflow_s3events.dispatch.batch_runs import ManifestSource
    from airflow_s3events.dispatch.dispatcher import Dispatcher
    from airflow_s3events.dispatch.gates import Closed, Gate
    from airflow_s3events.dispatch.journal import Journal, Order
    from airflow_s3events.dispatch.scoring import Asker
    from airflow_s3events.dispatch.settings import DispatchSettings
    from airflow_s3events.enrich import FactSource
    from airflow_s3events.hooks.s3_events import S3EventsHook
    from airflow_s3events.ledger import Ledger
    from airflow_s3events.metrics import Meter
    from airflow_s3events.operators.dispatch import S3EventDispatchOperator
    from airflow_s3events.reporting import Reporter
    from airflow_s3events.sign_post import SignPost
    from airflow_s3events.tracing import Traces

#: Messages between two read-backs of the runs just created.
_BATCH_COUNT = 50
#: Seconds that a stop waits for receives: Airflow gives a task 5 s between SIGTERM and SIGKILL.
_STOP_SECONDS = 2.0


class Shift:
    """Drains the queue of a dispatcher; ``stop`` may be called before or while it works.

    Args:
        operator: Whose settings count, and who logs.
        until: The end of the operator's life, in seconds since the epoch.
        held_elsewhere: Messages that the dispatcher's trigger holds meanwhile.
        ti: The task instance, which gets the signs of what is wrong; None: nobody does.
    """

    def __init__(
        self, operator: S3EventDispatchOperator, until: float, held_elsewhere: int, ti: Any = None
    ) -> None:
        self._operator = operator
        self._ti = ti
        self._until = until
        self._held_elsewhere = held_elsewhere
        self._consumer: Consumer | None = None
        self._source: FactSource | None = None
        self._manifests: ManifestSource | None = None
        self._asker: Asker | None = None
        self._is_stopped = False
        self._log: DecisionLog | None = None
        self._meter: Meter | None = None
        self._traces: Traces | None = None
        self._trail: AuditTrail | None = None

    def stop(self) -> None:
        """Receive no more, settle what is decided, release the rest. Also for a signal handler."""
        self._is_stopped = True
        if self._consumer is not None:
            self._consumer.stop()

    async def work(self) -> Closed | None:
        """Drain the queue; return why nothing can be started now, if that is so."""
        from airflow_s3events.dispatch.gates import gates_of
        from airflow_s3events.routing import Routes

        gates = gates_of(Routes.of(self._operator.routes), airflow_runs(), time.monotonic)
        # Loading the AWS libraries takes a new process half a second: Airflow answers meanwhile.
        asked = asyncio.ensure_future(all_waiting(gates.values()))
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self._sign_post())
                with uncollected():
                    hook = await asyncio.to_thread(self._operator.hook)
                    self._asker = self._make_asker()
                    client = await stack.enter_async_context(hook.open_client())
                    await stack.enter_async_context(self._open_source())
                closed = await self._drain(hook, client, gates, asked)
        finally:
            asked.cancel()
            if self._traces is not None:
                await self._traces.finish()
        if closed is not None:
            self._operator.log.info("Nothing can be started now: %s", closed.reason)
        return closed

    async def _drain(
        self,
        hook: S3EventsHook,
        client: Any,
        gates: dict[str, Gate],
        asked: asyncio.Future[Closed | None],
    ) -> Closed | None:
        queues = await self._open_queues(hook, client)
        self._consumer = consumer = self._make_consumer(queues)
        dispatcher = self._make_dispatcher(consumer, gates, queues)
        try:
            with suppress(OutageError):
                await asked
            async with self._reporter(consumer, dispatcher, queues):
                # Each gate remembers its answer; one that got none is asked again.
                closed = await dispatcher.waiting()
                if closed is None:
                    async with self._journal() as journal, self._audit(dispatcher), consumer:
                        dispatcher.journal = journal
                        self._gather(dispatcher)
                        closed = await dispatcher.run()
        finally:
            self._report(consumer, dispatcher)
        return closed

    async def _open_queues(self, hook: S3EventsHook, client: Any) -> Queues:
        from airflow_s3events.reporting import report_failure

        try:
            return await open_queues(self._operator, hook, client)
        except (ConfigurationError, OutageError) as error:
            report_failure(self._operator.sqs_queue, emitter("task"), error)
            raise

    def _sign_post(self) -> SignPost:
        from airflow_s3events.sign_post import SignPost

        def away() -> list[OutageError]:
            return [] if self._consumer is None else self._consumer.away

        return SignPost(self._one_meter(), sign_writer(self._ti, "task"), away=away)

    def _gather(self, dispatcher: Dispatcher) -> None:
        """Have messages held for groups, where there is a ledger."""
        ledger = dispatcher.journal.ledger
        if ledger is not None:
            dispatcher.gather_batches(ledger, self._operator.max_held, self._manifests)
        if dispatcher.batches is not None and self._trail is not None:
            dispatcher.batches.audit = self._trail.note_batch

    @asynccontextmanager
    async def _open_source(self) -> AsyncIterator[None]:
        """Open the client that asks S3 about objects, where a route asks; the region is the queue's."""
        from airflow_s3events.routing import Routes

        operator = self._operator
        routes = Routes.of(operator.routes)
        if not routes.asks and not routes.has_manifests:
            yield
            return
        from airflow_s3events.enrich import S3Facts
        from airflow_s3events.hooks.s3_events import bucket_hook
        from airflow_s3events.s3 import S3Bucket
        from airflow_s3events.sqs import region_of

        aws = operator.aws_arguments()
        aws["region_name"] = aws["region_name"] or region_of(operator.sqs_queue)
        async with bucket_hook(**aws).open_client() as client:
            self._source, self._manifests = S3Facts(client), S3Bucket(client)
            yield

    def _make_asker(self) -> Asker | None:
        """Load the scorer, before any message is received."""
        from airflow_s3events.dispatch.scoring import ThreadAsker, load_scorer

        operator = self._operator
        if operator.scorer is None:
            return None
        return ThreadAsker(load_scorer(operator.scorer), operator.scorer_timeout_seconds)

    def _journal(self) -> AbstractAsyncContextManager[Journal]:
        from airflow_s3events.hooks.ledger import open_journal

        operator = self._operator
        aws = operator.aws_arguments()
        settings = operator.ledger_settings
        return open_journal(operator.ledger, operator.ordering, settings, aws=aws, make=self._make_journal)

    @asynccontextmanager
    async def _audit(self, dispatcher: Dispatcher) -> AsyncIterator[None]:
        from airflow_s3events.hooks.audit import open_audit

        operator = self._operator
        opened = open_audit(
            operator.audit,
            sqs_queue=operator.sqs_queue,
            dispatcher=f"{operator.dag_id}/{operator.task_id}",
            aws=operator.aws_arguments(),
            meter=dispatcher.meter,
            lines=dispatcher.lines,
        )
        async with opened as trail:
            dispatcher.audit = trail.note_outcomes
            if dispatcher.holder is not None:
                dispatcher.holder.audit = trail.note_ended
            self._trail = trail
            yield

    def _make_journal(self, ledger: Ledger, order: Order) -> Journal:
        from airflow_s3events.alarms import Alarms, WatchingJournal
        from airflow_s3events.dispatch.journal import Journal

        operator = self._operator
        if operator.anomaly is None:
            return Journal(ledger, order)
        name = f"{operator.dag_id}/{operator.task_id}"
        alarms = Alarms(operator.anomaly, airflow_runs(), ledger, name, meter=self._one_meter())
        return WatchingJournal(ledger, order, alarms)

    def _reporter(self, consumer: Consumer, dispatcher: Dispatcher, queues: Queues) -> Reporter:
        from airflow_s3events import reporting
        from airflow_s3events.reporting import DISPATCHED, HELD, note_consumer, note_outcomes

        meter, holder = dispatcher.meter, dispatcher.holder
        # Asked for anyway when the queue was opened.
        reporting.note_queue(meter, queues.attributes)

        def note() -> None:
            note_consumer(meter, consumer)
            note_outcomes(meter, dispatcher.counts, DISPATCHED)
            if holder is not None:
                meter.gauge("messages.held", len(holder))
                note_outcomes(meter, holder.counts, HELD)
            if dispatcher.batches is not None:
                meter.gauge("messages.held", len(dispatcher.batches))

        return reporting.Reporter(meter, emitter("task"), note=note, describe=queues.queue.describe)

    def _make_consumer(self, queues: Queues) -> Consumer:
        from airflow_s3events.consumer import Consumer

        life_seconds = max(0.0, self._until - time.time())
        settings = consumer_settings(self._operator, life_seconds, self._held_elsewhere)
        consumer = Consumer(queues.queue, settings, dead_letters=queues.dead_letters, lines=self._lines())
        if self._is_stopped:
            consumer.stop()
        return consumer

    def _dispatch_settings(self, queues: Queues) -> DispatchSettings:
        from airflow_s3events.dispatch.settings import DispatchSettings

        operator = self._operator
        return DispatchSettings(
            ignore_before=operator.ignore_before,
            max_age_seconds=operator.max_age_seconds,
            give_up_seconds=operator.give_up_seconds,
            max_receive_count=queues.attributes.max_receive_count,
            has_dead_letters=queues.dead_letters is not None,
        )

    def _make_dispatcher(self, consumer: Consumer, gates: dict[str, Gate], queues: Queues) -> Dispatcher:
        from airflow_s3events.dispatch.dispatcher import Dispatcher
        from airflow_s3events.routing import Routes

        operator = self._operator
        dispatcher = Dispatcher(
            inbox=consumer,
            routes=Routes.of(operator.routes),
            runs=airflow_runs(),
            settings=self._dispatch_settings(queues),
            now=time.time,
            clock=time.monotonic,
            gates=gates,
            source=self._source,
            meter=self._one_meter(),
            asker=self._asker,
            lines=self._lines(),
            traces=self._make_traces(),
        )
        if operator.acknowledge == "run_succeeded":
            dispatcher.hold_runs(
                operator.on_redelivery, operator.retry_delay_seconds, dispatchers=operator.parallel
            )
        return dispatcher

    def _make_traces(self) -> Traces:
        from airflow_s3events.tracing import Traces

        operator, tracing = self._operator, open_tracing()
        self._traces = Traces(
            tracer=None if tracing is None else tracing.tracer,
            flush=None if tracing is None else tracing.flush,
            queue=operator.sqs_queue,
            redact_keys=operator.redact_keys,
            lines=self._lines(),
        )
        return self._traces

    def _one_meter(self) -> Meter:
        """Return the one meter of this shift."""
        from airflow_s3events.metrics import Meter

        if self._meter is None:
            self._meter = Meter(self._operator.sqs_queue)
        return self._meter

    def _lines(self) -> DecisionLog:
        """Return the one log of this shift."""
        from airflow_s3events.decision_log import DecisionLog

        operator = self._operator
        if self._log is None:
            self._log = DecisionLog(queue=operator.sqs_queue, redact_keys=operator.redact_keys)
        return self._log

    def _report(self, consumer: Consumer, dispatcher: Dispatcher) -> None:
        log = self._operator.log
        events = ", ".join(f"{count} {what}" for what, count in sorted(dispatcher.counts.items()))
        log.info("Events: %s. Messages: %s", events or "none", consumer.stats)
        if dispatcher.routes.asks:
            log.info("Asked of S3: %s", dict(dispatcher.enricher.counts))
        if dispatcher.holder is not None:
            held, ended = len(dispatcher.holder), dict(dispatcher.holder.counts)
            log.info("On hold: %d. Runs: %s", held, ended)
        if dispatcher.batches is not None:
            log.info("Given back, their groups are open: %d", len(dispatcher.batches))


def consumer_settings(
    operator: S3EventDispatchOperator, life_seconds: float, held_elsewhere: int = 0
) -> ConsumerSettings:
    """Return the operator's settings as those of its consumer.

    Raises:
        ConfigurationError: One of them cannot work.
    """
    from airflow_s3events.consumer import ConsumerSettings
    from airflow_s3events.routing import Routes

    holds = operator.acknowledge == "run_succeeded" or Routes.of(operator.routes).has_batches
    most = max(1, operator.max_held - held_elsewhere) if holds else operator.max_in_flight
    return ConsumerSettings(
        visibility_seconds=operator.visibility_seconds,
        max_in_flight=most,
        batch_count=min(_BATCH_COUNT, most),
        idle_seconds=operator.linger_seconds,
        life_seconds=life_seconds,
        stop_seconds=_STOP_SECONDS,
    )
