"""Batch runs: messages held while their groups are open, one run for a closed batch, then their settlement.

Knows neither Airflow nor AWS. What it holds is only what SQS would show to others if it did not: which events
are in which batch stands in the ledger, so it may die at any moment, and others may work beside it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol, TypeAlias

from airflow_s3events.arrivals import locations
from airflow_s3events.dispatch.gates import Closed, Gate
from airflow_s3events.dispatch.gathering import Gathered, Groups, Wanted
from airflow_s3events.dispatch.inbox import Inbox
from airflow_s3events.dispatch.starting import Outcome, Runs
from airflow_s3events.enrich import Enricher, events_in
from airflow_s3events.events import ObjectEvent, utc_text
from airflow_s3events.exceptions import ChannelError, ConfigurationError, OutageError, RouteError
from airflow_s3events.holding import Waiting
from airflow_s3events.identity import event_id
from airflow_s3events.ledger.groups import ClosedBatch, Group, View
from airflow_s3events.ledger.ledger import Verdict
from airflow_s3events.looks import Content, Location
from airflow_s3events.manifests import keys_of_manifest
from airflow_s3events.messages import Message
from airflow_s3events.ordering import by_sequencer, in_order
from airflow_s3events.routing import Route
from airflow_s3events.settlement import Disposition, RunState
from airflow_s3events.tracing import Traces, carrier

log = logging.getLogger(__name__)

#: Seconds between two looks at groups, which other dispatchers may close, too.
_LOOK_SECONDS = 10.0
#: First delay of a message whose batch run Airflow took and does not have, or that a fault of ours keeps.
_NOT_STORED_SECONDS = 30.0
#: The same where too much of its group waits for runs.
_FULL_SECONDS = 60.0


#: DAG id and batch id: what a message is held for.
BatchName: TypeAlias = tuple[str, str]


class ManifestSource(Protocol):
    """Who reads manifests."""

    async def answer(self, question: Content) -> tuple[ObjectEvent, bytes] | None:
        """Return what is in the object; OutageError, or ConfigurationError where a setting is wrong."""
        ...


@dataclass(frozen=True, slots=True)
class Held(Waiting):
    """A message that is held; its ``runs`` are the batches that it waits for.

    Attributes:
        events: Event id of each of its events that is in a batch, and that batch.
    """

    events: tuple[tuple[str, BatchName], ...] = ()

    def left_of(self, there: AbstractSet[BatchName]) -> list[tuple[str, str]]:
        """Return id and DAG of each event whose batch is not ``there`` any more."""
        return [(event, batch[0]) for event, batch in self.events if batch not in there]


@dataclass(slots=True, kw_only=True)
class BatchRuns:
    """What a dispatcher holds for groups, and the runs that it makes of closed batches.

    Args:
        inbox: Keeps messages in flight, and settles them.
        runs: Airflow's DAG runs.
        gates: The door of each DAG.
        groups: What the ledger keeps.
        max_held: Messages held, at most; then the oldest group is closed.
        manifests: Reads objects; needed where a batch has a ``manifest``.
        traces: Makes a span of each run that is made.
        audit: Told of each batch run that is stored: DAG id, run id and events. A repeat tells it again.
        counts: Told of ``batch_runs`` and of ``batched`` events.
    """

    inbox: Inbox
    runs: Runs
    gates: Mapping[str, Gate]
    groups: Groups
    max_held: int
    counts: Counter[str] = field(default_factory=Counter)
    manifests: ManifestSource | None = None
    traces: Traces = field(default_factory=Traces)
    audit: Callable[[str, str, Sequence[Mapping[str, Any]]], None] = lambda *_: None
    _held: dict[str, Held] = field(default_factory=dict)
    #: Of each batch that a message is held for: its group and route.
    _where: dict[BatchName, tuple[Group, Route]] = field(default_factory=dict)
    #: Batches whose run was refused.
    _refused: set[BatchName] = field(default_factory=set)
    #: Event id and DAG id of what was taken last.
    _gathered: dict[tuple[str, str], Gathered] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._held)

    async def take(self, wanted: Sequence[Wanted]) -> None:
        """Put the events of one batch of messages into their groups, in bulk.

        Raises:
            OutageError: The ledger is away.
        """
        found = await self.groups.join(wanted)
        self._gathered = {(event_id(w.event), w.route.dag_id): f for w, f in zip(wanted, found, strict=True)}

        for one, gathered in zip(wanted, found, strict=True):
            if gathered.is_unread and self.manifests is not None:
                parts, fault = await _parts(one.event, self.manifests)
                await self.groups.note_manifest(gathered, parts, fault, most=one.batch.count)

    def outcome(self, event: ObjectEvent, route: Route) -> Outcome | None:
        """Return what became of an event that was taken; None: it was not."""
        found = self._gathered.get((event_id(event), route.dag_id))
        if found is None:
            return None
        if found.run_id:
            return Outcome("duplicate", run=(route.dag_id, found.run_id))
        if not found.batch_id:
            reason = "the closed batches of its group wait for their runs"
            return Outcome("put_off", Disposition.RELEASE, reason, _FULL_SECONDS)
        batch = (route.dag_id, found.batch_id)
        self._where[batch] = (found.group, route)
        what = "grouped" if found.is_new else "waiting"
        return Outcome(what, Disposition.HOLD, "it waits for its group to be closed", run=batch)

    def hold(self, waiting: Waiting) -> None:
        """Hold a message, which was taken just now, until the batch runs of its events are stored."""
        names = {event_id(event) for event in events_in([waiting.message], None)}
        events = tuple(
            (event, (dag_id, found.batch_id))
            for (event, dag_id), found in self._gathered.items()
            if event in names and (dag_id, found.batch_id) in waiting.runs
        )
        held = Held(waiting.message, waiting.runs, waiting.bad, events)
        self._held[waiting.message.message_id] = held

    async def close(self) -> list[tuple[Message, Route, Closed]]:
        """Close what it is time for, make the runs of closed batches, and delete what is stored.

        Twice gives the same. Returns the messages whose batch can have no run now: they are held no longer.

        Raises:
            OutageError: Airflow or the ledger is away; nothing was deleted.
        """
        self._forget_lapsed()
        views = await self._look()
        shut: dict[BatchName, Closed] = {}
        for group, route, closed in self._closed(views):
            if (reason := await self._start(group, route, closed)) is not None:
                shut[route.dag_id, closed.batch_id] = reason
        views = await self.groups.look(self._groups())
        await self._settle(views)
        self._wake(views)
        return self._put_off(shut)

    def _forget_lapsed(self) -> None:
        """What SQS shows to others again is theirs: its redelivery finds its batch."""
        held = {name: one for name, one in self._held.items() if self.inbox.holds(one.message)}
        self._held = held
        wanted = {batch for one in held.values() for batch in one.runs}
        self._where = {batch: where for batch, where in self._where.items() if batch in wanted}

    def _groups(self) -> dict[str, tuple[Group, Route]]:
        return {group.name: (group, route) for group, route in self._where.values()}

    async def _look(self) -> dict[str, View | None]:
        views = await self.groups.look(self._groups())
        found = {name: view for name, view in views.items() if view is not None}
        is_full = len(self._held) >= self.max_held
        if is_full and found and not any(view.closed for view in found.values()):
            # More cannot be received, so none of these groups could grow: they would seem to be idle.
            oldest = min(found, key=lambda name: found[name].opened_at)
            views |= await self.groups.look({oldest: self._groups()[oldest]}, needs_room=True)
        return views

    def _closed(self, views: Mapping[str, View | None]) -> list[tuple[Group, Route, ClosedBatch]]:
        """Return closed batches, those last that were refused before: they may close the gate for others."""
        closed = [
            (group, route, one)
            for name, (group, route) in self._groups().items()
            if (view := views[name]) is not None
            for one in view.closed
        ]
        return sorted(closed, key=lambda one: (one[1].dag_id, one[2].batch_id) in self._refused)

    async def _start(self, group: Group, route: Route, closed: ClosedBatch) -> Closed | None:
        """See to it that a closed batch has its run, and note it; return why it cannot have one now."""
        gate = self.gates[route.dag_id]
        shut = await gate.check()
        if shut is not None:
            return shut
        try:
            return await self._make(group, route, closed)
        except RouteError as error:
            self._refused.add((route.dag_id, closed.batch_id))
            return gate.refuse(error)
        except (ChannelError, OutageError):
            raise
        except Exception as error:
            # As with a single event: a fault that one batch brings out must not stop the queue.
            log.exception("The run of batch %s could not be made and is put off", closed.run_id)
            return Closed(f"unexpected {type(error).__name__}: {error}", _NOT_STORED_SECONDS, refused=True)

    async def _make(self, group: Group, route: Route, closed: ClosedBatch) -> Closed | None:
        rest = await self.groups.rest_of(group, closed)
        if rest is None:
            # Nothing that the DAG could help: its gate stays open.
            reason = f"the ledger has lost events of batch {closed.run_id} of DAG {group.dag_id!r}"
            return Closed(reason, _NOT_STORED_SECONDS, refused=True)
        if rest.events and not rest.is_stored:
            ordered = _in_order(rest.events)
            is_new = await self._create(route, closed, ordered, _about(group, closed))
            if await self.runs.state(route.dag_id, closed.run_id) is RunState.NONE:
                return _not_stored(route, closed, is_new)
            self._count(route, len(ordered), is_new)
            self.audit(route.dag_id, closed.run_id, ordered)
        await self.groups.finish(group, closed, rest.events)
        return None

    async def _create(
        self, route: Route, closed: ClosedBatch, events: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
    ) -> bool:
        run = (route.dag_id, closed.run_id)
        batch = (route.dag_id, closed.batch_id)
        held = [one.message for one in self._held.values() if batch in one.runs]
        with self.traces.batch(held, len(events)) as span:
            conf = {**carrier(), **route.batch_conf(events, about)}
            is_new = await self.runs.create(*run, conf, route.note_of(events[0]))
        if is_new:
            self.traces.started(span, *run, "batch_run")
        return is_new

    def _count(self, route: Route, events: int, is_new: bool) -> None:
        if is_new:
            self.gates[route.dag_id].started()
            self.counts["batch_runs"] += 1
            self.counts["batched"] += events

    async def _settle(self, views: Mapping[str, View | None]) -> None:
        """Delete each message whose events are in no open and no closed batch any more, and have their runs.

        What the ledger has lost is in no batch either, and has none: its message comes again, and joins anew.
        """
        there = {
            (self._groups()[name][0].dag_id, batch_id)
            for name, view in views.items()
            if view is not None
            for batch_id in (view.open_batch_id, *(one.batch_id for one in view.closed))
        }
        left = {name: held.left_of(there) for name, held in self._held.items()}
        noted = await self.groups.runs_of(event for events in left.values() for event in events)
        for message_id, events in left.items():
            held = self._held[message_id]
            if not noted.keys() >= set(events):
                del self._held[message_id]
                self.inbox.release(
                    held.message, delay_seconds=0.0, reason="the ledger lost its group", outcome="put_off"
                )
            elif not there & set(held.runs):
                del self._held[message_id]
                await self._done(held)

    async def _done(self, waiting: Waiting) -> None:
        if not waiting.bad:
            self.inbox.acknowledge(waiting.message)
            return
        try:
            await self.inbox.dead_letter(waiting.message, waiting.bad, {}, outcome="malformed")
        except ConfigurationError as error:
            reason = f"{error}: {waiting.bad}"
            self.inbox.release(waiting.message, delay_seconds=900.0, reason=reason, outcome="malformed")

    def _wake(self, views: Mapping[str, View | None]) -> None:
        """Have the inbox stay, and hand over an empty batch when it is time to look again."""
        if not self._held:
            self.inbox.wake_in(None)
            return
        now = self.groups.ledger.now()
        moments = [view.closes_at - now for view in views.values() if view is not None]
        self.inbox.wake_in(max(0.0, min([*moments, _LOOK_SECONDS])))

    def _put_off(self, shut: Mapping[BatchName, Closed]) -> list[tuple[Message, Route, Closed]]:
        put_off = []
        for message_id, waiting in list(self._held.items()):
            batch = next((batch for batch in waiting.runs if batch in shut), None)
            if batch is not None:
                del self._held[message_id]
                put_off.append((waiting.message, self._where[batch][1], shut[batch]))
        return put_off


async def _parts(event: ObjectEvent, manifests: ManifestSource) -> tuple[tuple[Location, ...] | None, str]:
    """Return what a manifest lists, or why that cannot be known: then something else closes its group."""
    try:
        answer = await manifests.answer(Content(Location(event.bucket, event.key)))
        if answer is None:
            return None, "it is there no more"
        keys = keys_of_manifest(answer[1], Location(event.bucket, event.key).uri)
        return locations(keys, event.bucket, "manifest"), ""
    except ConfigurationError as error:
        log.warning("A manifest closes no group: %s", error)
        return None, str(error)


def _not_stored(route: Route, closed: ClosedBatch, is_new: bool) -> Closed:
    if is_new:
        return Closed("Airflow took the run but does not have it", _NOT_STORED_SECONDS)
    raise RouteError(f"another run of DAG {route.dag_id!r} holds a unique key of run {closed.run_id!r}")


def _in_order(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """By time and key; those of one key as S3 numbered them. The same for all who make this run."""
    by_time = sorted(events, key=lambda one: (one.get("event_time") or "", one["key"], one["event_id"]))
    return in_order(by_time, lambda one: by_sequencer(ObjectEvent.deserialize(one)))


def _about(group: Group, closed: ClosedBatch) -> dict[str, Any]:
    is_listed = closed.listed is not None or closed.fault
    manifest = {"listed": closed.listed, "missing": closed.missing, "fault": closed.fault}
    return {
        "bucket": group.bucket,
        "values": None if group.values is None else dict(group.values),
        "number": closed.number,
        "closed_by": closed.closed_by,
        "opened_at": _moment(closed.opened_at),
        "closed_at": _moment(closed.closed_at),
        "object_bytes": closed.object_bytes,
        "manifest": manifest if is_listed else None,
        "follows": None if closed.follows is None else dict(closed.follows),
    }


def _moment(seconds: float) -> str:
    return utc_text(datetime.fromtimestamp(round(seconds, 3), timezone.utc))


def wanted_of(
    batch: Sequence[Message],
    enricher: Enricher,
    verdict: Callable[[ObjectEvent], Verdict | None],
    oldest: datetime | None,
) -> list[Wanted]:
    """Return the events of a batch of messages that go into groups, each with its route."""
    wanted: list[Wanted] = []
    for event in events_in(batch, oldest):
        known = verdict(event)
        identity = event_id(event) if known is None else known.identity
        enriched, match = enricher.known(event)
        wanted += [Wanted(enriched, route, identity) for route in match.routes if route.batch is not None]
    return wanted
