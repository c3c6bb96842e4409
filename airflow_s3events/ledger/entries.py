"""What a ledger knows, as pure functions from one version of a document to the next.

Four kinds of documents, beside those of ``turns`` and ``groups``:

* ``event/<event id>/<dag id>``: an **entry**, what became of one event for one DAG.
* ``write/<write id>``: a **write**, which event stands for one write of one object. It gives a notification
  and a listing, which have no name in common, one name: that of whichever came first.
* ``mark/<lane>``: a **mark**, the newest place that was seen in a lane.
* ``progress/<name>``: how far a reconciliation has come.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any, NamedTuple

from airflow_s3events.events import ObjectEvent, utc_text
from airflow_s3events.identity import event_id, write_id
from airflow_s3events.ledger.store import Counted
from airflow_s3events.looks import LISTED
from airflow_s3events.ordering import Place

Body = dict[str, Any]

NOTIFICATION = "notification"
#: A reconciliation, its name after a slash: so that it knows its own work again after a kill.
RECONCILE = "reconcile"

#: Of two decisions on one event the one of higher rank stays; of equal rank, the later. 0: not decided yet.
_RANKS = {
    "put_off": 0,
    "not_stored": 0,
    "grouped": 0,
    "waiting": 0,
    "ignored": 1,
    "dropped": 1,
    "unmatched": 1,
    "stale": 1,
    "gave_up": 1,
    "duplicate": 2,
    "joined": 2,
    "started": 3,
    "restarted": 4,
}
_DECIDED = 1
#: Of a message: the fate of one that nothing more is asked of.
ACKNOWLEDGED = "acknowledge"
#: In the name of an entry: what was decided of an event that no DAG gets.
NO_DAG = ""
_HAS_RUN = 2
#: Decisions that the event starts nothing, for whatever DAG.
_STARTS_NOTHING = frozenset({"ignored", "dropped"})
#: Members of the event that an entry keeps: what tells it apart, what a listing has, and who made it.
_KEPT = (
    *("event_type", "bucket", "key", "version_id", "sequencer", "size", "etag", "event_time", "envelope"),
    "principal_id",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided about one event.

    Attributes:
        event: The event.
        what: As the dispatcher counts it: ``started``, ``restarted``, ``duplicate``, ``joined``, ``stale``,
            ``unmatched``, ``ignored``, ``dropped``, ``put_off``, ``not_stored``, ``grouped``, ``waiting`` or
            ``gave_up``.
        dag_id: The DAG that it was decided for; empty where no route takes the event.
        run_id: The run that the event has, where it has one.
        reason: For people.
        same_as: The event id that the run is named by, where a listing had named it first.
        message_id: SQS's id of the message that brought it; empty for a listing.
        disposition: The fate of the message.
        origin: ``notification``, or ``reconcile/``, the name of the reconciliation and its round.
        is_delivery: It was decided about a message that came; else about an event that came before.
    """

    event: ObjectEvent
    what: str
    dag_id: str = ""
    run_id: str | None = None
    reason: str = ""
    same_as: str = ""
    message_id: str = ""
    disposition: str = ""
    origin: str = NOTIFICATION
    is_delivery: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry, read back: the members of a ``Decision``, and when.

    Attributes:
        origin: ``notification`` or ``reconcile``.
        event_id: Of the event itself.
        event: Its type, bucket, key, version, sequencer, size, ETag, time, envelope and principal, as plain
            data; entries that an earlier version wrote have no ``principal_id``.
        seen: How often it came.
        first_seen, last_seen, decided_at: Seconds since the epoch.
        first_message: SQS's id of the message that brought it first.
        late_seconds: From the event's own time until it was first seen; None where it has no time.
    """

    event_id: str
    event: Mapping[str, Any]
    what: str
    dag_id: str
    run_id: str | None
    reason: str
    same_as: str
    disposition: str
    origin: str
    seen: int
    first_seen: float
    last_seen: float
    decided_at: float
    first_message: str
    last_message: str
    late_seconds: float | None

    @property
    def has_run(self) -> bool:
        """A run was made for it, whether Airflow still has it or not."""
        return _RANKS.get(self.what, 0) >= _HAS_RUN and self.run_id is not None


class Naming(NamedTuple):
    """What the run of a write is named by.

    Attributes:
        event_id: Of the event that came first, a notification or a listed object.
        members: Those of its members that a label may show and that the other tells otherwise: type and time.
    """

    event_id: str
    members: Mapping[str, Any] = MappingProxyType({})


class Fate(NamedTuple):
    """What was decided about a write for one DAG, and by whom: the members of a ``Decision``."""

    what: str
    origin: str

    @property
    def is_decided(self) -> bool:
        """It needs no further try."""
        return _RANKS.get(self.what, 0) >= _DECIDED


@dataclass(frozen=True, slots=True)
class Write:
    """What is known of one write.

    Attributes:
        event_id: The event that stands for it: the run of the write is named by it.
        origin: ``notification``, or ``reconcile/``, the name of the reconciliation and its round.
        is_decided: All that was ever decided about it is settled; False while its message is on the way, or
            put off for a DAG.
        fates: What was decided, by DAG, ``NO_DAG`` among them; None of a write that an earlier version noted.
    """

    event_id: str
    origin: str
    is_decided: bool
    fates: Mapping[str, Fate] | None = None

    @property
    def is_notified(self) -> bool:
        """A notification came first."""
        return not _is_listing(self.origin)

    def is_settled(self, dag_id: str, rivals: Collection[str] = ()) -> bool:
        """Whether the write needs no further try for a DAG.

        That no route took the event counts where nothing was decided for the DAG itself: several dispatchers
        may share a ledger.

        Args:
            dag_id: The DAG.
            rivals: DAGs of which one gets the event: what one has, the others do not lack.
        """
        if self.fates is None:
            return self.is_decided
        whole = self.fates.get(NO_DAG, _NO_FATE)
        own = [self.fates[name] for name in {dag_id, *rivals} if name in self.fates]
        return whole.what in _STARTS_NOTHING or any(fate.is_decided for fate in own or [whole])


_NO_FATE = Fate("", "")


def entry_name(event: ObjectEvent, dag_id: str) -> str:
    """Return the name of the entry of ``event`` for a DAG."""
    return f"event/{event_id(event)}/{dag_id}"


def write_name(event: ObjectEvent) -> str | None:
    """Return the name of the write that ``event`` speaks of; None where it wrote no object."""
    name = write_id(event)
    return None if name is None else f"write/{name}"


def mark_name(place: Place) -> str:
    """Return the name of the mark of a lane."""
    return f"mark/{place.lane}"


def read_entry(body: Mapping[str, Any]) -> Entry:
    """Return the entry that a document holds."""
    return Entry(**body)


def counted_as(name: str, body: Mapping[str, Any]) -> Counted | None:
    """Return where a document stands in time: an entry at its decision, all others nowhere."""
    if not name.startswith("event/"):
        return None
    return Counted(int(body["decided_at"]), str(body["what"]), int(body["seen"]))


def recorded(body: Body | None, decision: Decision, now: float) -> Body:
    """Return the entry with one more decision on the same event."""
    fresh = _fresh(decision, now)
    if body is None:
        return fresh
    seen = {name: body[name] for name in ("seen", "last_seen", "last_message")}
    if decision.is_delivery:
        seen = {"seen": body["seen"] + 1, "last_seen": now, "last_message": decision.message_id}
    if _RANKS.get(decision.what, 0) < _RANKS.get(body["what"], 0):
        # The start stays, and that the message which waited for its end is done with is told beside it.
        is_done = decision.disposition == ACKNOWLEDGED and decision.what == "duplicate"
        return {**body, **seen, **({"disposition": ACKNOWLEDGED} if is_done else {})}
    first = {name: body[name] for name in ("event", "origin", "first_seen", "first_message", "late_seconds")}
    return {**fresh, **first, **seen}


def claimed(body: Body | None, event: ObjectEvent, origin: str, tolerance: float) -> tuple[Body, str]:
    """Claim a write for ``event``; return the document and the event id that stands for the write.

    A version is one write, whoever speaks of it. Without versions two writes of one content share a document,
    so notifications, which tell them apart themselves, keep their own names; only between a notification and
    a listing is the time compared: a listing's object was written no later than ``tolerance`` seconds after
    the last write known (multipart uploads have the time at which they *began*, so there is no lower bound),
    and one notification is taken for a write that a listing has named.
    """
    own, time = event_id(event), _seconds(event)
    fresh: Body = {"event_id": own, "origin": origin, "time": time, "copy": "", "what": "", "fates": {}}
    fresh["named"] = {"event_type": event.event_type, "event_time": _text(event.event_time)}
    if body is None:
        return fresh, own
    if own in (body["event_id"], body["copy"]) or _version(event):
        return body, body["event_id"]
    if _is_listing(origin) or event.envelope == LISTED:  # the latter in a message: its run has failed
        is_known = time is None or body["time"] is None or time <= body["time"] + tolerance
        return (body, body["event_id"]) if is_known else (fresh, own)
    if _is_notice(body, event, tolerance):
        return {**body, "copy": own, "time": _later(body["time"], time)}, body["event_id"]
    if time is None or body["time"] is None or time > body["time"]:
        return fresh, own
    return body, own


def naming(body: Body, event: ObjectEvent, identity: str) -> Naming:
    """Return what the run of ``event`` is named by, once it has claimed its write and got ``identity``."""
    if identity == event_id(event):
        return Naming(identity)
    return Naming(identity, body.get("named", {}))


def settled(body: Body | None, decision: Decision) -> Body | None:
    """Return the write with the fate of the event that stands for it, for one DAG and in all."""
    names = {event_id(decision.event), decision.same_as}
    if body is None or body["event_id"] not in names:
        return body
    rank = _RANKS.get(decision.what, 0)
    fates = body.get("fates")
    if fates is not None and rank >= _RANKS.get(fates.get(decision.dag_id, _NO_FATE)[0], 0):
        body = {**body, "fates": {**fates, decision.dag_id: [decision.what, decision.origin]}}
    return body if rank < _RANKS.get(body["what"], 0) else {**body, "what": decision.what}


def read_write(body: Mapping[str, Any]) -> Write:
    """Return the write that a document holds."""
    known = body.get("fates")
    fates = None if known is None else {dag_id: Fate(*fate) for dag_id, fate in known.items()}
    if not fates:
        is_decided = _RANKS.get(body["what"], 0) >= _DECIDED
    else:
        # Each fate, and not the weightiest: what one DAG has settled, another may still wait for.
        starts_nothing = fates.get(NO_DAG, _NO_FATE).what in _STARTS_NOTHING
        is_decided = starts_nothing or all(fate.is_decided for fate in fates.values())
    return Write(body["event_id"], body["origin"], is_decided, fates)


def is_older(listed: ObjectEvent, body: Mapping[str, Any], tolerance: float) -> bool:
    """Whether the write known is the one listed, or a later one of the same content."""
    time, known = _seconds(listed), body["time"]
    return bool(_version(listed)) or time is None or known is None or time <= known + tolerance


def advanced(body: Body | None, place: Place, own: str) -> tuple[Body, str]:
    """Move a mark to ``place`` if that is newer; return the event id that stands there now.

    Another's id where the place is older than the mark, or is the mark's own: the caller knows whether two
    events at one place are one.
    """
    if body is None or body["position"] < place.position:
        return {"position": place.position, "event_id": own}, own
    return body, body["event_id"]


def _fresh(decision: Decision, now: float) -> Body:
    event = decision.event
    time = _seconds(event)
    data = {name: getattr(event, name) for name in _KEPT}
    data["event_time"] = _text(event.event_time)
    return {
        "event_id": event_id(event),
        "event": data,
        "what": decision.what,
        "dag_id": decision.dag_id,
        # What waits in a group is held for a batch, which has no run yet.
        "run_id": decision.run_id if _RANKS.get(decision.what, 0) >= _HAS_RUN else None,
        "reason": decision.reason,
        "same_as": decision.same_as,
        "disposition": decision.disposition,
        "origin": decision.origin.partition("/")[0],
        "seen": 1,
        "first_seen": now,
        "last_seen": now,
        "decided_at": now,
        "first_message": decision.message_id,
        "last_message": decision.message_id,
        "late_seconds": None if time is None else round(now - time, 3),
    }


def _is_listing(origin: str) -> bool:
    return origin.startswith(RECONCILE)


def _is_notice(body: Body, event: ObjectEvent, tolerance: float) -> bool:
    """Whether this notification is the one that a listing has run ahead of."""
    if not _is_listing(body["origin"]) or body["copy"]:
        return False
    time, listed = _seconds(event), body["time"]
    if time is None or listed is None:
        return True
    # "-<number of parts>" ends the ETag of a multipart upload, listed with the time of its beginning.
    return time >= listed - tolerance and (time <= listed + tolerance or "-" in (event.etag or ""))


def _version(event: ObjectEvent) -> str | None:
    return None if event.version_id == "null" else event.version_id


def _later(one: float | None, other: float | None) -> float | None:
    return one if other is None or (one is not None and one > other) else other


def _seconds(event: ObjectEvent) -> float | None:
    moment = event.event_time
    return None if moment is None else _timestamp(moment)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else utc_text(moment)


def _timestamp(moment: datetime) -> float:
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds()
