"""A dispatcher's side of the ledger: asked before the runs of a batch are made, told what became of them.

One question and one note for a whole batch, so that a ledger costs a few statements a batch, not an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import BodyError, ConfigurationError
from airflow_s3events.identity import event_id, run_id
from airflow_s3events.ledger import Decision, Ledger
from airflow_s3events.ledger.ledger import Verdict
from airflow_s3events.messages import Message
from airflow_s3events.ordering import ByField, Placing, by_sequencer
from airflow_s3events.routing import Matcher, Route
from airflow_s3events.settlement import RunState
from airflow_s3events.starting import Outcome, Runs, Starter, name_of

#: What the setting ``ordering`` may be.
Ordering: TypeAlias = Literal["none", "newest"] | ByField


@dataclass(frozen=True, slots=True)
class Order:
    """The order that a dispatcher keeps.

    Attributes:
        place: An event's place in it; None: there is no order.
        same_place_is_same: Two events at one place are copies of one.
    """

    place: Placing | None = None
    same_place_is_same: bool = False

    @staticmethod
    def of(ordering: Any, *, ledger: str | None) -> Order:
        """Return the order that a setting asks for: ``"none"``, ``"newest"``, or a ``ByField``.

        Raises:
            ConfigurationError: There is no such order, or no ledger to keep it with.
        """
        order = Order._of(ordering)
        if order.place is not None and ledger is None:
            raise ConfigurationError(f"ordering={ordering!r} needs a ledger: set ledger, too")
        return order

    @staticmethod
    def _of(ordering: Any) -> Order:
        if isinstance(ordering, ByField):
            return Order(ordering, same_place_is_same=True)
        if ordering not in ("none", "newest"):
            raise ConfigurationError(f"ordering={ordering!r}: give 'none', 'newest' or a ByField")
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
        self._verdicts: dict[str, Verdict] = {}
        self._told: list[tuple[Decision, tuple[str, str] | None]] = []

    async def judge(self, batch: Sequence[Message], routes: Matcher) -> None:
        """Ask about all events of a batch at once.

        Raises:
            OutageError: The ledger is away.
        """
        self._told.clear()
        self._verdicts.clear()
        if self._ledger is None:
            return
        events: list[ObjectEvent] = []
        for message in batch:
            with suppress(BodyError):  # the dispatcher meets it again, and settles the message
                events += parse_body(message.body, message_id=message.delivery_id).events
        asked = [(event, [route.dag_id for route in routes.match(event).routes]) for event in events]
        verdicts = await self._ledger.judge(
            asked, place=self._order.place, same_place_is_same=self._order.same_place_is_same
        )
        self._verdicts = dict(zip(map(event_id, events), verdicts, strict=True))

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
        return outcome

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


@dataclass(frozen=True, slots=True)
class KnownStarter:
    """Leaves alone what the ledger knows; all else is the other starter's.

    What carries an attempt is wanted again, whatever is known of it. An event whose run Airflow still has is
    the other starter's, too: the run may have failed, or be waited for.
    """

    starter: Starter
    runs: Runs
    journal: Journal

    async def ensure_run(self, route: Route, event: ObjectEvent, message: Message) -> Outcome:
        """See ``Starter``."""
        verdict = None if message.attempt else self.journal.verdict(event)
        if verdict is None:
            return await self.starter.ensure_run(route, event, message)
        if route.dag_id in verdict.runs:
            return await self._again(route, event, message, verdict)
        if verdict.newer:
            return Outcome("stale")
        if verdict.identity != event_id(event):
            return await self._named(route, event, verdict.identity)
        return await self.starter.ensure_run(route, event, message)

    async def _again(self, route: Route, event: ObjectEvent, message: Message, verdict: Verdict) -> Outcome:
        is_own = verdict.identity == event_id(event)
        if is_own and await self.runs.state(route.dag_id, name_of(route, event, 0)) is not RunState.NONE:
            return await self.starter.ensure_run(route, event, message)
        return Outcome("duplicate")

    async def _named(self, route: Route, event: ObjectEvent, identity: str) -> Outcome:
        """Make, or find, the run that a reconciliation has named: a message is done when it is stored."""
        name = _run_id(route, event, identity)
        is_new = await self.runs.create(
            route.dag_id, name, route.conf({**event.serialize(), "event_id": identity})
        )
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
        name = verdict.runs.get(route.dag_id) or _run_id(route, event, verdict.identity)
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


def _run_id(route: Route, event: ObjectEvent, identity: str) -> str:
    label = route.label_of(event)
    return run_id(event, readable=route.run_id == "readable", identity=identity, label=label)
