"""Groups: which events are to be in one batch run, until that run is stored. Pure, as ``entries`` is.

A document ``group/<group id>/<dag id>`` holds the open batch of a group, and those that are closed and have
no run yet::

    {"done": 3, "number": 5, "open": {...} or None, "closed": [{...}], "previous": {...} or None}

It stays small enough for every store: an event that it has no room for is in no batch, and comes again.

Which events belong together is decided here, in one step of one document, and nowhere else: so it is the
same for all dispatchers, and after every kill. The batch id is made of its first event, which is in no other
batch; the run id of all its events, when it is closed. Both stand in the document: settings may
change. A ledger may lose what it was told, and a batch be gathered anew, of other events: it has another run
id then, so that nobody takes the run that is there for its own. ``done`` counts the batches that were taken
out because their run is stored and the entry of every event says so: whoever has read the entries before the
document moved on has to read them again.

A document ``item/<event id>/<dag id>`` keeps an event itself, and the group that it came to first, from
before it is in the group until after its run is stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from airflow_s3events.events import ObjectEvent
from airflow_s3events.identity import event_id, object_id
from airflow_s3events.routing import Batch

Body = dict[str, Any]

#: Bytes of JSON that an event may take a document to: DynamoDB's have 400 KB at most. What else may come is
#: what a manifest lists, 40 KB for the largest batch that there may be, and what closing says.
_MOST_BYTES = 300_000
#: Characters of the reason why a manifest could not be read, each up to 12 bytes of JSON.
_FAULT_LENGTH = 1_000
_CHARACTER_BYTES = 12
#: Bytes of JSON: of an event id, of the name of a part, and of a batch without both, its fault and its names.
_MEMBER_BYTES = 44
_PART_BYTES = 20
_BATCH_BYTES = 350

#: Why a batch was closed, for people; the names stand in the conf.
CLOSED_BY: Mapping[str, str] = {
    "count": "it has as many events as a batch may",
    "object_bytes": "its objects have as many bytes as a batch may",
    "conf_bytes": "the conf of its run would have had too many bytes with one more",
    "idle": "no new event came for idle_seconds",
    "marker": "its marker came, and no new event for after_marker_seconds",
    "manifest": "all that its manifest lists had come",
    "age": "it was open for open_seconds",
    "room": "the dispatcher held as many messages as it may",
    "alone": "the key has no group",
}


@dataclass(frozen=True, slots=True)
class Group:
    """A group of events of one route in one bucket.

    Attributes:
        dag_id: The DAG that gets its runs.
        id: 40 hexadecimal digits.
        bucket: The bucket.
        values: What was captured; None: the event is in no group, and a batch alone.
    """

    dag_id: str
    id: str
    bucket: str
    values: Mapping[str, str | None] | None

    @property
    def name(self) -> str:
        """Name of the document."""
        return f"group/{self.id}/{self.dag_id}"

    @property
    def label(self) -> str:
        """The captured values, for the run id."""
        return "-".join(value for value in (self.values or {}).values() if value)

    def batch_id(self, first: str, *, readable: bool) -> str:
        """Return the id of the batch whose first event has this event id; it looks like a run id."""
        label = "".join(char if char.isascii() and char.isalnum() else "-" for char in self.label[:100])
        part = "-".join(filter(None, label.split("-"))) if readable else ""
        return f"s3_{part}_{_digest([self.id, first])}" if part else f"s3_{_digest([self.id, first])}"

    def serialize(self) -> Body:
        """Return plain data."""
        values = None if self.values is None else dict(self.values)
        return {"dag_id": self.dag_id, "id": self.id, "bucket": self.bucket, "values": values}


def group_of(event: ObjectEvent, dag_id: str, route_name: str, batch: Batch) -> Group:
    """Return the group of an event on a route."""
    values = batch.values_of(event.key)
    which = event_id(event) if values is None else sorted(values.items())
    return Group(dag_id, _digest([dag_id, route_name, event.bucket, which]), event.bucket, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """An event that is to be in a batch of its group.

    Attributes:
        event_id: Of the event.
        batch_id: Of the batch, should this be its first event.
        object_bytes: Of its object.
        conf_bytes: Of its JSON form.
        part: Name of its object among those that a manifest lists; empty where there is none.
        is_marker: It says that the group is complete.
        is_manifest: It lists what belongs to the group.
        is_alone: It has no group.
        done: What the document said before the event's entry was read.
    """

    event_id: str
    batch_id: str
    object_bytes: int
    conf_bytes: int
    part: str
    is_marker: bool
    is_manifest: bool
    is_alone: bool
    done: int


@dataclass(frozen=True, slots=True)
class Member:
    """An event that is in a batch.

    Attributes:
        batch_id: Of its batch; empty: it is in none, too much of its group waits for runs.
        is_new: It was in none before.
        is_unread: It is the manifest of an open batch, and what it lists is not known yet.
    """

    batch_id: str
    is_new: bool
    is_unread: bool = False


@dataclass(frozen=True, slots=True)
class ClosedBatch:
    """A batch that gets its run.

    Attributes:
        batch_id: As when it was open.
        run_id: Of its run: the same events of a batch have the same, any others another.
        number: Of the group's batches, from 1, as far as the ledger remembers.
        members: Event ids, in the order in which they came.
        opened_at, closed_at: Seconds since the epoch.
        closed_by: One of ``CLOSED_BY``.
        object_bytes: Of its objects together.
        listed: How many objects its manifest lists; None where there is none, or it could not be read,
        missing: and how many of those are not in the batch.
        fault: Why the manifest could not be read.
        follows: Of the batch before: its ``run_id``, and what it was ``closed_by``; None: there was none.
    """

    batch_id: str
    run_id: str
    number: int
    members: tuple[str, ...]
    opened_at: float
    closed_at: float
    closed_by: str
    object_bytes: int
    listed: int | None
    missing: int
    fault: str
    follows: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class View:
    """What a group's document says.

    Attributes:
        closed: Batches that have no run yet, or whose run nobody has noted.
        open_batch_id: Of the open batch; empty where none is open.
        opened_at: When it was opened,
        closes_at: and when it is closed if nothing new comes. Seconds since the epoch.
    """

    closed: tuple[ClosedBatch, ...]
    open_batch_id: str = ""
    opened_at: float = float("inf")
    closes_at: float = float("inf")


def part_name(bucket: str, key: str) -> str:
    """Return the short name of an object among those that a manifest lists."""
    return object_id(bucket, key)[:16]


def item_name(event: str, dag_id: str) -> str:
    """Return the name of the document that keeps an event."""
    return f"item/{event}/{dag_id}"


def kept(body: Body | None, group: Group, event: Mapping[str, Any]) -> tuple[Body, Group]:
    """Keep an event, in the group that it came to first: settings may have changed since."""
    if body is not None and "event" in body:
        return body, Group(**body["group"])
    return {"group": group.serialize(), "event": dict(event)}, group


def dropped(body: Body | None) -> Body | None:
    """Keep the event no longer, which may hold names of persons."""
    return body and {}


def done_of(body: Body | None) -> int:
    """Return how many batches were taken out."""
    done: int = 0 if body is None else body["done"]
    return done


def joined(body: Body | None, joining: Joining, batch: Batch, now: float) -> tuple[Body, Member | None]:
    """Put an event into the open batch, unless it is in one; None: its entry must be read again."""
    body = body or {"done": 0, "number": 1, "open": None, "closed": [], "previous": None}
    for one in [*body["closed"], *([body["open"]] if body["open"] else [])]:
        if joining.event_id in one["members"]:
            return body, Member(one["batch_id"], False, _is_unread(body, one, joining))
    if body["done"] != joining.done:
        return body, None
    grown, opened = _grown(body, joining, batch, now)
    if _bytes_of(grown) > _MOST_BYTES:
        return body, Member("", False)
    return grown, Member(opened["batch_id"], True, _is_unread(grown, opened, joining))


def listed(
    body: Body | None, batch_id: str, parts: Sequence[str] | None, fault: str, *, most: int
) -> Body | None:
    """Note what the manifest of the open batch lists.

    Args:
        body: The document.
        batch_id: Of the batch that was open when the manifest came.
        parts: Names of the objects; None: it could not be read,
        fault: and why.
        most: Events that a batch has at most: a manifest of more is never complete, and not kept.
    """
    one = body and body["open"]
    if body is None or not one or one["batch_id"] != batch_id or one["manifest"] is not None:
        return body
    names = None if parts is None else sorted(set(parts))
    if names is not None and len(names) > most:
        fault = f"it lists {len(names)} objects, and a batch has {most} at most (count)"
        names = None
    return {**body, "open": {**one, "manifest": {"parts": names, "fault": fault[:_FAULT_LENGTH]}}}


def looked(
    body: Body | None, batch: Batch, now: float, *, since: float, needs_room: bool = False
) -> tuple[Body | None, View | None]:
    """Close the open batch if it is time; return what there is then. None: there is no document.

    Args:
        body: The document.
        batch: When it is closed.
        now: Seconds since the epoch.
        since: When whoever looks began to receive: no event came to him before, so nobody was idle.
        needs_room: Close it in any case.
    """
    if body is None:
        return None, None
    if body["open"]:
        closes_at, reason = _closes(body["open"], batch, since)
        if needs_room or closes_at <= now:
            body = _closed(body, reason if closes_at <= now else "room", now)
    closed = tuple(map(_read_closed, body["closed"]))
    one = body["open"]
    if not one:
        return body, View(closed)
    return body, View(closed, one["batch_id"], one["opened_at"], _closes(one, batch, since)[0])


def finished(body: Body | None, run_id: str) -> Body | None:
    """Take a batch out whose run is stored, and whose entries say so: its run id tells it from others."""
    left = [] if body is None else [one for one in body["closed"] if one["run_id"] != run_id]
    if body is None or len(left) == len(body["closed"]):
        return body
    return {**body, "closed": left, "done": body["done"] + 1}


def _grown(body: Body, joining: Joining, batch: Batch, now: float) -> tuple[Body, Body]:
    """Put an event into the open batch; return the document, and the batch as it was when it was open."""
    if body["open"] and body["open"]["conf_bytes"] + joining.conf_bytes > batch.conf_bytes:
        body = _closed(body, "conf_bytes", now)
    opened = _with(body["open"], body["number"], joining, now)
    body = {**body, "open": opened}
    reason = _is_full(opened, batch) or ("alone" if joining.is_alone else "")
    return (_closed(body, reason, now) if reason else body), opened


def _bytes_of(body: Body) -> int:
    """Return how many bytes of JSON a document has at most; to write it out takes too long for each event."""
    closed = sum(map(_batch_bytes, body["closed"]))
    one = body["open"]
    if not one:
        return closed
    manifest = one["manifest"] or {"parts": None, "fault": ""}
    parts = len(one["parts"]) + len(manifest["parts"] or ())
    return closed + _batch_bytes({**one, "fault": manifest["fault"]}) + _PART_BYTES * parts


def _batch_bytes(one: Body) -> int:
    # Its id, its run id and that of the batch before are of one length.
    names = 3 * len(one["batch_id"]) + _CHARACTER_BYTES * len(one["fault"])
    return _BATCH_BYTES + names + _MEMBER_BYTES * len(one["members"])


def _with(one: Body | None, number: int, joining: Joining, now: float) -> Body:
    fresh = {"batch_id": joining.batch_id, "number": number, "members": [], "opened_at": now}
    one = one or {**fresh, "object_bytes": 0, "conf_bytes": 0, "marked": False, "parts": [], "manifest": None}
    return {
        **one,
        "members": [*one["members"], joining.event_id],
        "last_at": now,
        "object_bytes": one["object_bytes"] + joining.object_bytes,
        "conf_bytes": one["conf_bytes"] + joining.conf_bytes,
        "marked": one["marked"] or joining.is_marker,
        "parts": [*one["parts"], *([joining.part] if joining.part else [])],
    }


def _is_unread(body: Body, one: Body, joining: Joining) -> bool:
    is_open = body["open"] is not None and body["open"]["batch_id"] == one["batch_id"]
    return joining.is_manifest and is_open and one["manifest"] is None


def _missing(one: Body) -> int | None:
    """Return how many listed objects are not in the batch; None where nothing is listed."""
    parts = None if one["manifest"] is None else one["manifest"]["parts"]
    return None if parts is None else len(set(parts) - set(one["parts"]))


def _is_full(one: Body, batch: Batch) -> str:
    if len(one["members"]) >= batch.count:
        return "count"
    most = batch.object_bytes
    return "object_bytes" if most is not None and one["object_bytes"] >= most else ""


def _closes(one: Body, batch: Batch, since: float) -> tuple[float, str]:
    """Return when a batch is closed if nothing new comes, and by what."""
    quiet_since = max(one["last_at"], since)
    moments = [(one["opened_at"] + batch.open_seconds, "age")]
    if batch.idle_seconds is not None:
        moments.append((quiet_since + batch.idle_seconds, "idle"))
    if one["marked"]:
        moments.append((quiet_since + batch.after_marker_seconds, "marker"))
    if _missing(one) == 0:
        moments.append((one["last_at"], "manifest"))
    return min(moments)


def _closed(body: Body, reason: str, now: float) -> Body:
    """Close the open batch; the next event opens another."""
    opened = body["open"]
    run_id = _run_id(opened["batch_id"], opened["members"])
    manifest = opened["manifest"] or {"parts": None, "fault": ""}
    names = ("batch_id", "number", "members", "opened_at", "object_bytes")
    one = {
        **{name: opened[name] for name in names},
        "run_id": run_id,
        "closed_at": now,
        "closed_by": reason,
        "listed": None if manifest["parts"] is None else len(manifest["parts"]),
        "missing": _missing(opened) or 0,
        "fault": manifest["fault"],
        "follows": body["previous"],
    }
    previous = {"run_id": run_id, "closed_by": reason}
    closed = [*body["closed"], one]
    return {**body, "open": None, "closed": closed, "number": body["number"] + 1, "previous": previous}


def _read_closed(one: Body) -> ClosedBatch:
    return ClosedBatch(**{**one, "members": tuple(one["members"])})


def _run_id(batch_id: str, members: Sequence[str]) -> str:
    # Whichever came first: they may come again to a ledger that knows none of them.
    return f"{batch_id.rpartition('_')[0]}_{_digest(sorted(members))}"


def _digest(parts: Sequence[Any]) -> str:
    return sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()[:40]
