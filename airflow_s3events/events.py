"""``ObjectEvent``: one thing that happened to one object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any

from airflow_s3events.exceptions import BodyError
from airflow_s3events.facts import ObjectFacts

#: Version of the JSON form. Readers accept unknown members, so it rises only when one is removed or changes.
SCHEMA = 1
#: The member of a run's conf that holds the event: where a route writes it and ``events_of`` reads it.
EVENT_MEMBER = "s3_event"
#: Of a batch run: the members that hold its events, and what is known of the batch.
EVENTS_MEMBER = "s3_events"
BATCH_MEMBER = "s3_batch"

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_REQUIRED = ("event_name", "event_type", "bucket", "key", "envelope")
_OPTIONAL = (
    "region",
    "version_id",
    "sequencer",
    "etag",
    "request_id",
    "principal_id",
    "source_ip",
    "configuration_id",
    "delivery_id",
)
#: Members of the JSON form; the last three are put beside the event where it travels.
_KNOWN = frozenset(
    {
        *(*_REQUIRED, *_OPTIONAL, "schema", "event_time", "size", "extra", "facts"),
        *("event_id", "run_id", "acknowledge"),
    }
)


# No slots: `from_checked` fills the instance in one step, which makes reading a body a fifth faster.
@dataclass(frozen=True, kw_only=True)
class ObjectEvent:
    """One thing that happened to one object, whichever envelope told us.

    Absent members are None: AWS leaves out ``size`` on deletes and tags, ``sequencer`` on tag and ACL events,
    ``version_id`` on buckets without versions
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html).

    Args:
        event_name: As sent: ``ObjectCreated:Put`` (without ``s3:``), or EventBridge's detail-type,
            ``Object Created``.
        event_type: The same in S3's own terms, whatever the envelope: ``ObjectCreated:Put``.
        bucket: Name of the bucket.
        key: Decoded: as you would pass it to S3.
        envelope: Nesting of envelopes, outermost first: ``s3-records``, ``sns-wrapped>s3-records``,
            ``eventbridge``.
        event_time: When S3 finished the request, with a time zone: UTC wherever this package made the event.
        region: Of the bucket.
        version_id: Of the object, or of its delete marker.
        sequencer: S3's token of order; compares within one key only.
        size: Bytes.
        etag: Entity tag, as S3 sends it: without quotes, as a rule.
        request_id: Of the request to S3 that caused the event.
        principal_id: Who made that request.
        source_ip: Where it came from.
        configuration_id: The rule of the bucket's notification configuration that sent the event.
        delivery_id: SQS message id and index of the record in it, ``<id>#<n>``: the identity of last resort.
        extra: What the envelope said beyond these (restore, replication, tiering data and the like).
        facts: What S3 said of the object, where a route asked for it: tags, metadata, content type and more.
    """

    event_name: str
    event_type: str
    bucket: str
    key: str
    envelope: str
    event_time: datetime | None = None
    region: str | None = None
    version_id: str | None = None
    sequencer: str | None = None
    size: int | None = None
    etag: str | None = None
    request_id: str | None = None
    principal_id: str | None = None
    source_ip: str | None = None
    configuration_id: str | None = None
    delivery_id: str | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: _NOTHING, hash=False)
    facts: ObjectFacts | None = field(default=None, hash=False)

    @classmethod
    def from_checked(cls, members: dict[str, Any]) -> ObjectEvent:
        """Make an event of **all** its members but ``facts``, which the caller has checked and gives away.

        A frozen dataclass sets its fields one by one; this is three times as fast, for the one hot path.
        """
        event = object.__new__(cls)
        object.__setattr__(event, "__dict__", members)
        return event

    @classmethod
    def deserialize(cls, data: Mapping[str, Any]) -> ObjectEvent:
        """Read back what ``serialize`` gave, from this release or a later one of the same ``schema``.

        Unknown members are kept under ``extra``, where a member of that name is not there already; absent
        ones are None; ``schema`` may be absent or have a minor part.

        :raises BodyError: not an object, another major ``schema``, or a member that is absent or of the
            wrong type; the text names it.
        """
        if not isinstance(data, Mapping):
            raise BodyError(f"an object event is a JSON object, not {type(data).__name__}")
        if str(data.get("schema", SCHEMA)).partition(".")[0] != str(SCHEMA):
            raise BodyError(f"object event of schema {data.get('schema')!r}; this release reads {SCHEMA}")
        return cls(
            **{name: _text(data, name) for name in _REQUIRED},
            **{name: _text(data, name) for name in _OPTIONAL if data.get(name) is not None},
            event_time=_read_time(data.get("event_time")),
            size=_read_size(data.get("size")),
            extra=_read_extra(data),
            facts=None if data.get("facts") is None else ObjectFacts.deserialize(data["facts"]),
        )

    def serialize(self) -> dict[str, Any]:
        """Return the one JSON form: plain data, members in a fixed order, absent ones null.

        ``event_time`` is ISO-8601 in UTC with a ``Z``, in milliseconds, or microseconds where it has them.
        ``facts`` is there only where S3 was asked.

        :raises ValueError: ``event_time`` has no time zone.
        """
        return {
            "schema": SCHEMA,
            "envelope": self.envelope,
            "event_name": self.event_name,
            "event_type": self.event_type,
            "bucket": self.bucket,
            "key": self.key,
            "version_id": self.version_id,
            "sequencer": self.sequencer,
            "size": self.size,
            "etag": self.etag,
            "event_time": None if self.event_time is None else utc_text(self.event_time),
            "region": self.region,
            "request_id": self.request_id,
            "principal_id": self.principal_id,
            "source_ip": self.source_ip,
            "configuration_id": self.configuration_id,
            "delivery_id": self.delivery_id,
            "extra": dict(self.extra),
            **({} if self.facts is None else {"facts": self.facts.serialize()}),
        }

    @property
    def uri(self) -> str:
        """``s3://bucket/key``, the key as it is."""
        return f"s3://{self.bucket}/{self.key}"

    def is_before(self, moment: datetime | None) -> bool:
        """Whether it is known to have happened before ``moment``; None: nothing is."""
        return moment is not None and self.event_time is not None and self.event_time < moment

    @property
    def is_created(self) -> bool:
        """Put, Post, Copy or CompleteMultipartUpload; an overwrite is one of them."""
        return self.event_type.startswith("ObjectCreated:")

    @property
    def is_removed(self) -> bool:
        """An object, a version or a delete marker went, or a delete marker came; lifecycle rules included.

        It does not say that the key is gone: S3 sends the same for an old version and for a delete marker.
        """
        return self.event_type.startswith(("ObjectRemoved:", "LifecycleExpiration:"))

    @property
    def is_expired(self) -> bool:
        """A lifecycle rule removed it."""
        return self.event_type.startswith("LifecycleExpiration:")

    @property
    def is_delete_marker(self) -> bool:
        """A delete marker was made."""
        return self.event_type.endswith(":DeleteMarkerCreated")

    @property
    def is_restored(self) -> bool:
        """The copy of an archived object is there to be read."""
        return self.event_type == "ObjectRestore:Completed"

    @property
    def is_folder_marker(self) -> bool:
        """The key ends in ``/``, as the S3 console's "Create folder" makes it."""
        return self.key.endswith("/")


def utc_text(moment: datetime) -> str:
    """Return ISO-8601 in UTC: ``2026-05-04T12:00:00.123Z``, six digits where milliseconds lose some.

    :raises ValueError: ``moment`` has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("event_time needs a time zone; UTC is datetime.timezone.utc")
    moment = moment.astimezone(timezone.utc)
    precision = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.isoformat(timespec=precision)[:-6] + "Z"


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise BodyError(f"object event: {name} should be text, not {type(value).__name__}")
    return value


def _read_time(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value[:-1] + "+00:00" if value[-1:] == "Z" else value)
        return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    except (TypeError, ValueError, OverflowError) as error:
        raise BodyError(f"object event: event_time should be ISO-8601 text, not {value!r:.60}") from error


def _read_size(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise BodyError(f"object event: size should be a number of bytes, not {value!r:.60}")


def _read_extra(data: Mapping[str, Any]) -> Mapping[str, Any]:
    value = data.get("extra")
    if value is not None and not isinstance(value, Mapping):
        raise BodyError(f"object event: extra should be a JSON object, not {type(value).__name__}")
    unknown = {str(name): found for name, found in data.items() if name not in _KNOWN}
    return MappingProxyType({**unknown, **value}) if value else MappingProxyType(unknown)
