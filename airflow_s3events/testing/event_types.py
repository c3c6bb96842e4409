"""One builder for every event type that S3 sends, with the members that S3 gives it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_s3events.bucket_notifications.event_types import EVENT_TYPES
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.records import EVENTBRIDGE_FAMILIES, EVENTBRIDGE_TYPES
from airflow_s3events.testing.bodies import eventbridge_created_body, object_record, records_body

#: ETag of nothing, which S3 gives a delete marker.
_EMPTY_ETAG = "d41d8cd98f00b204e9800998ecf8427e"
_LATER = "2027-01-17T00:00:00.000Z"
#: Members of ``object`` that S3 leaves out, by family
#: (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html).
_LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "ObjectRemoved": ("size", "eTag"),
    "LifecycleExpiration": ("size", "eTag"),
    "ObjectTagging": ("size", "sequencer"),
    "ObjectAcl": ("size", "sequencer"),
    "LifecycleTransition": ("sequencer",),
    "IntelligentTiering": ("sequencer",),
}
#: What stands beside ``s3`` in the record, by type or family.
_BLOCKS: Mapping[str, Mapping[str, Any]] = {
    "ObjectRestore:Completed": {
        "glacierEventData": {
            "restoreEventData": {
                "lifecycleRestorationExpiryTime": _LATER,
                "lifecycleRestoreStorageClass": "GLACIER",
            }
        }
    },
    "Replication": {
        "replicationEventData": {
            "replicationRuleId": "copy",
            "destinationBucket": "arn:aws:s3:::copy",
            "s3Operation": "OBJECT_PUT",
            "requestTime": "2027-01-15T08:00:00.000Z",
        }
    },
    "LifecycleTransition": {
        "lifecycleEventData": {"transitionEventData": {"destinationStorageClass": "GLACIER"}}
    },
    "IntelligentTiering": {"intelligentTieringEventData": {"destinationAccessTier": "ARCHIVE_ACCESS"}},
    "ObjectRetention": {
        "objectRetentionEventData": {"mode": "COMPLIANCE", "retainUntilDate": "2028-01-15T08:00:00.000Z"}
    },
}
_BY_EVENTBRIDGE = {
    **{s3_type: (name, None, None) for name, s3_type in EVENTBRIDGE_FAMILIES.items()},
    **{s3_type: names for names, s3_type in EVENTBRIDGE_TYPES.items()},
}


def event_record(event_type: str, bucket: str, key: str, **record: Any) -> dict[str, Any]:
    """Return one record of the event type, with the members that S3 gives it and without those it has not.

    Args:
        event_type: One of S3's types, with or without ``s3:``: ``ObjectRestore:Completed``.
        bucket: Bucket name.
        key: Decoded; the record has it form-encoded, as S3 writes it.
        **record: As for ``object_record``.

    Raises:
        ConfigurationError: S3 has no such type, or it stands for several.
    """
    name = _checked(event_type)
    family = name.partition(":")[0]
    built = object_record(bucket, key, event_name=name, **record)
    thing = built["s3"]["object"]
    for member in _LEFT_OUT.get(family, ()):
        thing.pop(member, None)
    if name.endswith(":DeleteMarkerCreated"):
        thing |= {
            "eTag": _EMPTY_ETAG,
            "versionId": thing.get("versionId", "096fKKXTRTtl3on89fVO.nfljtsv6qko"),
        }
    return {**built, **_BLOCKS.get(name, _BLOCKS.get(family, {}))}


def event_body(event_type: str, bucket: str, key: str, **record: Any) -> str:
    """Return the body of a message with one such record; arguments and errors as for ``event_record``."""
    return records_body(event_record(event_type, bucket, key, **record))


def object_event(event_type: str, bucket: str, key: str, **record: Any) -> ObjectEvent:
    """Return the event that the package reads in such a body; arguments as for ``event_record``."""
    (event,) = parse_body(event_body(event_type, bucket, key, **record)).events
    return event


def eventbridge_body(event_type: str, bucket: str, key: str, **members: Any) -> str:
    """Return the event as EventBridge sends it: under a name of its own, the key not encoded.

    Args:
        event_type: One of S3's types, with or without ``s3:``.
        bucket: Bucket name.
        key: As you would pass it to S3.
        **members: As for ``eventbridge_created_body``, except ``reason``.

    Raises:
        ConfigurationError: S3 has no such type, or does not send it to EventBridge.
    """
    name = _checked(event_type)
    if name not in _BY_EVENTBRIDGE:
        raise ConfigurationError(f"event_type: S3 does not send {name} to EventBridge")
    detail_type, reason, deletion_type = _BY_EVENTBRIDGE[name]
    document = json.loads(eventbridge_created_body(bucket, key, **members))
    document["detail-type"] = detail_type
    detail = document["detail"]
    told = {"reason": reason, "deletion-type": deletion_type}
    detail = {member: value for member, value in {**detail, **told}.items() if value is not None}
    if detail_type != "Object Created":
        detail["object"].pop("size", None)
    return json.dumps({**document, "detail": detail})


def _checked(event_type: str) -> str:
    name = event_type.removeprefix("s3:")
    if f"s3:{name}" not in EVENT_TYPES or name.endswith("*"):
        raise ConfigurationError(f"event_type: {event_type!r} is no single event type of S3")
    return name
