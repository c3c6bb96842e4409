"""From the body of an SQS message to object events, whatever is wrapped around them.

An envelope is recognised by its structure, never by a subject line; ``docs/reference/bodies.md`` lists them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from airflow_s3events.events import EVENT_MEMBER, ObjectEvent
from airflow_s3events.exceptions import BodyError
from airflow_s3events.records import read_eventbridge, read_record

Kind = Literal["events", "test", "none"]


@dataclass(frozen=True)
class BadRecord:
    """A record that names no object, among others that do."""

    #: Its place in ``Records``, from 0.
    index: int
    reason: str


class Parsed(NamedTuple):
    """What one body says."""

    events: tuple[ObjectEvent, ...]
    #: Records that cannot be read, beside ``events`` that can; a body with bad ones only is a ``BodyError``.
    bad: tuple[BadRecord, ...]
    #: ``events``, ``test`` (``s3:TestEvent``, sent when notifications are set up) or ``none`` (no records).
    kind: Kind
    #: Nesting, outermost first: ``sns-wrapped>s3-records``.
    envelope: str


def parse_body(body: str | bytes, *, message_id: str | None = None) -> Parsed:
    """Read the body of one SQS message.

    Unknown members, minor versions and event types are accepted, as AWS asks
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html).

    :param body: the text of the message; bytes should be UTF-8.
    :param message_id: SQS's id of the message, for ``delivery_id``; without one the SHA-256 of the body.
    :raises BodyError: the body is not an S3 event, or no record of it names an object; the text says why.
    """
    try:
        text = body.decode() if isinstance(body, bytes) else body
        if message_id is None or not text.isascii():
            # Text that UTF-8 cannot hold would fail later, when Airflow stores it.
            data = text.encode()
            message_id = message_id or sha256(data).hexdigest()
    except UnicodeError as error:
        raise BodyError(f"the body is not UTF-8: {error}") from None
    return _read(_load(text), message_id, "")


# --- text to JSON -------------------------------------------------------------------------------------------

_MOST_ENVELOPES = 5
_BLANK = "\ufeff \t\r\n"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# A member that is there twice counts as its last, as elsewhere; to look for such costs a third of reading.
_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _load(text: str) -> Any:
    text = text.strip(_BLANK)
    try:
        document, end = _DECODER.raw_decode(text)
        if "\\" in text and "\\u" in text:
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        raise BodyError("the body is nested too deep") from None
    except UnicodeEncodeError:
        raise BodyError("the body has half of a surrogate pair, which is not text") from None
    except ValueError as error:
        raise BodyError(f"the body is not JSON: {error}") from error
    if end != len(text):
        raise BodyError(f"the body is not JSON: more text follows at character {end}")
    return document


# --- envelopes ----------------------------------------------------------------------------------------------


def _read(document: Any, message_id: str, outside: str) -> Parsed:
    if type(document) is not dict:
        raise BodyError(f"not an S3 event: JSON {type(document).__name__}, not an object")
    if "Records" in document:
        return _read_records(document["Records"], message_id, outside)
    if document.get("source") == "aws.s3":
        event = read_eventbridge(document, f"{message_id}#0", outside)
        return Parsed((event,), (), "events", event.envelope)
    if document.get("Event") == "s3:TestEvent":
        return Parsed((), (), "test", f"{outside}test-event")
    if EVENT_MEMBER in document:
        # Ours: what a run's conf holds, sent once more. It keeps every member that it is named by.
        event = ObjectEvent.deserialize(document[EVENT_MEMBER])
        return Parsed((event,), (), "events", event.envelope)
    return _read_inside(document, message_id, outside)


def _read_inside(document: dict[str, Any], message_id: str, outside: str) -> Parsed:
    """Take off one envelope: SNS, StorageGRID's SNS request, Lambda's destination record."""
    if outside.count(">") >= _MOST_ENVELOPES:
        raise BodyError(f"not an S3 event: more than {_MOST_ENVELOPES} envelopes, {outside}")
    message = document.get("Message")
    if document.get("Type") in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        raise BodyError(f"not an S3 event: an SNS {document['Type']}; its URL is not followed")
    if type(message) is str and "TopicArn" in document:
        try:
            return _read(_load(message), message_id, f"{outside}sns-wrapped>")
        except BodyError as error:
            raise BodyError(f"in the SNS message: {error}") from error
    if type(message) is dict and document.get("Action") == "Publish":
        return _read(message, message_id, f"{outside}sns-publish>")
    if "requestPayload" in document:
        return _read(document["requestPayload"], message_id, f"{outside}lambda-destination>")
    names = ", ".join(ascii(name[:40]) for name in sorted(document)[:5])
    raise BodyError(f"not an S3 event: a JSON object with {names or 'no members'}")


def _read_records(records: Any, message_id: str, outside: str) -> Parsed:
    if type(records) is not list:
        raise BodyError(f"not an S3 event: Records should be a list, not {type(records).__name__}")
    events: list[ObjectEvent] = []
    bad: list[BadRecord] = []
    kind: Kind = "none"
    for index, record in enumerate(records):
        try:
            events.append(read_record(record, f"{message_id}#{index}", outside))
        except BodyError as error:
            # NooBaa puts its test event inside Records.
            if type(record) is dict and record.get("Event") == "s3:TestEvent":
                kind = "test"
            else:
                bad.append(BadRecord(index, str(error)))
    if events:
        return Parsed(tuple(events), tuple(bad), "events", events[0].envelope)
    if bad:
        raise BodyError(
            "no S3 event: " + "; ".join(f"record {each.index}: {each.reason}" for each in bad[:5])
        )
    return Parsed((), (), kind, f"{outside}{'test-event' if kind == 'test' else 's3-records'}")
