"""Groups in a ledger: which batch an event is in, which batches are closed, and when a run is noted.

Where a process may be killed, and what its successor finds: an event kept but in no group, which joins it as
if it were new; an event in an open or a closed batch, which is where it is found again; a batch whose run is
made but not noted, whose run is found by its run id; a run noted of some events, which tell that it is
stored, so it is noted of the others: a ledger writes many entries in many steps.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import LedgerOutageError
from airflow_s3events.identity import event_id
from airflow_s3events.ledger import Decision, Ledger
from airflow_s3events.ledger.entries import Body, read_entry
from airflow_s3events.ledger.groups import (
    CLOSED_BY,
    ClosedBatch,
    Group,
    Joining,
    Member,
    View,
    done_of,
    dropped,
    finished,
    group_of,
    item_name,
    joined,
    kept,
    listed,
    looked,
    part_name,
)
from airflow_s3events.ledger.ledger import Change
from airflow_s3events.looks import Location
from airflow_s3events.routing import Batch, Route

#: Times that entries are read again because the group has moved on meanwhile.
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Gathered:
    """Where an event is.

    Attributes:
        group: Its group.
        batch_id: Of its batch; empty: it is in none, too much of its group waits for runs.
        run_id: Of the run that it has had, which is noted; empty: it has had none.
        is_new: It was in no batch before.
        is_unread: It is a manifest that has to be read.
    """

    group: Group
    batch_id: str = ""
    run_id: str = ""
    is_new: bool = False
    is_unread: bool = False


@dataclass(frozen=True, slots=True)
class Rest:
    """What there is to do for a closed batch.

    Attributes:
        events: Those of which no run is noted, as a conf has them.
        is_stored: Its run is noted of others, so it was read back, and these events are in it.
    """

    events: Sequence[Body]
    is_stored: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """An event that is to be in a group.

    Attributes:
        event: As its run shall have it.
        route: It has a ``batch``.
        identity: The event id by which a ledger knows what was written: another's, where a reconciliation or
            a copy has named it first.
    """

    event: ObjectEvent
    route: Route
    identity: str

    @property
    def names(self) -> list[tuple[str, str]]:
        """The events, each with its DAG, one of which may have its run."""
        return [(one, self.route.dag_id) for one in (event_id(self.event), self.identity)]

    @property
    def group(self) -> Group:
        """The group that it is in by the settings of today."""
        return group_of(self.event, self.route.dag_id, self.route.name, self.batch)

    @property
    def batch(self) -> Batch:
        """When its group is closed."""
        return Batch.deserialize(self.route.batch)

    @property
    def data(self) -> Body:
        """The event as the conf has it."""
        return {**self.event.serialize(), "event_id": event_id(self.event)}


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups that a ledger keeps.

    Args:
        ledger: The ledger.
        since: When the first message could be received, in seconds since the epoch.
    """

    ledger: Ledger
    since: float

    async def join(self, wanted: Sequence[Wanted]) -> list[Gathered]:
        """Put events into the batches of their groups, and say where each is; twice gives the same.

        Raises:
            OutageError: The ledger is away.
        """
        runs = await self.runs_of(name for one in wanted for name in one.names)
        found = {
            seat: Gathered(one.group, run_id=runs[name])
            for seat, one in enumerate(wanted)
            for name in one.names
            if name in runs
        }
        kept_now = await self._keep({seat: one for seat, one in enumerate(wanted) if seat not in found})
        for _ in range(_TRIES):
            left = {seat: one for seat, one in kept_now.items() if seat not in found}
            if not left:
                return [found[seat] for seat in range(len(wanted))]
            await self._join_some(left, found)
        raise LedgerOutageError("the ledger: batches of a group are finished by others all the time")

    async def _keep(self, wanted: Mapping[int, Wanted]) -> dict[int, tuple[Wanted, Group]]:
        """Keep events; return each with the group that it came to first."""
        changes = []
        for one in wanted.values():
            name = item_name(event_id(one.event), one.route.dag_id)
            changes.append(self._change(name, partial(kept, group=one.group, event=one.data)))
        groups = await self.ledger.change(changes)
        return {seat: (one, group) for (seat, one), group in zip(wanted.items(), groups, strict=True)}

    async def _join_some(self, left: Mapping[int, tuple[Wanted, Group]], found: dict[int, Gathered]) -> None:
        # In this order: a batch is taken out of its group after the entries of its events say what run they
        # have. So an entry that says nothing means nothing if the group has moved on since.
        done = await self._done([group for _, group in left.values()])
        names = {seat: (event_id(one.event), one.route.dag_id) for seat, (one, _) in left.items()}
        runs = await self.runs_of(names.values())
        new = {seat: one for seat, one in left.items() if names[seat] not in runs}
        for seat in left.keys() - new.keys():
            found[seat] = Gathered(left[seat][1], run_id=runs[names[seat]])
        steps = [self._joining(wanted, group, done[group.name]) for wanted, group in new.values()]
        members: list[Member | None] = await self.ledger.change(steps)
        for (seat, (_, group)), member in zip(new.items(), members, strict=True):
            if member is not None:
                found[seat] = Gathered(
                    group, member.batch_id, is_new=member.is_new, is_unread=member.is_unread
                )

    def _joining(self, wanted: Wanted, group: Group, done: int) -> Change:
        event, batch = wanted.event, wanted.batch
        own = event_id(event)
        joining = Joining(
            event_id=own,
            batch_id=group.batch_id(own, readable=wanted.route.run_id == "readable"),
            object_bytes=event.size or 0,
            conf_bytes=len(json.dumps(wanted.data)),
            part=part_name(event.bucket, event.key) if event.is_created and batch.manifest else "",
            is_marker=event.is_created and batch.is_marker(event.key),
            is_manifest=event.is_created and batch.is_manifest(event.key),
            is_alone=group.values is None,
            done=done,
        )
        now = self.ledger.now()
        return self._change(group.name, partial(joined, joining=joining, batch=batch, now=now))

    async def note_manifest(
        self, found: Gathered, parts: Sequence[Location] | None, fault: str, *, most: int
    ) -> None:
        """Note what the manifest of an open batch lists; None: it could not be read, and why.

        One of more objects than ``most`` is not kept.

        Raises:
            OutageError: The ledger is away.
        """
        names = None if parts is None else [part_name(*part) for part in parts]
        step = partial(_listed, batch_id=found.batch_id, parts=names, fault=fault, most=most)
        await self.ledger.change([self._change(found.group.name, step)])

    async def _done(self, groups: Sequence[Group]) -> dict[str, int]:
        names = list(dict.fromkeys(group.name for group in groups))
        documents = await self.ledger.store.read(names)
        return {name: done_of(documents[name].body if name in documents else None) for name in names}

    async def runs_of(self, events: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Return the run of each event that has had one; an event is its id and a DAG's.

        Raises:
            OutageError: The ledger is away.
        """
        names = {event: f"event/{event[0]}/{event[1]}" for event in events}
        documents = await self.ledger.store.read(list(names.values()))
        entries = {name: read_entry(document.body) for name, document in documents.items()}
        return {
            event: str(entries[name].run_id)
            for event, name in names.items()
            if name in entries and entries[name].has_run
        }

    async def look(
        self, groups: Mapping[str, tuple[Group, Route]], *, needs_room: bool = False
    ) -> dict[str, View | None]:
        """Close what it is time for; return what there is in each group, by its name.

        Raises:
            OutageError: The ledger is away.
        """
        now = self.ledger.now()
        changes = []
        for group, route in groups.values():
            batch = Batch.deserialize(route.batch)
            step = partial(looked, batch=batch, now=now, since=self.since, needs_room=needs_room)
            changes.append(self._change(group.name, step))
        return dict(zip(groups, await self.ledger.change(changes), strict=True))

    async def rest_of(self, group: Group, closed: ClosedBatch) -> Rest | None:
        """Return the events of a closed batch of which no run is noted yet; None: the ledger has lost one.

        An event of which another run is noted is in that run, and left out.

        Raises:
            OutageError: The ledger is away.
        """
        names = {member: item_name(member, group.dag_id) for member in closed.members}
        documents = await self.ledger.store.read(list(names.values()))
        # Asked last: whoever drops the events of a batch has noted its run of all of them before.
        runs = await self.runs_of((member, group.dag_id) for member in closed.members)
        left = [name for member, name in names.items() if (member, group.dag_id) not in runs]
        if not all(name in documents and "event" in documents[name].body for name in left):
            return None
        return Rest([documents[name].body["event"] for name in left], closed.run_id in runs.values())

    async def finish(self, group: Group, closed: ClosedBatch, events: Sequence[Mapping[str, Any]]) -> None:
        """Note the run of a closed batch, which is stored, of its ``events``; then take the batch out.

        Raises:
            OutageError: The ledger is away.
        """
        await self.ledger.record([_decision(group, closed, event) for event in events])
        await self.ledger.change([self._change(group.name, partial(_finished, run_id=closed.run_id))])
        names = [item_name(member, group.dag_id) for member in closed.members]
        await self.ledger.change([self._change(name, _dropped) for name in names])

    def _change(self, name: str, step: Any) -> Change:
        return Change(name, step, days=self.ledger.settings.retention_days)


def _decision(group: Group, closed: ClosedBatch, event: Mapping[str, Any]) -> Decision:
    reason = f"in a batch of {len(closed.members)}: {CLOSED_BY[closed.closed_by]}"
    return Decision(
        event=ObjectEvent.deserialize(event),
        what="started",
        dag_id=group.dag_id,
        run_id=closed.run_id,
        reason=reason,
        disposition="acknowledge",
        is_delivery=False,
    )


def _listed(body: Body | None, **noted: Any) -> tuple[Body | None, None]:
    return listed(body, **noted), None


def _finished(body: Body | None, *, run_id: str) -> tuple[Body | None, None]:
    return finished(body, run_id), None


def _dropped(body: Body | None) -> tuple[Body | None, None]:
    return dropped(body), None
