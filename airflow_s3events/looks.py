"""A look: the questions that it asks S3, the answers that it is sent, and what it has seen in the end.

A look is a conversation, so it knows nothing of clients, loops or time::

    look = Keys((Location("landing", "a.csv"),)).look()
    question = next(look)                  # Head(Location("landing", "a.csv"))
    look.send(None)                        # there is no such object: StopIteration, its value a ``Seen``
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError

#: Before a bucket, in a full URL.
SCHEME = "s3://"
#: The bucket says that an object came, not by which request: S3's own word for any of them.
_EVENT_TYPE = "ObjectCreated:*"


class Location(NamedTuple):
    """Where an object is."""

    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """``s3://bucket/key``, the key as it is."""
        return f"{SCHEME}{self.bucket}/{self.key}"

    @staticmethod
    def parse(text: str) -> Location:
        """Return the object of an ``s3://`` URL, the key as it stands there.

        Raises:
            ConfigurationError: It is none.
        """
        bucket, _, key = text.removeprefix(SCHEME).partition("/")
        if not text.startswith(SCHEME) or not bucket or not key:
            raise ConfigurationError(f"{text!r}: give s3://bucket/key")
        return Location(bucket, key)


@dataclass(frozen=True, slots=True)
class Head:
    """Is this object there? Answered by its ``ObjectEvent``, or None."""

    location: Location


@dataclass(frozen=True, slots=True)
class Content:
    """What is in this object? Answered by its ``ObjectEvent`` and its bytes, or None."""

    location: Location


@dataclass(frozen=True, slots=True)
class Page:
    """Which objects are under this prefix, in order of their keys? Answered by a ``Listed``."""

    bucket: str
    prefix: str
    #: ``next`` of the page before; None for the first.
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a listing."""

    events: tuple[ObjectEvent, ...]
    #: What the next page is asked with; None after the last one.
    next: str | None = None


Question: TypeAlias = Head | Content | Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look found out."""

    #: The objects, once all have come; none before.
    events: tuple[ObjectEvent, ...] = ()
    #: What is still missing, in words; empty once all have come.
    missing: str = ""
    #: The object that was found to be missing: the next look asks for it first, which is often enough.
    absent: Location | None = None

    @property
    def has_arrived(self) -> bool:
        """Everything that is waited for has come."""
        return not self.missing


Look: TypeAlias = Generator[Question, Any, Seen]


def proceed(look: Look, answer: Any) -> Question | Seen:
    """Send a look the answer to its question (None to begin); return its next one, or what it has seen."""
    try:
        return look.send(answer)
    except StopIteration as end:
        seen: Seen = end.value
        return seen


#: Envelope of what a listing of a bucket shows.
LISTED = "s3-listing"


def object_event(
    location: Location,
    *,
    size: int | None,
    etag: str | None,
    modified: datetime | None,
    version_id: str | None = None,
    envelope: str,
) -> ObjectEvent:
    """Return what S3 says of an object as the event of its creation.

    Of type ``ObjectCreated:*``, since S3 does not say which request made it, and without what only a
    notification knows (sequencer, principal, request id).
    """
    return ObjectEvent(
        event_name=_EVENT_TYPE,
        event_type=_EVENT_TYPE,
        bucket=location.bucket,
        key=location.key,
        envelope=envelope,
        event_time=modified,
        size=size,
        # S3 quotes it here and not in notifications.
        etag=None if etag is None else etag.strip('"'),
        version_id=None if version_id == "null" else version_id,
    )
