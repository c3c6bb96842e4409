"""Acting on the object of an event: what may be done, where its copy goes, and what came of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.identity import event_id

#: What S3 allows (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html).
MOST_TAGS = 10
_LONGEST_TAG_KEY = 128
_LONGEST_TAG_VALUE = 256
#: Bytes of a key.
_LONGEST_KEY = 1_024

#: ``merged``, ``quarantined``: done. ``unchanged``: the tags were there. All others are refusals: ``gone``,
#: the object, or that version of it, is not there; ``changed``, another upload has taken the key;
#: ``too_many_tags``, with those that it has; ``in_quarantine``, the event is of a copy in the quarantine.
Outcome: TypeAlias = Literal[
    "merged", "quarantined", "unchanged", "gone", "changed", "too_many_tags", "in_quarantine"
]
_DONE = ("merged", "quarantined", "unchanged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """What came of one event.

    Attributes:
        outcome: See ``Outcome``.
        bucket, key, version_id: Of the object.
        tags: That it has now, where they were merged or were there.
        to_bucket, to_key, to_version_id: Of the copy, where there is one.
        size: Bytes that were copied.
    """

    outcome: Outcome
    bucket: str
    key: str
    version_id: str | None = None
    tags: Mapping[str, str] | None = None
    to_bucket: str | None = None
    to_key: str | None = None
    to_version_id: str | None = None
    size: int | None = None

    @property
    def is_refused(self) -> bool:
        """Nothing was done to the object, and it is not as it was wanted."""
        return self.outcome not in _DONE

    def serialize(self) -> dict[str, Any]:
        """Return plain data, without what does not apply."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def acted(event: ObjectEvent, outcome: Outcome, **more: Any) -> Acted:
    """Return what came of ``event``."""
    return Acted(
        **{"bucket": event.bucket, "key": event.key, "version_id": event.version_id, **more}, outcome=outcome
    )


def check_tags(tags: Any) -> dict[str, str]:
    """Return the tags of a setting.

    Raises:
        ConfigurationError: S3 would not take them; names the setting.
    """
    if not isinstance(tags, Mapping) or not tags:
        raise ConfigurationError(f"tags={tags!r}: give a mapping of names to texts, at least one")
    if len(tags) > MOST_TAGS:
        raise ConfigurationError(f"tags: {len(tags)} of them, and an object has {MOST_TAGS} at most")
    for name, value in tags.items():
        if not isinstance(name, str) or not 1 <= len(name) <= _LONGEST_TAG_KEY or name.startswith("aws:"):
            raise ConfigurationError(
                f"tags: {name!r} is not text of 1 to {_LONGEST_TAG_KEY} characters that begins otherwise than"
                " with aws:"
            )
        if not isinstance(value, str) or len(value) > _LONGEST_TAG_VALUE:
            raise ConfigurationError(
                f"tags: {name}={value!r} is not text of {_LONGEST_TAG_VALUE} characters at most"
            )
    return dict(tags)


def check_quarantine(bucket: Any, prefix: Any) -> None:
    """Look at where copies go.

    Raises:
        ConfigurationError: Nothing can be put there; names the setting.
    """
    if not isinstance(bucket, str) or not bucket or "/" in bucket:
        raise ConfigurationError(f"quarantine_bucket={bucket!r}: give the name of a bucket, without s3://")
    if not isinstance(prefix, str) or len(prefix.encode()) > _LONGEST_KEY // 2:
        raise ConfigurationError(
            f"quarantine_prefix={prefix!r}: give text of {_LONGEST_KEY // 2} bytes at most"
        )


def is_in_quarantine(event: ObjectEvent, bucket: str, prefix: str) -> bool:
    """Return whether the event is of a copy: to quarantine that again would never end.

    Raises:
        ConfigurationError: The quarantine is the event's whole bucket.
    """
    if event.bucket != bucket:
        return False
    if not prefix:
        raise ConfigurationError(
            f"quarantine_prefix: the quarantine is bucket {bucket!r} itself; give a prefix, or another bucket"
        )
    return event.key.startswith(prefix)


def quarantine_key(event: ObjectEvent, prefix: str) -> str:
    """Return where the copy of the event's object goes: ``prefix``, bucket, event id, key.

    The same for the same event each time, and for no other; of a key too long for all that, the end is kept.
    """
    head = f"{prefix}{event.bucket}/{event_id(event)}/"
    room = _LONGEST_KEY - len(head.encode())
    return head + event.key.encode()[-room:].decode(errors="ignore")
