"""One record of S3, of a store that speaks its language, or of EventBridge, to one object event."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import lru_cache
from operator import itemgetter
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote_to_bytes

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import BodyError

# Deeper nesting than any event has would break whoever serialises the event later.
_DEEPEST = 16
# What a database column and every reader of JSON holds; S3's largest object has 48 TiB.
_LARGEST = (1 << 63) - 1
_LARGEST_DIGITS = 18

# --- one record of S3, or of a store that speaks its language -----------------------------------------------

#: ``eventSource`` of stores that form-encode keys as S3 does. The others (Ceph, Scality, NooBaa, whose source
#: begins with the name of the system) send keys as they are.
FORM_ENCODING_SOURCES = frozenset({"aws:s3", "minio:s3", "rustfs:s3", "sgws:s3", "storj:s3"})

#: CloudTrail's names, which an input transformer of EventBridge leaves in the record that it makes of
#: CloudTrail's event, and S3's own. Such a record has no ``eventSource``, and CloudTrail's key, not encoded.
CLOUDTRAIL_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "PutObject": "ObjectCreated:Put",
        "CopyObject": "ObjectCreated:Copy",
        "CompleteMultipartUpload": "ObjectCreated:CompleteMultipartUpload",
        "DeleteObject": "ObjectRemoved:Delete",
    }
)

_RECORD_MEMBERS = frozenset(
    {
        *("eventVersion", "eventSource", "awsRegion", "eventTime", "eventName", "userIdentity"),
        *("requestParameters", "responseElements", "s3", "storageGridEventSource"),
    }
)
_S3_MEMBERS = frozenset({"s3SchemaVersion", "configurationId", "bucket", "object", "get_object"})
_BUCKET_MEMBERS = frozenset({"name", "ownerIdentity", "arn", "id"})
_OBJECT_MEMBERS = frozenset({"key", "size", "eTag", "etag", "versionId", "sequencer", "urlDecodedKey"})
_NEEDED = ("eventName", "s3.bucket.name", "s3.object.key")
_LAMBDA_WRAPPERS = {
    "aws:sqs": "Lambda's form of an SQS message; the S3 event is its `body`",
    "aws:sns": "Lambda's form of an SNS message; the S3 event is its `Sns.Message`",
}


def read_record(record: Any, delivery_id: str, outside: str) -> ObjectEvent:
    """Read one member of ``Records``; ``outside`` is what the envelopes around it are called.

    :raises BodyError: it names no object, or is not of S3 or a store like it.
    """
    try:
        get, s3 = record.get, record["s3"]
        bucket = s3["bucket"]
        # AWS's sample of an Intelligent-Tiering event says `get_object`.
        thing = s3.get("object") or s3["get_object"]
        owner, key, name, of_thing = bucket["name"], thing["key"], record["eventName"], thing.get
    except (AttributeError, KeyError, TypeError):
        raise BodyError(_what_is_missing(record)) from None
    named = get("eventSource") or get("storageGridEventSource")
    source = _given("eventSource", named or "aws:s3")
    name = _given("eventName", _given("eventName", name).removeprefix("s3:"))
    is_reshaped = named is None and name in CLOUDTRAIL_TYPES
    user, request, response = get("userIdentity"), get("requestParameters"), get("responseElements")
    members = {
        "event_name": name,
        "event_type": CLOUDTRAIL_TYPES[name] if is_reshaped else name,
        "bucket": owner,
        "key": _key(key, encoded=source in FORM_ENCODING_SOURCES and not is_reshaped),
        "envelope": outside + _dialect(source, get("eventVersion")),
        "event_time": get("eventTime"),
        "region": get("awsRegion") or None,
        "version_id": of_thing("versionId") or None,
        "sequencer": of_thing("sequencer"),
        "size": of_thing("size"),
        "etag": of_thing("eTag", of_thing("etag")),
        "request_id": response.get("x-amz-request-id") if type(response) is dict else None,
        "principal_id": user.get("principalId") if type(user) is dict else None,
        "source_ip": request.get("sourceIPAddress") if type(request) is dict else None,
        "configuration_id": s3.get("configurationId"),
        "delivery_id": delivery_id,
        "extra": _NOTHING,
    }
    if not (
        source == "aws:s3"
        and _RECORD_MEMBERS.issuperset(record)
        and _OBJECT_MEMBERS.issuperset(thing)
        and _S3_MEMBERS.issuperset(s3)
        and _BUCKET_MEMBERS.issuperset(bucket)
    ):
        members["extra"] = _record_extra(record, s3, bucket, thing, source)
    return _event(members)


def _dialect(source: Any, version: Any) -> str:
    if source == "aws:s3":
        if type(version) is not str or version[:2] != "2.":
            _refuse_other_major("eventVersion", version, "2")
        return "s3-records"
    if type(source) is not str or not source.endswith(":s3"):
        raise BodyError(f"eventSource {ascii(source)[:60]} is not S3")
    _refuse_other_major("eventVersion", version, "12")
    return "s3-compatible" if source in FORM_ENCODING_SOURCES else "s3-compatible-raw"


def _what_is_missing(record: Any) -> str:
    if type(record) is not dict:
        return f"JSON {type(record).__name__}, not an object"
    source = record.get("eventSource") or record.get("EventSource")
    if type(source) is str and not source.endswith(":s3"):
        return _LAMBDA_WRAPPERS.get(source) or f"eventSource {ascii(source)[:60]} is not S3"
    return "no " + next((path for path in _NEEDED if _at(record, path) is None), "object")


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value.get(step) if type(value) is dict else None
    return value


def _record_extra(
    record: dict[str, Any], s3: dict[str, Any], bucket: dict[str, Any], thing: dict[str, Any], source: str
) -> Mapping[str, Any]:
    extra = {} if source == "aws:s3" else {"event_source": source}
    levels = (bucket, _BUCKET_MEMBERS), (thing, _OBJECT_MEMBERS), (s3, _S3_MEMBERS), (record, _RECORD_MEMBERS)
    for members, known in levels:
        extra |= _unknown(members, known)
    return MappingProxyType(extra)


# --- one event of EventBridge -------------------------------------------------------------------------------

_DETAIL_MEMBERS = frozenset(
    {"version", "event-version", "bucket", "object", "request-id", "requester", "source-ip-address"}
)
_DETAIL_OBJECT_MEMBERS = frozenset({"key", "size", "etag", "eTag", "version-id", "sequencer"})

#: detail-type, reason and deletion-type to S3's own event type
#: (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-mapping-troubleshooting.html).
EVENTBRIDGE_TYPES: Mapping[tuple[str, Any, Any], str] = MappingProxyType(
    {
        ("Object Created", "PutObject", None): "ObjectCreated:Put",
        ("Object Created", "POST Object", None): "ObjectCreated:Post",
        ("Object Created", "CopyObject", None): "ObjectCreated:Copy",
        ("Object Created", "CompleteMultipartUpload", None): "ObjectCreated:CompleteMultipartUpload",
        ("Object Deleted", "DeleteObject", "Permanently Deleted"): "ObjectRemoved:Delete",
        ("Object Deleted", "DeleteObject", "Delete Marker Created"): "ObjectRemoved:DeleteMarkerCreated",
        ("Object Deleted", "Lifecycle Expiration", "Permanently Deleted"): "LifecycleExpiration:Delete",
        (
            "Object Deleted",
            "Lifecycle Expiration",
            "Delete Marker Created",
        ): "LifecycleExpiration:DeleteMarkerCreated",
    }
)
#: Where reason and deletion-type say nothing more. ``Other`` keeps an unknown way to make or remove an object
#: (moto sends none that AWS knows) inside ``ObjectCreated:*`` and ``ObjectRemoved:*``.
EVENTBRIDGE_FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "Object Created": "ObjectCreated:Other",
        "Object Deleted": "ObjectRemoved:Other",
        "Object Restore Initiated": "ObjectRestore:Post",
        "Object Restore Completed": "ObjectRestore:Completed",
        "Object Restore Expired": "ObjectRestore:Delete",
        "Object Storage Class Changed": "LifecycleTransition",
        "Object Access Tier Changed": "IntelligentTiering",
        "Object ACL Updated": "ObjectAcl:Put",
        "Object Tags Added": "ObjectTagging:Put",
        "Object Tags Deleted": "ObjectTagging:Delete",
        "Object Annotation Created": "ObjectAnnotation:Put",
        "Object Annotation Removed": "ObjectAnnotation:Delete",
    }
)


def read_eventbridge(document: dict[str, Any], delivery_id: str, outside: str) -> ObjectEvent:
    """Read one EventBridge event whose source is ``aws.s3``.

    :raises BodyError: it is of something else, or names no object.
    """
    name = document.get("detail-type")
    # A rule on the source alone also brings "AWS API Call via CloudTrail".
    if type(name) is not str or not name.startswith("Object "):
        raise BodyError(f"not an S3 event: EventBridge's detail-type is {ascii(name)[:60]}")
    try:
        detail = document["detail"]
        bucket, thing = detail["bucket"], detail["object"]
        owner, key = bucket["name"], thing["key"]
    except (KeyError, TypeError):
        raise BodyError("EventBridge event without detail.bucket.name or detail.object.key") from None
    get, of_thing = detail.get, thing.get
    version = get("event-version", "1.0")
    if get("version") != "0" or type(version) is not str or version[:2] != "1.":
        _refuse_other_major("detail.version", get("version"), "0")
        _refuse_other_major("event-version", get("event-version"), "1")
    members = {
        "event_name": name,
        "event_type": _s3_type(name, get("reason"), get("deletion-type")),
        "bucket": owner,
        "key": _key(key, encoded=False),
        "envelope": outside + "eventbridge",
        "event_time": document.get("time"),
        "region": document.get("region") or None,
        "version_id": of_thing("version-id") or None,
        "sequencer": of_thing("sequencer"),
        "size": of_thing("size"),
        # moto says eTag.
        "etag": of_thing("etag", of_thing("eTag")),
        "request_id": get("request-id"),
        "principal_id": get("requester"),
        "source_ip": get("source-ip-address"),
        "configuration_id": None,
        "delivery_id": delivery_id,
        "extra": _detail_extra(document, detail, bucket, thing),
    }
    return _event(members)


def _s3_type(name: str, reason: Any, deletion_type: Any) -> str:
    try:
        return EVENTBRIDGE_TYPES[name, reason, deletion_type]
    except (KeyError, TypeError):
        return EVENTBRIDGE_FAMILIES.get(name, name)


def _detail_extra(
    document: dict[str, Any], detail: dict[str, Any], bucket: dict[str, Any], thing: dict[str, Any]
) -> Mapping[str, Any]:
    extra = _unknown(detail, _DETAIL_MEMBERS)
    if not _BUCKET_MEMBERS.issuperset(bucket):
        extra |= _unknown(bucket, _BUCKET_MEMBERS)
    if not _DETAIL_OBJECT_MEMBERS.issuperset(thing):
        extra |= _unknown(thing, _DETAIL_OBJECT_MEMBERS)
    if "replay-name" in document:
        extra["replay_name"] = _shallow(document["replay-name"])
    return MappingProxyType(extra)


# --- members ------------------------------------------------------------------------------------------------

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_KEY_BYTES = 1024
# Python 3.10 reads no Z.
_ZULU_IS_KNOWN = sys.version_info >= (3, 11)
#: Of the object; and beside it, where something else than text does not cost the event.
_TEXTS = ("version_id", "sequencer", "etag", "bucket")
_SIDE_TEXTS = ("region", "request_id", "principal_id", "source_ip", "configuration_id")
_texts_of = itemgetter(*_TEXTS, *_SIDE_TEXTS)
_TEXT_TYPES = frozenset({str, type(None)})


def _event(members: dict[str, Any]) -> ObjectEvent:
    """Check and convert what was sent; what is not of the object and is odd does not cost the event."""
    if not (members["bucket"] and _TEXT_TYPES.issuperset(map(type, _texts_of(members)))):
        _check_texts(members)
    moment, size = members["event_time"], members["size"]
    if moment is not None:
        members["event_time"] = _time(moment)
        if members["event_time"] is None:
            _keep_unread(members, "event_time", moment)
    if size is not None and not (type(size) is int and 0 <= size <= _LARGEST):
        members["size"] = _digits(size)
        if members["size"] is None:
            is_long = type(size) is int and abs(size) > _LARGEST
            # As text, since no database has numbers of any length.
            _keep_unread(members, "size", str(size) if is_long else size)
    return ObjectEvent.from_checked(members)


def _check_texts(members: dict[str, Any]) -> None:
    _given("bucket name", members["bucket"])
    for name in _TEXTS:
        if type(members[name]) not in _TEXT_TYPES:
            raise BodyError(f"{name} should be text, not {type(members[name]).__name__}")
    for name in _SIDE_TEXTS:
        if type(sent := members[name]) not in _TEXT_TYPES:
            members[name] = None
            _keep_unread(members, name, sent)


def _keep_unread(members: dict[str, Any], name: str, sent: Any) -> None:
    members["extra"] = MappingProxyType({**members["extra"], name: _shallow(sent)})


def _given(what: str, value: Any) -> str:
    if type(value) is str and value:
        return value
    raise BodyError(f"{what} should be text, not {ascii(value)[:60]}")


def _key(key: Any, *, encoded: bool) -> str:
    text = _given("key", key)
    if encoded:
        text = text.replace("+", " ")
        if "%" in text:
            try:
                text = unquote_to_bytes(text).decode()
            except UnicodeDecodeError:
                raise BodyError("key is not UTF-8 once decoded") from None
    length = len(text) if text.isascii() else len(text.encode())
    if length > _KEY_BYTES:
        raise BodyError(f"key has {length:,} bytes; S3 allows {_KEY_BYTES:,}")
    return text


def _digits(size: Any) -> int | None:
    """Scality and NooBaa send the size as text."""
    if type(size) is str and size.isascii() and size.isdigit() and len(size) <= _LARGEST_DIGITS:
        return int(size)
    return None


def _time(moment: Any) -> datetime | None:
    try:
        value = datetime.fromisoformat(
            moment if _ZULU_IS_KNOWN or moment[-1:] != "Z" else moment[:-1] + "+00:00"
        )
        return value if value.tzinfo is timezone.utc else _in_utc(value)
    except (TypeError, ValueError, OverflowError):
        return _odd_time(moment) if type(moment) is str else None


def _odd_time(moment: str) -> datetime | None:
    """Python 3.10 reads fractions of three or six digits only."""
    seconds, _, rest = moment.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    zone = rest[digits:].replace("Z", "+00:00")
    try:
        return _in_utc(datetime.fromisoformat(f"{seconds}.{rest[:digits][:6]:0<6}{zone}"))
    except (ValueError, OverflowError):
        return None


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _refuse_other_major(name: str, version: Any, majors: str) -> None:
    """Within a major version S3 only adds members; in another one they may mean something else."""
    if type(version) is str and version[:1] in majors and version[1:2] in (".", ""):
        return
    if version is not None:
        known = " or ".join(majors)
        raise BodyError(f"{name} {ascii(version)[:20]} is another major version; this release reads {known}")


def _unknown(members: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return {
        _snake_case(name): value if type(value) is str else _shallow(value)
        for name, value in members.items()
        if name not in known
    }


@lru_cache(maxsize=256)
def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).replace("-", "_")


def _shallow(value: Any, depth: int = _DEEPEST) -> Any:
    """Return ``value``; refuse what could not be stored later: deep nesting, numbers beyond 64 bits."""
    if depth == 0:
        raise BodyError("the body is nested too deep")
    if type(value) in (int, float) and not -_LARGEST <= value <= _LARGEST:
        raise BodyError("a number is too long")
    for inner in value.values() if type(value) is dict else value if type(value) is list else ():
        _shallow(inner, depth - 1)
    return value
