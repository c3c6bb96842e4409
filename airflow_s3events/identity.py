"""Same event, same name: the event id, and the run id made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from airflow_s3events.events import ObjectEvent, utc_text
from airflow_s3events.exceptions import BodyError

#: Sequencers, in upper case, that samples and emulators repeat for every upload, and where each comes from.
KNOWN_SEQUENCERS: Mapping[str, str] = MappingProxyType(
    {
        "0055AED6DCD90281E5": "AWS's sample of an S3 event; LocalStack sends it in every record",
        "0062E99A88DC407460": "LocalStack, through EventBridge",
        "0A1B2C3D4E5F678901": "AWS Lambda's test event template",
        "0C0F6F405D6ED209E1": "AWS Lambda's sample of an S3 event",
    }
)

#: Request ids that samples and emulators repeat, and where each comes from.
KNOWN_REQUEST_IDS: Mapping[str, str] = MappingProxyType(
    {
        "N4N7GDK58NMKJ12R": "AWS's EventBridge sample; moto sends it in every event",
        "C3D13FE58DE4C810": "AWS's sample of an S3 event",
        "D82B88E5F771F645": "AWS Lambda's sample of an S3 event",
        "EXAMPLE123456789": "AWS Lambda's test event template",
    }
)

#: Longest readable part of a run id, in characters.
READABLE_LENGTH = 100
#: Largest attempt number that a run id takes.
MAX_ATTEMPT = 999_999_999

# Real sequencers, 2018 to 2026, have 18 hexadecimal digits. Of 16 are those of AWS's EventBridge samples (one
# is moto's for every event), and of stores that call themselves aws:s3 and ask a clock: older MinIO, and
# Ceph, low byte first.
_SEQUENCER_LENGTH = 18
# S3 gives sequencers to creates and deletes. Where another event has one, it is that of the write it speaks
# of: two restores of one object would share it.
_SEQUENCED = ("ObjectCreated:", "ObjectRemoved:", "LifecycleExpiration:")
# A compatible store may build its sequencer from a clock, in NooBaa's case one of milliseconds.
_AWS_ENVELOPES = ("s3-records", "eventbridge")
_HEXADECIMAL = "0123456789ABCDEF"

_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._-]+")
_DOTS = re.compile(r"\.{2,}")


def event_id(event: ObjectEvent) -> str:
    """Return the identity of an event: 40 hexadecimal digits (160 bits), the same for every copy of it.

    Made of bucket, key, version, event type and what tells two such events apart: S3's sequencer where it can
    be trusted, else the request id with time, ETag and sequencer, else the delivery. A version ``null`` is
    none, as S3 leaves it out of its records. ``docs/reference/identity.md`` says what each fall-back
    costs.
    """
    return _digest([event.bucket, event.key, _version(event), event.event_type, *_distinction(event)])


def run_id(
    event: ObjectEvent,
    *,
    readable: bool = True,
    attempt: int = 0,
    identity: str = "",
    label: str | None = None,
) -> str:
    """Return the id of the DAG run that this event starts: ``s3_<readable part of the key>_<event id>``.

    At most 200 characters of ``[A-Za-z0-9_.-]`` without ``..``: Airflow's pattern allows more, but its log
    folder ``run_id=...`` has 255 bytes, and 3.3 refuses ``..``. It begins with none of Airflow's run types
    (https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/dag-run.html).

    :param label: what the readable part is made of; None: the key.
    :param readable: False leaves the key out, which can be personal data.
    :param attempt: number of a wanted repeat, from 1; 0 is the first run.
    :param identity: the event id under which a ledger knows the event, if that is not its own.
    :raises BodyError: ``attempt`` is not from 0 to 999,999,999; it comes from a message attribute.
    """
    if not 0 <= attempt <= MAX_ATTEMPT:
        raise BodyError(f"attempt should be from 0 to {MAX_ATTEMPT:,}")
    part = _readable(event.key if label is None else label) if readable else ""
    name = f"s3_{part}_" if part else "s3_"
    name += identity or event_id(event)
    return f"{name}_a{attempt}" if attempt else name


def trusted_sequencer(event: ObjectEvent) -> str | None:
    """Return the sequencer in upper case where it is S3's own and tells this event apart, else None."""
    sequencer = (event.sequencer or "").upper()
    return sequencer if _is_trusted(event, sequencer) else None


def write_id(event: ObjectEvent) -> str | None:
    """Return the name of the write that this event speaks of, as far as a listing can know it.

    A listing has neither sequencer nor request id. Of a version it knows the version id, which is exact; in a
    bucket without versions it knows ETag and size, which two writes of one content share, so whoever compares
    looks at the time as well. 40 hexadecimal digits; None for an event that wrote no object.
    """
    if not event.is_created:
        return None
    version = _version(event)
    content = [] if version else [event.etag, event.size or 0]
    return _digest([event.bucket, event.key, version, *content])


def object_id(bucket: str, key: str) -> str:
    """Return a name of one key in one bucket, 40 hexadecimal digits, for indexes with short columns."""
    return _digest([bucket, key])


def _distinction(event: ObjectEvent) -> list[str | None]:
    sequencer = (event.sequencer or "").upper()
    if _is_trusted(event, sequencer):
        return ["sequencer", sequencer]
    time = None if event.event_time is None else utc_text(event.event_time)
    if event.request_id and event.request_id not in KNOWN_REQUEST_IDS:
        return ["request", event.request_id, time, event.etag, sequencer, _replication(event)]
    if event.delivery_id:
        return ["delivery", event.delivery_id]
    return ["content", time, event.etag, sequencer, str(event.size)]


def _version(event: ObjectEvent) -> str | None:
    return None if event.version_id == "null" else event.version_id or None


def _digest(parts: list[Any]) -> str:
    # JSON keeps the parts apart, None from "null", and has a form for text that UTF-8 cannot hold.
    return sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()[:40]


def _is_trusted(event: ObjectEvent, sequencer: str) -> bool:
    return (
        len(sequencer) >= _SEQUENCER_LENGTH
        and event.event_type.startswith(_SEQUENCED)
        and event.envelope.endswith(_AWS_ENVELOPES)
        and sequencer not in KNOWN_SEQUENCERS
        and not sequencer.strip(_HEXADECIMAL)
        and sequencer.strip("0") != ""
    )


def _replication(event: ObjectEvent) -> str | None:
    """One write to two destination buckets is two events that may differ in nothing but this block."""
    block = event.extra.get("replication_event_data")
    return None if block is None else json.dumps(block, sort_keys=True)


def _readable(key: str) -> str:
    """The end of the key, which tells more than its beginning, in the characters that a run id may have."""
    text = _DOTS.sub(".", _NOT_ALLOWED.sub("-", key))
    return text.strip("-._")[-READABLE_LENGTH:].strip("-._")
