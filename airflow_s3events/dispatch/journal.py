"""A dispatcher's side of the ledger: asked before the runs of a batch are made, told what became of them.

One question and one note for a whole batch, so that a ledger costs a few statements a batch, not an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from airflow_s3events.dispatch.starting import (
    Outcome,
    Runs,
    Starter,
    StoredStarter,
    SucceededStarter,
    name_of,
)
from airflow_s3events.dispatch.turns import TURN_SECONDS, RunStates, Turns
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import BodyError, ConfigurationError
from airflow_s3events.identity import event_id
from airflow_s3events.ledger import Decision, Ledger
from airflow_s3events.ledger.ledger import Verdict
from airflow_s3events.ledger.turns import Ask, Busy
from airflow_s3events.messages import Message
from airflow_s3events.ordering import ByField, Placing, by_sequencer
from airflow_s3events.routing import Matcher, Route
from airflow_s3events.settlement import Disposition, RunState
from airflow_s3events.tracing import carrier

#: What the setting ``ordering`` may be.
Ordering: TypeAlias = Literal["none", "newest", "per_key"] | ByField
#: What an event comes to that will have no run: it gives its turn up.
_NO_RUN = frozenset({"ignored", "dropped", "unmatched", "stale", "gave_up"})
_HAS_RUN = frozenset({"duplicate", "joined"})


@dataclass(frozen=True, slots=True)
class Order:
    """The order that a dispatcher keeps.

    Attributes:
        place: An event's place in it; None: there is no order.
        same_place_is_same: Two events at one place are copies of one.
        turn: An event's place among those of its key that wait for their turn; None: there are no turns.
    """

    place: Placing | None = None
    same_place_is_same: bool = False
    turn: Placing | None = None

    @staticmethod
    def of(ordering: Any, *, ledger: str | None) -> Order:
        """Return the order that a setting asks for: one of ``Ordering``.

        Raises:
            ConfigurationError: There is no such order, or no ledger to keep it with.
        """
        order = Order._of(ordering)
        if order != Order() and ledger is None:
            raise ConfigurationError(f"ordering={ordering!r} needs a ledger: set ledger, too")
        return order

    @staticmethod
    def _of(ordering: Any) -> Order:
        if isinstance(ordering, ByField):
            return Order(ordering, same_place_is_same=True)
        if ordering not in ("none", "newest", "per_key"):
            raise ConfigurationError(f"ordering={ordering!r}: give 'none', 'newest', 'per_key' or a ByField")
        if ordering == "per_key":
            return Order(turn=by_sequencer)
        return Order(by_sequencer if ordering == "newest" else None)


class Journal:
    """What the ledger says of one batch after the other; without a ledger, nothing.

    Args:
        ledger: Where it is written; None: nowhere.
        order: The order that is kept.
    """

    def __init__(self, ledger: Ledger | None = None, order: Order | None = None) -> None:
        self._ledger = ledger
        self._order = order or Order()
        self._turns = None if ledger is None or self._order.turn is None else Turns(ledger)
        self._verdicts: dict[str, Verdict] = {}
        self._asks: dict[tuple[str, int], dict[str, tuple[Ask, Busy | None]]] = {}
        self._told: list[tuple[Decision, tuple[str, str] | None]] = []
        self._ends: list[tuple[Ask, Decision, tuple[str, str] | None]] = []
        self._forgone: list[Ask] = []

    @property
    def ledger(self) -> Ledger | None:
        """Where it is written; None: nowhere."""
        return self._ledger

    async def judge(self, batch: Sequence[Message], routes: Matcher) -> None:
        """Ask about all events of a batch at once.

        Raises:
            OutageError: The ledger is away.
        """
        for known in (self._told, self._ends, self._verdicts, self._asks, self._forgone):
            known.clear()
        if self._ledger is None:
            return
        came: list[tuple[ObjectEvent, int]] = []
        for message in batch:
            with suppress(BodyError):  # the dispatcher meets it again, and settles the message
                parsed = parse_body(message.body, message_id=message.delivery_id)
                came += [(event, message.attempt) for event in parsed.events]
        events = [event for event, _ in came]
        asked = [(event, routes.reach(event)) for event in events]
        verdicts = await self._ledger.judge(
            asked, place=self._order.place, same_place_is_same=self._order.same_place_is_same
        )
        self._verdicts = dict(zip(map(event_id, events), verdicts, strict=True))
        if self._turns is not None:
            await self._ask(self._turns, came, routes)

    async def busy(self, event: ObjectEvent, route: Route, message: Message, runs: RunStates) -> Busy | None:
        """Return who must end, or come, before this event may have its run; None: nobody.

        Raises:
            OutageError: The ledger or Airflow is away.
        """
        asked = self._asks.get((event_id(event), message.attempt), {}).get(route.dag_id)
        if self._turns is None or asked is None:
            return None
        return await self._turns.wait(*asked, runs)

    async def _ask(self, turns: Turns, came: Sequence[tuple[ObjectEvent, int]], routes: Matcher) -> None:
        """Ask for the turns of all events that have no run yet, or are wanted again."""
        asks = [
            self._ask_of(event, attempt, route)
            for event, attempt in came
            for route in routes.match(event).routes
            if attempt or route.dag_id not in self._verdicts[event_id(event)].runs
        ]
        for ask, busy in zip(asks, await turns.ask(asks), strict=True):
            known = self._asks.setdefault((event_id(ask.event), ask.attempt), {})
            known[ask.dag_id] = (ask, busy)

    def _ask_of(self, event: ObjectEvent, attempt: int, route: Route) -> Ask:
        name = name_of(route, event, attempt, self._verdicts[event_id(event)].naming)
        place = self._order.turn and self._order.turn(event)
        return Ask(
            event=event,
            dag_id=route.dag_id,
            who=event_id(event),
            attempt=attempt,
            run_id=name,
            place=place,
        )

    def verdict(self, event: ObjectEvent) -> Verdict | None:
        """Return what the ledger says of an event of the batch."""
        return self._verdicts.get(event_id(event))

    def tell(
        self, event: ObjectEvent, message: Message, outcome: Outcome, route: Route | None = None
    ) -> Outcome:
        """Take down what became of an event; return it."""
        verdict = self._verdicts.get(event_id(event))
        if verdict is not None:
            decision = _decision(event, message, outcome, route, verdict)
            self._told.append((decision, outcome.created))
            for ask, _ in self._asks.get((event_id(event), message.attempt), {}).values():
                if route is None or route.dag_id == ask.dag_id:
                    self._ends.append((ask, decision, outcome.created))
        return outcome

    def forgo(self, event: ObjectEvent, message: Message, routes: Sequence[Route]) -> None:
        """Take down that the event gets these routes alone: of any other DAG it needs no turn."""
        asks = self._asks.get((event_id(event), message.attempt), {})
        for dag_id in set(asks) - {route.dag_id for route in routes}:
            ask, _ = asks.pop(dag_id)
            self._forgone.append(ask)

    async def record(self, missing: set[tuple[str, str]]) -> None:
        """Note what was told of the batch, before any of its messages is deleted.

        Args:
            missing: Runs that Airflow took and does not have.

        Raises:
            OutageError: The ledger is away.
        """
        if self._ledger is not None and self._told:
            await self._ledger.record(
                [
                    replace(decision, what="not_stored", run_id=None) if created in missing else decision
                    for decision, created in self._told
                ]
            )
        if self._turns is not None:
            await self._end(self._turns, missing)

    async def _end(self, turns: Turns, missing: set[tuple[str, str]]) -> None:
        """Note which turns have their run, and give up those that will have none."""
        made = [
            (ask, created[1] if created else decision.run_id or ask.run_id)
            for ask, decision, created in self._ends
            if (created and created not in missing) or decision.what in _HAS_RUN
        ]
        await turns.started(made)
        ended = [ask for ask, decision, _ in self._ends if decision.what in _NO_RUN]
        await turns.leave([*ended, *self._forgone])


@dataclass(frozen=True, slots=True)
class KnownStarter:
    """Leaves alone what the ledger knows, and whose turn it is not; all else is the other starter's.

    What carries an attempt is wanted again, whatever is known of it but for the name of its run. An event
    whose run Airflow still has is the other starter's, too: the run may have failed, or be waited for. So is
    one whose run was deleted before its success, where that is waited for.
    """

    starter: Starter
    runs: Runs
    journal: Journal

    async def ensure_run(self, route: Route, event: ObjectEvent, message: Message) -> Outcome:
        """See ``Starter``."""
        busy = await self.journal.busy(event, route, message, self.runs)
        if busy is not None:
            reason = f"run {busy.run_id} of the same key works" if busy.run_id else "an earlier event waits"
            return Outcome("put_off", Disposition.RELEASE, reason, TURN_SECONDS)
        verdict = self.journal.verdict(event)
        if verdict is None or message.attempt:
            return await self._wanted(route, event, message, verdict)
        if route.dag_id in verdict.runs:
            return await self._again(route, event, message, verdict)
        if verdict.newer:
            return Outcome("stale")
        if verdict.identity != event_id(event):
            return await self._named(route, event, verdict)
        return await self.starter.ensure_run(route, event, message)

    async def _wanted(
        self, route: Route, event: ObjectEvent, message: Message, verdict: Verdict | None
    ) -> Outcome:
        if verdict is None or verdict.identity == event_id(event):
            return await self.starter.ensure_run(route, event, message)
        # As ``_named``: triggers have no ledger, and would look for the run under the event's own name.
        return await StoredStarter(self.runs).ensure_run(route, event, message, verdict.naming)

    async def _again(self, route: Route, event: ObjectEvent, message: Message, verdict: Verdict) -> Outcome:
        if verdict.identity != event_id(event):
            return Outcome("duplicate")
        # A message that waits for a success is here because none was seen: a run that is gone was deleted.
        waits = isinstance(self.starter, SucceededStarter) and route.dag_id not in verdict.acknowledged
        if waits or await self.runs.state(route.dag_id, name_of(route, event, 0)) is not RunState.NONE:
            return await self.starter.ensure_run(route, event, message)
        return Outcome("duplicate")

    async def _named(self, route: Route, event: ObjectEvent, verdict: Verdict) -> Outcome:
        """Make, or find, the run that a reconciliation has named: a message is done when it is stored."""
        name = name_of(route, event, 0, verdict.naming)
        data = {**event.serialize(), "event_id": verdict.identity}
        conf = {**carrier(), **route.conf(data)}
        is_new = await self.runs.create(route.dag_id, name, conf, route.note_of(data))
        return Outcome("started" if is_new else "duplicate", created=(route.dag_id, name))


def _decision(
    event: ObjectEvent, message: Message, outcome: Outcome, route: Route | None, verdict: Verdict
) -> Decision:
    name, reason = None, outcome.reason
    if outcome.created is not None:
        name = outcome.created[1]
    elif outcome.run is not None:
        name = outcome.run[1]
    elif outcome.what == "duplicate" and route is not None:
        name = verdict.runs.get(route.dag_id) or name_of(route, event, 0, verdict.naming)
    elif outcome.what == "stale":
        reason = f"event {verdict.newer} of the same object is newer"
    return Decision(
        event=event,
        what=outcome.what,
        dag_id="" if route is None else route.dag_id,
        run_id=name,
        reason=reason,
        same_as="" if verdict.identity == event_id(event) else verdict.identity,
        message_id=message.message_id,
        disposition=outcome.disposition.name.lower(),
    )
