"""``ObjectEvent``: one thing that happened to one object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

#: Version of the JSON form. Readers accept unknown members, so it rises only when one is removed or changes.
SCHEMA = 1

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEvent:
    """One thing that happened to one object, whichever envelope told us.

    Absent members are None: AWS leaves out ``size`` on deletes and tags, ``sequencer`` on tag and ACL events,
    ``version_id`` on buckets without versions
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html).
    """

    #: As sent: ``ObjectCreated:Put`` (without ``s3:``), or EventBridge's detail-type, ``Object Created``.
    event_name: str
    #: The same in S3's own terms, whatever the envelope: ``ObjectCreated:Put``.
    event_type: str
    bucket: str
    #: Decoded: as you would pass it to S3.
    key: str
    #: Nesting of envelopes, outermost first: ``s3-records``, ``sns-wrapped>s3-records``, ``eventbridge``.
    envelope: str
    event_time: datetime | None = None
    region: str | None = None
    version_id: str | None = None
    sequencer: str | None = None
    #: Bytes.
    size: int | None = None
    etag: str | None = None
    request_id: str | None = None
    principal_id: str | None = None
    source_ip: str | None = None
    configuration_id: str | None = None
    #: SQS message id and index of the record in it, ``<id>#<n>``: the identity of last resort.
    delivery_id: str | None = None
    #: What the envelope said beyond the members above (restore, replication, tiering data and the like).
    extra: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
