"""Turns: at most one active run for a key of a DAG, the next when it has ended. Pure, as ``entries`` is.

A document ``turn/<object id>/<dag id>`` holds whose turn it is and who waits, in their order. Who has the
turn keeps it until its run has ended: the message of a dispatcher that was killed comes again, and nobody
goes before it meanwhile. Who waits and is not seen for a day is taken to be gone (its message was purged, or
moved to a dead letter queue by SQS), since others must not wait for what never comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_s3events.events import ObjectEvent
from airflow_s3events.identity import object_id
from airflow_s3events.ordering import Order, Place, compare

Body = dict[str, Any]

#: Seconds after which somebody who was not seen again is taken to be gone. Longer than SQS hides a message.
_GONE_SECONDS = 86_400.0
#: The same for a reconciliation that has taken a turn: far longer than making a run takes.
_LISTED_GONE_SECONDS = 900.0
#: Who waits in one document. Those behind stay in SQS and are put in order when there is room.
MOST_WAITING = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Who asks for a turn.

    Attributes:
        event: The event.
        dag_id: The DAG.
        who: The event id that it is known by, the same each time.
        attempt: As its message says.
        run_id: The run that it would start.
        place: In its order; None: where it comes.
        is_listed: A reconciliation asks. It waits on no list, since it may never ask again: the object may be
            another by then. And a turn of which it makes no run is soon over.
    """

    event: ObjectEvent
    dag_id: str
    who: str
    attempt: int
    run_id: str
    place: Place | None
    is_listed: bool = False

    @property
    def name(self) -> str:
        """Name of the document."""
        return f"turn/{object_id(self.event.bucket, self.event.key)}/{self.dag_id}"

    @property
    def id(self) -> str:
        """Who it is among those that wait."""
        return f"{self.who}/{self.attempt}"


@dataclass(frozen=True, slots=True)
class Busy:
    """Why it is not somebody's turn.

    Attributes:
        id: Who has the turn, or is before him.
        run_id: The run of who has it; empty where nobody has, and he that is before must come first.
        is_started: That run was made.
        gone_at: When who has it is taken to be gone, if no run was made; seconds since the epoch.
    """

    id: str
    run_id: str
    is_started: bool
    gone_at: float


def queued(body: Body | None, ask: Ask, now: float) -> Body:
    """Wait, in order, and take nothing: so that all of a batch are in order before one is given its turn."""
    body = body or {"running": None, "waiting": []}
    running = body["running"]
    if running is not None and running["id"] == ask.id:
        return {**body, "running": {**running, "gone_at": _gone_at(ask, now)}}
    there = [one for one in body["waiting"] if one["id"] == ask.id or one["gone_at"] > now]
    return {**body, "waiting": there if ask.is_listed else _with(there, ask, now)[:MOST_WAITING]}


def asked(body: Body | None, ask: Ask, now: float) -> tuple[Body, Busy | None]:
    """Take the turn if it is free and nobody is before, else wait; return who is busy, None for nobody."""
    body = queued(body, ask, now)
    running, waiting = body["running"], body["waiting"]
    if running is not None:
        is_mine = running["id"] == ask.id
        return body, None if is_mine else Busy(**running)
    if waiting and waiting[0]["id"] != ask.id:
        return body, Busy(waiting[0]["id"], "", False, waiting[0]["gone_at"])
    mine = {"id": ask.id, "run_id": ask.run_id, "is_started": False, "gone_at": _gone_at(ask, now)}
    return {"running": mine, "waiting": waiting[1:]}, None


def passed_on(body: Body | None, over: str, ask: Ask, now: float) -> tuple[Body, Busy | None]:
    """Ask again after the run of who had the turn, ``over``, has ended."""
    return asked(_without_running(body, over), ask, now)


def started(body: Body | None, ask: Ask, run_id: str) -> Body | None:
    """Note that the run of who has the turn was made."""
    running = None if body is None else body["running"]
    if body is None or running is None or running["id"] != ask.id:
        return body
    return {**body, "running": {**running, "run_id": run_id, "is_started": True}}


def left(body: Body | None, ask: Ask) -> Body | None:
    """Give the turn, or the place among those that wait, up for good."""
    if body is None:
        return None
    body = _without_running(body, ask.id)
    return body and {**body, "waiting": [one for one in body["waiting"] if one["id"] != ask.id]}


def _without_running(body: Body | None, who: str) -> Body | None:
    running = None if body is None else body["running"]
    return body and {**body, "running": None} if running is not None and running["id"] == who else body


def _gone_at(ask: Ask, now: float) -> float:
    return now + (_LISTED_GONE_SECONDS if ask.is_listed else _GONE_SECONDS)


def _with(waiting: list[Body], ask: Ask, now: float) -> list[Body]:
    """Those that wait, and ``ask``: before the first that is later in its lane, or else at the end.

    Of a lane all are in order, so this keeps them so; and one list has no circles.
    """
    for seat, one in enumerate(waiting):
        if one["id"] == ask.id:
            return [*waiting[:seat], {**one, "gone_at": _gone_at(ask, now)}, *waiting[seat + 1 :]]
    where = None if ask.place is None else [ask.place.lane, ask.place.position]
    mine = {"id": ask.id, "place": where, "gone_at": _gone_at(ask, now)}
    later = (seat for seat, one in enumerate(waiting) if compare(_place(one), ask.place) is Order.LATER)
    seat = next(later, len(waiting))
    return [*waiting[:seat], mine, *waiting[seat:]]


def _place(one: Body) -> Place | None:
    return None if one["place"] is None else Place(*one["place"])
