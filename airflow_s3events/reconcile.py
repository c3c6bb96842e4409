"""The bucket is the truth: list it, compare it with the ledger, and start what is missing.

A listing has no sequencer, so an object in it and the notification of its write have no name in common. The
ledger gives them one (``ledger.entries.claimed``): whichever comes first names the run, the other finds it.
So a notification that was only late starts nothing again, and a reconciliation that is killed and begins anew
starts nothing twice.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from airflow_s3events.comparison import COUNTED, Compared, Report, compared, rivals_of
from airflow_s3events.dispatch.gates import Closed, Gate, TargetState
from airflow_s3events.dispatch.starting import name_of
from airflow_s3events.dispatch.turns import Turns
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError, RouteError
from airflow_s3events.filters import EventFilter, everything
from airflow_s3events.ledger import Decision, Ledger
from airflow_s3events.ledger.entries import RECONCILE
from airflow_s3events.ledger.ledger import Verdict
from airflow_s3events.ledger.turns import Ask, Busy
from airflow_s3events.listings import ListedPage, Listing
from airflow_s3events.routing import Route, Routes
from airflow_s3events.routing.templates import gaps_of
from airflow_s3events.settlement import RunState

log = logging.getLogger(__name__)

#: Objects that a report names one by one.
_EXAMPLES = 20
#: Members of an event that a listing has not, or tells otherwise: a run id must not show them.
_UNTOLD = frozenset({"region", "principal_id", "size"})
#: Mark of an event that a listing made: ``event.extra["origin"]``.
ORIGIN = {"origin": RECONCILE}


class NewRuns(TargetState, Protocol):
    """What a reconciliation asks of Airflow: a part of ``starting.Runs``."""

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
        """Create a run; False when the name is taken; RouteError when the DAG refuses it.

        ``note`` is put on the run where this Airflow takes one from us.
        """
        ...

    async def state(self, dag_id: str, run_id: str) -> RunState:
        """State of one run; ``NONE`` when there is none of that id."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileSettings:
    """Which objects are compared, and what is done about those that are missing.

    Attributes:
        when: Only objects that this filter matches.
        modified_after: Only objects written after that moment.
        min_age_seconds: Only objects written so long ago: a younger one's notification may be on its way.
            Default 900.
        limit: Start no more runs than so many; None: no limit.
        dry_run: Start nothing and note nothing.

    Raises:
        ConfigurationError: One of them cannot work; names it.
    """

    when: EventFilter = everything
    modified_after: datetime | None = None
    min_age_seconds: float = 900.0
    limit: int | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.modified_after is not None and self.modified_after.tzinfo is None:
            raise ConfigurationError(
                f"modified_after={self.modified_after!r}: give a datetime with a time zone"
            )
        if not self.min_age_seconds >= 0:
            raise ConfigurationError(f"min_age_seconds={self.min_age_seconds!r}: give a number from 0")
        if self.limit is not None and (type(self.limit) is not int or self.limit < 1):
            raise ConfigurationError(f"limit={self.limit!r}: give a whole number from 1, or None")


def moment_of(value: datetime | str | None) -> datetime | None:
    """Return ``modified_after`` as a moment, where it was given as text.

    Raises:
        ConfigurationError: The text is no moment.
    """
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value[:-1] + "+00:00" if value[-1:] == "Z" else value)
    except ValueError as error:
        raise ConfigurationError(f"modified_after={value!r}: give ISO-8601 text with a time zone") from error


def unasking(routes: Routes) -> Routes:
    """Return the routes, which must do without asking S3, without groups, and with what a listing tells.

    Raises:
        ConfigurationError: One of them asks, has a batch, or a label of more than that.
    """
    if routes.asks:
        raise ConfigurationError(
            "routes: a filter or enrich= asks S3 about the object, and a reconciliation does not;"
            " give it routes that do without"
        )
    if routes.has_batches:
        raise ConfigurationError(
            "routes: a route has a batch, and a reconciliation starts a run for each object; leave that route"
            " out, or give it a route to another DAG"
        )
    for route in routes:
        if untold := sorted(_UNTOLD & gaps_of(route.label)):
            raise ConfigurationError(
                f"routes: label of {route.name!r}: a listing does not tell {', '.join(untold)} as"
                " notifications do, so one write would have two run ids; make it of something else"
            )
    return routes


class Reconciler:
    """Compares one listing with the ledger, for each DAG that its routes name.

    After each page it notes in the ledger how far it has come. Where it may be killed: before that note, the
    page is listed again, and its runs are found; after it, the next page is.

    Args:
        listing: The bucket.
        ledger: What is known of its events.
        routes: Which DAG gets which event: the same as the dispatcher's.
        runs: Airflow's DAG runs.
        gates: The door of each DAG.
        settings: Which objects, and what is done.
        now: Seconds since the epoch.
        name: By which the ledger keeps how far this reconciliation has come.
        takes_turns: As a dispatcher with ``ordering="per_key"``: start nothing while a run of the same key
            works or an event of it waits.
        on_page: Told the report after each page.
    """

    def __init__(
        self,
        listing: Listing,
        ledger: Ledger,
        *,
        routes: Routes,
        runs: NewRuns,
        gates: dict[str, Gate],
        settings: ReconcileSettings,
        now: Callable[[], float],
        name: str,
        takes_turns: bool = False,
        on_page: Callable[[Report], None] = lambda _: None,
    ) -> None:
        self._listing = listing
        self._ledger = ledger
        self._routes = routes
        self._rivals = rivals_of(routes)
        self._runs = runs
        self._gates = gates
        self._settings = settings
        self._now = now
        self._name = name
        self._turns = Turns(ledger) if takes_turns else None
        self._on_page = on_page
        self._round = 1
        self.report = Report()

    async def run(self) -> Closed | None:
        """Go on to the end; or, where a DAG takes no more runs now, return why, and go on another time.

        Raises:
            ConfigurationError: A setting is wrong; names it.
            OutageError: S3, the ledger or Airflow is away: run again.
        """
        position = None if self._settings.dry_run else await self._begin()
        async for page in self._listing.pages(position):
            closed = await self._reconcile(page)
            if closed is not None:
                return closed
            position = page.position
            await self._note(position, is_done=self._is_at_limit())
            self._on_page(self.report)
            if self._is_at_limit():
                return None
        await self._note(position, is_done=True)
        return None

    @property
    def _origin(self) -> str:
        return f"{RECONCILE}/{self._name}/{self._round}"

    async def _begin(self) -> Any:
        """Take up what was killed, or waited; where it had come to its end, begin another round."""
        progress = await self._ledger.progress(self._name)
        if progress is None:
            return None
        self._round = progress["round"] + progress["is_done"]
        if progress["is_done"]:
            return None
        self.report = Report.deserialize(progress["report"])
        return progress["position"]

    async def _note(self, position: Any, *, is_done: bool) -> None:
        if not self._settings.dry_run:
            report = self.report.serialize()
            body = {"round": self._round, "position": position, "report": report, "is_done": is_done}
            await self._ledger.note_progress(self._name, body)

    def _is_at_limit(self) -> bool:
        limit = self._settings.limit
        return limit is not None and self.report.counts["started"] >= limit

    async def _reconcile(self, page: ListedPage) -> Closed | None:
        """Compare one page and start what is missing; count it only when all of it is through."""
        counts: Counter[str] = Counter(listed=len(page.events))
        wanted = [event for event in page.events if self._is_wanted(event)]
        counts["skipped"] = counts["listed"] - len(wanted)
        routed = self._routed(wanted, counts)
        known = await self._ledger.writes([event for event, _ in routed])
        found = [
            compared(event, taking, write, self._rivals, self._origin)
            for (event, taking), write in zip(routed, known, strict=True)
        ]
        for one in found:
            counts.update([one.what], **one.done)
        lacking = [one for one in found if one.lacking]
        closed = None if self._settings.dry_run else await self._start(lacking, counts)
        if closed is None:
            self.report.counts += counts
            room = _EXAMPLES - len(self.report.examples)
            self.report.examples += [one.event.uri for one in lacking[:room]]
        return closed

    def _routed(
        self, events: Sequence[ObjectEvent], counts: Counter[str]
    ) -> list[tuple[ObjectEvent, Sequence[Route]]]:
        routed: list[tuple[ObjectEvent, Sequence[Route]]] = []
        for event in events:
            match = self._routes.match(event)
            counts["unmatched"] += match.unmatched
            counts["refused"] += len(match.errors)
            if match.routes:
                routed.append((event, match.routes))
        return routed

    def _is_wanted(self, event: ObjectEvent) -> bool:
        settings, time = self._settings, event.event_time
        if time is not None:
            is_old = settings.modified_after is not None and time <= settings.modified_after
            if is_old or self._now() - time.timestamp() < settings.min_age_seconds:
                return False
        return settings.when.matches(event)

    async def _start(self, lacking: Sequence[Compared], counts: Counter[str]) -> Closed | None:
        asked = [(one.event, [route.dag_id for route in one.lacking]) for one in lacking]
        verdicts = await self._ledger.judge(asked, origin=self._origin)
        decisions: list[Decision] = []
        try:
            for one, verdict in zip(lacking, verdicts, strict=True):
                event = one.event
                for route in one.lacking:
                    if self._is_full(counts):
                        return None
                    closed = await self._gates[route.dag_id].check()
                    if closed is not None and not closed.refused:
                        return closed
                    ask = _ask(event, route, verdict)
                    busy = await self._busy(ask)
                    if busy is not None:
                        return Closed(f"event {busy.id} of s3://{event.bucket}/{event.key} comes first", 60.0)
                    decision = await self._start_one(event, route, verdict, closed)
                    counts[COUNTED[decision.what]] += 1
                    decisions.append(decision)
                    await self._end_turn(ask, decision)
        finally:
            await self._ledger.record(decisions)
        return None

    async def _busy(self, ask: Ask) -> Busy | None:
        if self._turns is None:
            return None
        (busy,) = await self._turns.ask([ask])
        return await self._turns.wait(ask, busy, self._runs)

    async def _end_turn(self, ask: Ask, decision: Decision) -> None:
        if self._turns is not None and decision.run_id is not None:
            await self._turns.started([(ask, decision.run_id)])
        elif self._turns is not None:
            await self._turns.leave([ask])

    def _is_full(self, counts: Counter[str]) -> bool:
        limit = self._settings.limit
        return limit is not None and self.report.counts["started"] + counts["started"] >= limit

    async def _start_one(
        self, event: ObjectEvent, route: Route, verdict: Verdict, closed: Closed | None
    ) -> Decision:
        name = name_of(route, event, 0, verdict.naming)
        decision = Decision(
            event=event,
            what="started",
            dag_id=route.dag_id,
            run_id=name,
            same_as=verdict.identity,
            origin=self._origin,
        )
        if closed is not None:
            return replace(decision, what="put_off", run_id=None, reason=closed.reason)
        marked = replace(event, extra=ORIGIN)
        data = {**marked.serialize(), "event_id": verdict.identity}
        gate = self._gates[route.dag_id]
        try:
            is_new = await self._runs.create(route.dag_id, name, route.conf(data), route.note_of(data))
            if await self._runs.state(route.dag_id, name) is RunState.NONE:
                return replace(
                    decision, what="not_stored", run_id=None, reason="Airflow does not have the run"
                )
        except RouteError as error:
            refusal = gate.refuse(error)
            return replace(decision, what="put_off", run_id=None, reason=refusal.reason)
        if is_new:
            gate.started()
        return decision if is_new else replace(decision, what="duplicate")


def _ask(event: ObjectEvent, route: Route, verdict: Verdict) -> Ask:
    """A listing has no sequencer: it comes after all that wait, unless it is the first of them itself."""
    name = name_of(route, event, 0, verdict.naming)
    return Ask(
        event=event,
        dag_id=route.dag_id,
        who=verdict.identity,
        attempt=0,
        run_id=name,
        place=None,
        is_listed=True,
    )
