"""From messages to DAG runs: start what each message asks for, read it back, then settle the message.

Knows neither Airflow nor AWS: it works on the calls of ``Runs`` and on a ``Consumer``. Where it may be
killed:

* before a run is created: the message is still in the queue, its visibility lapses, it comes again;
* after a run is created and before the message is deleted: it comes again, the run id is taken, the run is
  read back, the message is deleted.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeVar

from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.dispatch.batch_runs import BatchRuns, ManifestSource, wanted_of
from airflow_s3events.dispatch.choices import Choices
from airflow_s3events.dispatch.dispositions import Dispositions, put_off
from airflow_s3events.dispatch.gates import Closed, Gate, all_waiting, gates_of
from airflow_s3events.dispatch.gathering import Groups
from airflow_s3events.dispatch.inbox import Inbox
from airflow_s3events.dispatch.journal import Journal, KnownStarter
from airflow_s3events.dispatch.reading_back import missing_of
from airflow_s3events.dispatch.scoring import Asker, Scoring
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.dispatch.starting import Outcome, Runs, Starter, StoredStarter, SucceededStarter
from airflow_s3events.enrich import Enricher, FactSource
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import BodyError, ChannelError, OutageError, RouteError
from airflow_s3events.holding import Holder
from airflow_s3events.ledger import Ledger
from airflow_s3events.messages import Message
from airflow_s3events.metrics import Meter
from airflow_s3events.observing import note_read, note_run
from airflow_s3events.routing import Route, Routes
from airflow_s3events.settlement import Disposition, receives_for_tries
from airflow_s3events.tracing import Traces

_T = TypeVar("_T")


@dataclass(slots=True)
class Dispatcher:
    """Starts the runs that messages ask for and settles the messages.

    Args:
        inbox: Where messages come from and are settled.
        routes: Which DAG gets which event.
        runs: Airflow's DAG runs.
        settings: What to do with what cannot be started.
        now: Seconds since the epoch.
        clock: Monotonic seconds.
        gates: The door of each DAG, as ``gates_of`` makes them, which it does where they are left out.
        journal: Asked before runs are made, and told what became of each event.
        source: Who answers for objects; needed where a route asks.
        meter: Told of what is measured.
        asker: Asks the scorer; None: there is none.
        lines: Gets a line for each decision that is not the normal one; the inbox gets the same.
        audit: Told of what was decided about the events of a message.
        traces: Makes a span of each run that is started.
    """

    inbox: Inbox
    routes: Routes
    runs: Runs
    settings: DispatchSettings
    now: Callable[[], float]
    clock: Callable[[], float]
    gates: dict[str, Gate] = field(default_factory=dict)
    journal: Journal = field(default_factory=Journal)
    source: FactSource | None = None
    #: Matches events with the routes, and asks S3 where they need to know.
    enricher: Enricher = field(init=False)
    meter: Meter = field(default_factory=Meter)
    asker: Asker | None = None
    #: What a scorer says beside the routes; and what an event gets, whatever they say when it comes again.
    scoring: Scoring = field(init=False)
    choices: Choices = field(init=False)
    lines: DecisionLog = field(default_factory=DecisionLog)
    audit: Callable[[Message, Sequence[Outcome]], None] = lambda *_: None
    traces: Traces = field(default_factory=Traces)
    #: Makes the runs.
    starter: Starter = field(init=False)
    #: Waits for the end of runs; None where messages are deleted when their runs are stored. And for groups.
    holder: Holder | None = field(default=None, init=False)
    batches: BatchRuns | None = field(default=None, init=False)
    #: Events by outcome: started, duplicate, joined, restarted, stale, unmatched, ignored, dropped,
    #: malformed, put_off, gave_up, not_stored, grouped, waiting; and ``batch_runs``, ``batched`` events.
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.gates = self.gates or gates_of(self.routes, self.runs, self.clock)
        self.starter = StoredStarter(self.runs)
        self.enricher = Enricher(self.routes, self.source)
        self.scoring = Scoring(self.routes, self.enricher, self.asker, self.meter, self.lines)
        self.choices = Choices(self.routes, self.scoring, self.runs)

    def hold_runs(
        self,
        on_redelivery: Literal["clear", "new_run"],
        retry_delay_seconds: float,
        *,
        dispatchers: int = 1,
    ) -> None:
        """Have messages held until their runs have succeeded, and failed runs started again.

        While the inbox holds all it may, ``run`` goes on and waits for room: what it would give back then
        could not be told from what still waits for its run.

        Args:
            on_redelivery: As for ``SucceededStarter``.
            retry_delay_seconds: As for ``Holder``.
            dispatchers: How many work on the queue side by side.
        """
        limit = receives_for_tries(self.settings.max_receive_count, dispatchers)
        self.starter = SucceededStarter(
            runs=self.runs,
            on_redelivery=on_redelivery,
            max_receive_count=limit,
            holds=self.inbox.holds,
        )
        self.holder = Holder(
            inbox=self.inbox,
            runs=self.runs,
            max_receive_count=limit,
            retry_delay_seconds=retry_delay_seconds,
            meter=self.meter,
        )

    def gather_batches(self, ledger: Ledger, max_held: int, manifests: ManifestSource | None = None) -> None:
        """Have messages held until the batch runs of their events are stored, where routes have a ``batch``.

        Args:
            ledger: Keeps which event is in which batch; its clock is that of idle times.
            max_held: As for ``BatchRuns``.
            manifests: The same.
        """
        if self.routes.has_batches:
            self.inbox.limit(max_held)
            self.batches = BatchRuns(
                inbox=self.inbox,
                runs=self.runs,
                gates=self.gates,
                groups=Groups(ledger, since=ledger.now()),
                max_held=max_held,
                manifests=manifests,
                counts=self.counts,
                traces=self.traces,
            )

    async def waiting(self) -> Closed | None:
        """Return why nothing can be started now (every DAG is paused or full), or None: ask before receiving.

        Also tells the inbox how many messages there is room for, since what is received and given back is
        one receive nearer to the dead letter queue.

        Raises:
            OutageError: Airflow did not answer.
        """
        closed = await all_waiting(self.gates.values())
        if self.batches is None:
            self.inbox.limit(self._held_count() + sum(gate.room for gate in self.gates.values()))
        # What is held for open groups would all be given back; what can have no run is given back anyway.
        return None if self.batches is not None and len(self.batches) else closed

    async def run(self) -> Closed | None:
        """Dispatch until the inbox ends or nothing can be started any more; return why, in that case.

        Raises:
            OutageError: The inbox is stopping while Airflow is away.
        """
        watch = None if self.holder is None else asyncio.ensure_future(self.holder.watch())
        try:
            async for batch in self.inbox.batches():
                await self.dispatch(batch)
                closed = await self._patiently(self.waiting)
                if closed is not None:
                    return closed
        finally:
            if watch is not None:
                watch.cancel()
        return None

    def _held_count(self) -> int:
        return 0 if self.holder is None else len(self.holder)

    async def dispatch(self, batch: Sequence[Message]) -> None:
        """Start every run that ``batch`` asks for, read the runs back, then settle the messages.

        Raises:
            OutageError: The inbox is stopping while Airflow is away.
        """
        results: list[tuple[Message, list[Outcome]]] = []
        oldest = self.settings.oldest(self.now())
        await self._patiently(lambda: self.enricher.prepare(batch, oldest))
        await self.scoring.prepare(batch, oldest, lambda: self.inbox.stopping)
        await self._patiently(lambda: self.journal.judge(batch, self.scoring))
        if self.batches is not None:
            wanted = wanted_of(batch, self.enricher, self.journal.verdict, oldest)
            await self._patiently(partial(self.batches.take, wanted))
        for message in self._in_order(batch):
            if self.inbox.stopping:
                break
            results.append((message, await self._outcomes(message)))
        missing = await missing_of([o for _, some in results for o in some], self.runs, self._patiently)
        await self._patiently(lambda: self.journal.record(missing))
        for message, outcomes in results:
            await self._settle(message, [outcome.stored(missing) for outcome in outcomes])
        if self.batches is not None:
            for message, route, closed in await self._patiently(self.batches.close):
                await self._settle(message, [self._put_off(closed, message, route)])

    def _in_order(self, batch: Sequence[Message]) -> Sequence[Message]:
        """Return the messages, those of urgent routes first."""
        return sorted(batch, key=self._rank) if self.scoring.has_priorities else batch

    def _rank(self, message: Message) -> int:
        try:
            events = parse_body(message.body, message_id=message.delivery_id).events
        except BodyError:
            return 0
        return -max(map(self.scoring.priority, events), default=0)

    async def _outcomes(self, message: Message) -> list[Outcome]:
        try:
            return await self._start_all(message)
        except (ChannelError, OutageError):
            raise
        except BodyError as error:
            return [Outcome("malformed", Disposition.DEAD_LETTER, str(error))]
        except Exception as error:
            # A fault of ours that one message brings out must not stop the queue: the task would fail, be
            # retried, receive the message and fail again. It is put off, and dead-lettered in the end, like a
            # refusal.
            self.lines.fault(error, message)
            closed = Closed(f"unexpected {type(error).__name__}: {error}", 60.0, refused=True)
            return [self._put_off(closed, message)]

    async def _start_all(self, message: Message) -> list[Outcome]:
        parsed = parse_body(message.body, message_id=message.delivery_id)
        outcomes = [
            Outcome("malformed", Disposition.DEAD_LETTER, f"record {bad.index}: {bad.reason}")
            for bad in parsed.bad
        ]
        for event in parsed.events:
            outcomes.extend(await self._event(event, message))
        return outcomes

    async def _event(self, event: ObjectEvent, message: Message) -> list[Outcome]:
        note_read(self.meter, event, message)
        if event.is_before(self.settings.oldest(self.now())):
            return [self._told(event, message, Outcome("ignored"))]
        verdict = self.journal.verdict(event)
        choice = await self._patiently(lambda: self.choices.choose(event, verdict))
        event, match = choice.event, choice.match
        self.journal.forgo(event, message, match.routes)
        if choice.drop:
            return [self._told(event, message, Outcome("dropped", reason=choice.drop))]
        outcomes = [
            self._refused(failure.route, failure.error, message).of(event, failure.route)
            for failure in match.errors
        ]
        outcomes += [
            self._told(event, message, await self._start(route, event, message), route)
            for route in match.routes
        ]
        return outcomes or [self._told(event, message, _UNMATCHED[self.routes.unmatched])]

    def _told(
        self, event: ObjectEvent, message: Message, outcome: Outcome, route: Route | None = None
    ) -> Outcome:
        """Take an outcome down in the journal; return it with what it is about."""
        return self.journal.tell(event, message, outcome, route).of(event, route)

    async def _start(self, route: Route, event: ObjectEvent, message: Message) -> Outcome:
        self.meter.count("events.matched", route.dag_id)
        if self.batches is not None and (gathered := self.batches.outcome(event, route)) is not None:
            return self._or_put_off(gathered, message, route)
        gate = self.gates[route.dag_id]
        closed = await self._patiently(gate.check)
        if closed is not None:
            return self._put_off(closed, message, route)
        starter = KnownStarter(self.starter, self.runs, self.journal)
        try:
            with self.traces.event(event, message) as span:
                outcome = await self._patiently(lambda: starter.ensure_run(route, event, message))
        except RouteError as error:
            return self._refused(route, error, message)
        if (run := outcome.created or outcome.run) and outcome.what in _STARTED:
            self.traces.started(span, *run, outcome.what)
        if outcome.created:
            gate.started()
        if outcome.what == "started":
            note_run(self.meter, event, message, self.now())
        return self._or_put_off(outcome, message, route)

    def _or_put_off(self, outcome: Outcome, message: Message, route: Route) -> Outcome:
        """Put off what is to be released, for as long as the message's receives allow."""
        if outcome.disposition is not Disposition.RELEASE:
            return outcome
        return self._put_off(Closed(outcome.reason, outcome.retry_seconds), message, route)

    def _refused(self, route: Route, error: RouteError, message: Message) -> Outcome:
        return self._put_off(self.gates[route.dag_id].refuse(error), message, route)

    async def _settle(self, message: Message, outcomes: Sequence[Outcome]) -> None:
        holder = self.holder if self.batches is None else self.batches
        dispositions = Dispositions(self.inbox, self.settings, self.lines, self.meter)
        self.counts.update(outcome.what for outcome in outcomes)
        self.audit(message, outcomes)
        await dispositions.carry_out(message, outcomes, holder)

    def _put_off(self, closed: Closed, message: Message, route: Route | None = None) -> Outcome:
        return put_off(
            closed, message, self.settings, self.now(), dag_id="" if route is None else route.dag_id
        )

    async def _patiently(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Return what ``call`` returns, however long Airflow is away, unless the inbox is stopping."""
        while True:
            try:
                answer = await call()
            except OutageError as outage:
                if self.inbox.stopping:
                    raise
                self.counts["outages"] += 1
                await self.inbox.wait_out(outage)
            else:
                self.inbox.resume()
                return answer


#: Outcomes with a span.
_STARTED = frozenset({"started", "restarted"})
_UNMATCHED = {
    "discard": Outcome("unmatched"),
    "dead-letter": Outcome("unmatched", Disposition.DEAD_LETTER, "no route takes this event"),
    "leave": Outcome("unmatched", Disposition.LAPSE, "no route takes this event"),
}
