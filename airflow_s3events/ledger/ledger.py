"""``Ledger``: a few questions and notes in bulk, over any store."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError, LedgerOutageError
from airflow_s3events.identity import event_id, object_id
from airflow_s3events.ledger.entries import (
    ACKNOWLEDGED,
    NO_DAG,
    NOTIFICATION,
    Body,
    Decision,
    Entry,
    Naming,
    Write,
    advanced,
    claimed,
    counted_as,
    entry_name,
    is_older,
    mark_name,
    naming,
    read_entry,
    read_write,
    recorded,
    settled,
    write_name,
)
from airflow_s3events.ledger.store import Document, IntervalCount, Store, TimedStore
from airflow_s3events.ordering import Place, Placing

_DAY_SECONDS = 86_400
#: Documents of one read and one write.
_CHUNK = 500
#: Tries of a document that others write at the same time; each try of somebody succeeds.
_TRIES = 12
_FIRST_PAUSE_SECONDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    """How long a ledger remembers, and how far two clocks may be apart.

    Attributes:
        retention_days: Entries and marks may be purged so long after they were last written. Default 90; at
            least 15, since SQS keeps a message for 14 days.
        write_retention_days: The same for writes, by which a listing is compared. None, the default: for
            ever, since what the ledger has forgotten is missing to the next reconciliation.
        tolerance_seconds: How far the time of a notification and the time that a listing shows may be apart
            for the same write. Default 300. Of writes to a bucket without versions only; a version id is
            exact.

    Raises:
        ConfigurationError: One of them is out of bounds; names it.
    """

    retention_days: float = 90
    write_retention_days: float | None = None
    tolerance_seconds: float = 300

    def __post_init__(self) -> None:
        least = {"retention_days": 15, "write_retention_days": 15, "tolerance_seconds": 0}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is None and name == "write_retention_days":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= bound:
                raise ConfigurationError(f"{name}={value!r}: give a number from {bound}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the ledger says of an event before a run is made of it.

    Attributes:
        identity: The event id by which its run is named.
        newer: The event id of a newer event of its lane, which stands for it; empty for none.
        runs: The run that the event has had already, by DAG.
        dropped: Why a scorer dropped it before; empty: none did.
        acknowledged: The DAGs for which a message of it was acknowledged for its run, as far as a task has
            seen that: with ``acknowledge="run_succeeded"`` the run had succeeded then.
        naming: ``identity``, and what else its run is named by.
    """

    identity: str
    newer: str
    runs: dict[str, str]
    dropped: str = ""
    acknowledged: frozenset[str] = frozenset()
    naming: Naming | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One step of one document.

    Attributes:
        name: Of the document.
        step: From its body, None where there is none, to the next and an answer. Pure, since a refused write
            takes it again.
        subject: What the document is about.
        days: It may be purged so long after; None: never.
    """

    name: str
    step: Callable[[Body | None], tuple[Body | None, Any]]
    subject: str = ""
    days: float | None = None


class Ledger:
    """What happened to each object event.

    Args:
        store: Where its documents are.
        settings: How long it remembers.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        settings: LedgerSettings | None = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.settings = settings or LedgerSettings()
        self.now = now

    async def judge(
        self,
        asked: Sequence[tuple[ObjectEvent, Sequence[str]]],
        *,
        place: Placing | None = None,
        same_place_is_same: bool = False,
        origin: str = NOTIFICATION,
    ) -> list[Verdict]:
        """Claim the writes that events speak of, move the marks, and say what is known of each event.

        Atomic across processes: of all that ever ask about one write, or one lane, one is the first, and one
        the newest. Asking twice gives the same answer, so a process that dies in between costs nothing.

        Args:
            asked: Events, each with the DAGs that may get it, or have got it; ``NO_DAG`` among them: where it
                may have been dropped.
            place: The order; None: none.
            same_place_is_same: Two events at one place are copies of one, as with ``ByField``.
            origin: ``notification``, or ``reconcile/`` and a name.
        """
        events = [event for event, _ in asked]
        entries = await self.store.read(
            [entry_name(event, dag_id) for event, dag_ids in asked for dag_id in dag_ids]
        )
        namings = await self._claim(events, origin)
        newer = await self._advance(events, place, same_place_is_same)
        verdicts = []
        for (event, dag_ids), named, newest in zip(asked, namings, newer, strict=True):
            found = {dag_id: entries.get(entry_name(event, dag_id)) for dag_id in dag_ids}
            verdicts.append(_verdict(named, newest, found))
        return verdicts

    async def record(self, decisions: Sequence[Decision]) -> None:
        """Note what was decided, in bulk."""
        now = self.now()
        changes = []
        for decision in decisions:
            event = decision.event
            subject = object_id(event.bucket, event.key)
            days = self.settings.retention_days
            changes.append(
                Change(entry_name(event, decision.dag_id), _recording(decision, now), subject, days)
            )
            if (name := write_name(event)) is not None:
                changes.append(Change(name, _settling(decision), "", self.settings.write_retention_days))
        await self.change(changes)

    async def writes(self, listed: Sequence[ObjectEvent]) -> list[Write | None]:
        """Return what is known of the write that each listed object is; None where it is missing."""
        names = [write_name(event) or "" for event in listed]
        found = await self.store.read(list(dict.fromkeys(names)))
        tolerance = self.settings.tolerance_seconds
        return [
            read_write(document.body)
            if (document := found.get(name)) is not None and is_older(event, document.body, tolerance)
            else None
            for event, name in zip(listed, names, strict=True)
        ]

    async def history(self, bucket: str, key: str) -> list[Entry]:
        """Return the entries of one key, in the order in which they were first seen."""
        documents = await self.store.about(object_id(bucket, key))
        entries = [read_entry(document.body) for document in documents]
        return sorted(entries, key=lambda entry: (entry.first_seen, entry.event_id, entry.dag_id))

    async def latest(self, most: int) -> list[Entry]:
        """Return up to ``most`` entries, the last decision first.

        Raises:
            ConfigurationError: The store keeps no order of time: DynamoDB.
        """
        entries = [read_entry(document.body) for document in await self._timed().latest(most)]
        return sorted(entries, key=lambda entry: entry.decided_at, reverse=True)

    async def counts(self, since: int, until: int, step_seconds: int) -> list[IntervalCount]:
        """Count entries in intervals of time, each at its decision, by what was decided.

        ``times`` is how often the events came. Errors as ``latest``.
        """
        return await self._timed().counts(since, until, step_seconds)

    def _timed(self) -> TimedStore:
        if not isinstance(self.store, TimedStore):
            raise ConfigurationError(
                "ledger: DynamoDB keeps no order of time over a table, so it cannot tell the last events; a"
                " ledger in a database (sql:<connection>) can"
            )
        return self.store

    async def progress(self, name: str) -> Body | None:
        """Return what was noted under ``name``."""
        found = await self.store.read([f"progress/{name}"])
        return next((document.body for document in found.values()), None)

    async def note_progress(self, name: str, body: Body) -> None:
        """Note how far a reconciliation has come."""
        days = self.settings.retention_days
        await self.change([Change(f"progress/{name}", lambda _: (body, None), days=days)])

    async def purge(self) -> int:
        """Remove in bulk what has expired; return how many documents."""
        return await self.store.purge(self.now())

    async def _claim(self, events: Sequence[ObjectEvent], origin: str) -> list[Naming]:
        tolerance = self.settings.tolerance_seconds
        changes, seats = [], []
        for seat, event in enumerate(events):
            if (name := write_name(event)) is not None:
                step = _claiming(event, origin, tolerance)
                changes.append(Change(name, step, "", self.settings.write_retention_days))
                seats.append(seat)
        answers = dict(zip(seats, await self.change(changes), strict=True))
        return [answers.get(seat) or Naming(event_id(event)) for seat, event in enumerate(events)]

    async def _advance(
        self, events: Sequence[ObjectEvent], place: Placing | None, same_place_is_same: bool
    ) -> list[str]:
        """Return for each event the id of the newer one that stands for it; empty where there is none."""
        newer = [""] * len(events)
        if place is None:
            return newer
        places = [(seat, place(event)) for seat, event in enumerate(events)]
        placed = [(seat, where) for seat, where in places if where is not None]
        changes = [
            Change(
                mark_name(where), _advancing(where, event_id(events[seat])), days=self.settings.retention_days
            )
            for seat, where in placed
        ]
        await self.change(changes)
        # What an event was told while its batch went through may be older than what came behind it.
        marks = await self.store.read(list(dict.fromkeys(change.name for change in changes)))
        for seat, where in placed:
            mark = marks[mark_name(where)].body
            own = event_id(events[seat])
            is_other = mark["event_id"] != own
            if mark["position"] > where.position or (same_place_is_same and is_other):
                newer[seat] = mark["event_id"]
        return newer

    async def change(self, changes: Sequence[Change]) -> list[Any]:
        """Carry out every step on the document as it is then; return what each step answered."""
        answers: list[Any] = [None] * len(changes)
        by_name: defaultdict[str, list[int]] = defaultdict(list)
        for seat, change in enumerate(changes):
            by_name[change.name].append(seat)
        names = list(by_name)
        for first in range(0, len(names), _CHUNK):
            await self._change_some(
                {name: by_name[name] for name in names[first : first + _CHUNK]}, changes, answers
            )
        return answers

    async def _change_some(
        self, left: dict[str, list[int]], changes: Sequence[Change], answers: list[Any]
    ) -> None:
        for attempt in range(_TRIES):
            stored = await self.store.read(list(left))
            documents = []
            for name, seats in left.items():
                before = stored.get(name)
                body = None if before is None else before.body
                for seat in seats:
                    body, answers[seat] = changes[seat].step(body)
                if body is not None and (before is None or body != before.body):
                    documents.append(self._next(before, changes[seats[0]], body))
            left = {name: left[name] for name in await self.store.write(documents)}
            if not left:
                return
            # Whoever was refused together does not come again together.
            await asyncio.sleep(_FIRST_PAUSE_SECONDS * 2.0 ** min(attempt, 6) * random.random())  # noqa: S311
        raise LedgerOutageError(f"the ledger: {len(left)} documents are written by others all the time")

    def _next(self, before: Document | None, change: Change, body: Body) -> Document:
        expires = None if change.days is None else int(self.now() + change.days * _DAY_SECONDS)
        version = 1 if before is None else before.version + 1
        counted = counted_as(change.name, body)
        return Document(change.name, version, body, change.subject, expires, counted)


def _verdict(naming: Naming, newer: str, found: Mapping[str, Document | None]) -> Verdict:
    entries = {dag_id: read_entry(one.body) for dag_id, one in found.items() if one is not None}
    whole = entries.get(NO_DAG)
    with_run = {dag_id: entry for dag_id, entry in entries.items() if entry.has_run}
    return Verdict(
        naming.event_id,
        newer,
        {dag_id: entry.run_id or "" for dag_id, entry in with_run.items()},
        whole.reason if whole is not None and whole.what == "dropped" else "",
        frozenset(dag_id for dag_id, entry in with_run.items() if entry.disposition == ACKNOWLEDGED),
        naming,
    )


def _claiming(
    event: ObjectEvent, origin: str, tolerance: float
) -> Callable[[Body | None], tuple[Body, Naming]]:
    def step(body: Body | None) -> tuple[Body, Naming]:
        after, identity = claimed(body, event, origin, tolerance)
        return after, naming(after, event, identity)

    return step


def _advancing(place: Place, own: str) -> Callable[[Body | None], tuple[Body, str]]:
    return lambda body: advanced(body, place, own)


def _recording(decision: Decision, now: float) -> Callable[[Body | None], tuple[Body, None]]:
    return lambda body: (recorded(body, decision, now), None)


def _settling(decision: Decision) -> Callable[[Body | None], tuple[Body | None, None]]:
    return lambda body: (settled(body, decision), None)
