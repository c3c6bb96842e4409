"""Which of two object events is the later one, where that can be known at all.

S3 delivers in no order. What it gives is the sequencer: of two events about **one key** the greater one is
the later. This module trusts it where two of them can be compared with certainty, and says "unknown"
elsewhere:

* Only creates and deletes have one, and only S3's own sort: stores that build theirs from a clock, and the
  constants of samples and emulators, have no place in an order.
* AWS says to right-pad the shorter of two sequencers with zeros (it said "left-pad" until 2021). Sequencers
  of one length need no padding, and all that were ever seen on S3 have one length: so different lengths are
  different lanes, which are never compared, and neither rule has to be trusted
  (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html).
* Deleting a version (a delete with a version id) leaves the key as it was, or even brings it back: it says
  nothing of what is newest. A lifecycle expiration has the time of its rule, not of its deed. Neither has a
  place.

The policy for what has no place: **it is started**, never held to be stale. The doubt falls on the side of a
run too many.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any, Literal, TypeVar

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.identity import object_id, trusted_sequencer

_T = TypeVar("_T")

#: Digits of a number or a time as a position: the largest that fits is far beyond any counter or clock.
_DIGITS = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECONDS = 1_000_000
_KINDS = ("number", "time", "text")


class Order(str, Enum):
    """How one place stands to another."""

    EARLIER = "earlier"
    SAME = "same"
    LATER = "later"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event stands in its lane.

    Attributes:
        lane: What it can be compared with: places of other lanes are unknown to it.
        position: The later, the greater, as text. Upper-case hexadecimal digits only, so that every database
            sorts it alike whatever its collation.
    """

    lane: str
    position: str


#: Tells an event's place; None where it has none.
Placing = Callable[[ObjectEvent], Place | None]


def compare(one: Place | None, other: Place | None) -> Order:
    """Return how ``one`` stands to ``other``; unknown without a place, or in another lane."""
    if one is None or other is None or one.lane != other.lane:
        return Order.UNKNOWN
    if one.position == other.position:
        return Order.SAME
    return Order.LATER if one.position > other.position else Order.EARLIER


def by_sequencer(event: ObjectEvent) -> Place | None:
    """Return the place that S3's sequencer gives an event among those of its key; see the module."""
    sequencer = trusted_sequencer(event)
    if sequencer is None or not _speaks_of_the_key(event):
        return None
    return Place(f"{object_id(event.bucket, event.key)}/s3-{len(sequencer)}", sequencer)


@dataclass(frozen=True, slots=True)
class Field:
    """One text of an event: a member of its JSON form, or a part of one.

    Args:
        path: The member, inner ones after dots: ``key``, ``extra.user_metadata.X-Amz-Meta-Device``.
        pattern: A regular expression that finds the part, which is its first group, or all of it when it has
            none. None takes the member as it is.

    Raises:
        ConfigurationError: ``pattern`` is no regular expression.
    """

    path: str
    pattern: str | None = None

    def __post_init__(self) -> None:
        if type(self.path) is not str or not self.path:
            raise ConfigurationError(f"path: {self.path!r} is not a member such as 'key'")
        try:
            re.compile(self.pattern or "")
        except (re.error, TypeError) as error:
            raise ConfigurationError(
                f"pattern: {self.pattern!r} is not a regular expression: {error}"
            ) from error

    def of(self, event: ObjectEvent) -> str | None:
        """Return the text; None where the event has none."""
        value: Any = event.serialize()
        path = self.path
        while path:
            name, _, path = path.partition(".")
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is None or isinstance(value, (Mapping, list)):
            return None
        return str(value) if self.pattern is None else _found(self.pattern, str(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class ByField:
    """Order by fields of your own, for senders that number or date what they send: devices, exports, feeds.

    An event that lacks one of the two, or whose position is no number or time, has no place.

    Args:
        subject: What is compared with what: the id of a device, say.
        position: Which of the subject's events is later.
        kind: What ``position`` is: ``"number"`` (a whole number from 0), ``"time"`` (ISO-8601; UTC where it
            names no zone) or ``"text"`` (by code point).

    Raises:
        ConfigurationError: ``kind`` is none of these.
    """

    subject: Field
    position: Field
    kind: Literal["number", "time", "text"] = "number"

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ConfigurationError(f"kind: {self.kind!r} is not one of {', '.join(_KINDS)}")

    def __call__(self, event: ObjectEvent) -> Place | None:
        """Return the event's place among those of its subject in its bucket."""
        subject, text = self.subject.of(event), self.position.of(event)
        position = None if text is None else _position(self.kind, text)
        if subject is None or position is None:
            return None
        return Place(f"{object_id(event.bucket, subject)}/{self.kind}", position)


@dataclass(frozen=True, slots=True)
class Collapsed:
    """Of some events, those that are the newest of their lane, and those that are not."""

    kept: tuple[ObjectEvent, ...]
    #: Each with the newer event that stands for it.
    stale: tuple[tuple[ObjectEvent, ObjectEvent], ...]


def collapse(events: Iterable[ObjectEvent], place: Placing = by_sequencer) -> Collapsed:
    """Keep the newest event of each lane, in the order given, and every event without a place.

    A create that is followed by a delete is gone, and so is a delete that is followed by a create. Events
    that share the newest position (copies of one event) are all kept: telling copies apart is not a matter
    of order.
    """
    placed = [(event, place(event)) for event in events]
    newest: dict[str, tuple[ObjectEvent, Place]] = {}
    for event, where in placed:
        if where is not None:
            best = newest.get(where.lane)
            if best is None or compare(where, best[1]) is Order.LATER:
                newest[where.lane] = (event, where)
    kept: list[ObjectEvent] = []
    stale: list[tuple[ObjectEvent, ObjectEvent]] = []
    for event, where in placed:
        if where is None or compare(where, newest[where.lane][1]) is Order.SAME:
            kept.append(event)
        else:
            stale.append((event, newest[where.lane][0]))
    return Collapsed(tuple(kept), tuple(stale))


def in_order(items: Sequence[_T], place: Callable[[_T], Place | None]) -> list[_T]:
    """Put the items of each lane in order, on the seats that the lane has; all others keep theirs."""
    lanes: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for seat, item in enumerate(items):
        where = place(item)
        if where is not None:
            lanes[where.lane].append((where.position, seat))
    seated = list(items)
    for lane in lanes.values():
        for (_, taken_from), (_, seat) in zip(sorted(lane), lane, strict=True):
            seated[seat] = items[taken_from]
    return seated


def _speaks_of_the_key(event: ObjectEvent) -> bool:
    if event.is_created or event.is_delete_marker:
        return not event.is_expired
    return event.is_removed and not event.is_expired and not event.version_id


def _found(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    if match is None:
        return None
    return match.group(1) if match.re.groups else match.group()


def _position(kind: str, text: str) -> str | None:
    if kind == "text":
        return text.encode("utf-8", "surrogatepass").hex().upper()
    number = _microseconds(text) if kind == "time" else _number(text)
    if number is None or number < 0:
        return None
    digits = str(number)
    return digits.zfill(_DIGITS) if len(digits) <= _DIGITS else None


def _number(text: str) -> int | None:
    text = text.strip()
    # Python reads digits of every script, and refuses some thousand of them.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def _microseconds(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] == "Z" else text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        since = moment - _EPOCH
    except (ValueError, OverflowError):
        return None
    return (since.days * 86_400 + since.seconds) * _MICROSECONDS + since.microseconds
