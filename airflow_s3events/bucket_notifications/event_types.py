"""The event types that a bucket can notify of, and what to write instead of a typing error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from airflow_s3events.exceptions import ConfigurationError

EVENT_TYPES = (
    "s3:IntelligentTiering",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:LifecycleTransition",
    "s3:ObjectAcl:Put",
    "s3:ObjectAnnotation:*",
    "s3:ObjectAnnotation:Delete",
    "s3:ObjectAnnotation:Put",
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Put",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:ObjectRestore:Post",
    "s3:ObjectRetention:Put",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Delete",
    "s3:ObjectTagging:Put",
    "s3:ReducedRedundancyLostObject",
    "s3:Replication:*",
    "s3:Replication:OperationFailedReplication",
    "s3:Replication:OperationMissedThreshold",
    "s3:Replication:OperationNotTracked",
    "s3:Replication:OperationReplicatedAfterThreshold",
)
"""Every type that ``PutBucketNotificationConfiguration`` takes; botocore's list, which a test compares
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_QueueConfiguration.html).
"""
_BY_FOLDED_NAME = {name.lower(): name for name in EVENT_TYPES}


def check_event_types(types: Iterable[str], *, setting: str = "events") -> tuple[str, ...]:
    """Return the event types in S3's spelling, sorted, without those that another one covers.

    ``ObjectCreated:*`` is taken for ``s3:ObjectCreated:*``, and so is the family's name alone.

    Raises:
        ConfigurationError: One of them is none, or there is none at all; says what is near.
    """
    if isinstance(types, str):
        raise ConfigurationError(f"{setting}: {types!r} is one text; give a list of event types")
    found = {_checked(name, setting) for name in types}
    if not found:
        raise ConfigurationError(f"{setting}: give at least one event type, such as 's3:ObjectCreated:*'")
    return tuple(sorted(name for name in found if not any(_covers(other, name) for other in found)))


def members_of(event_type: str) -> frozenset[str]:
    """Return the types that ``event_type`` stands for: of ``s3:ObjectCreated:*`` its family, else itself.

    A type that this version does not know stands for itself, since S3 had it configured.
    """
    if not event_type.endswith(":*"):
        return frozenset({event_type})
    family = event_type.removesuffix("*")
    return frozenset(name for name in EVENT_TYPES if name.startswith(family)) | {event_type}


def _covers(family: str, name: str) -> bool:
    return family != name and name in members_of(family)


def _checked(name: object, setting: str) -> str:
    text = str(name)
    wanted = text if text.startswith("s3:") else f"s3:{text}"
    for spelling in (wanted, f"{wanted}:*"):
        if spelling in EVENT_TYPES:
            return spelling
    raise ConfigurationError(f"{setting}: {text!r} is no event type{_suggestion(wanted)}")


def _suggestion(wanted: str) -> str:
    if wanted in {"s3:*", "s3:TestEvent"}:
        return "; S3 has none for everything: name families, 's3:ObjectCreated:*'"
    near = difflib.get_close_matches(wanted.lower(), _BY_FOLDED_NAME, n=1, cutoff=0.6)
    return (
        f"; did you mean {_BY_FOLDED_NAME[near[0]]!r}?" if near else f"; known are {', '.join(EVENT_TYPES)}"
    )
