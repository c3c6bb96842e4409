"""``Batch``: which events of a route are one group, and when a group is closed and gets its run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import regex
from airflow_s3events.routing.members import members_of

#: Field to its lowest and highest value. A group is closed within eleven hours: SQS hides a message for
#: twelve (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html).
_LIMITS: Mapping[str, tuple[float, float]] = {
    "count": (1, 2_000),
    "object_bytes": (1, float("inf")),
    "idle_seconds": (1, 39_600),
    "open_seconds": (1, 39_600),
    "after_marker_seconds": (0, 3_600),
    "conf_bytes": (1_024, 8 * 1024 * 1024),
}
_WHOLE = frozenset({"count", "object_bytes", "conf_bytes"})
_MAY_BE_NONE = frozenset({"object_bytes", "idle_seconds"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    r"""Which events of a route are one group, and when the group is closed.

    A group is closed by whatever comes first, and then gets **one** run with all its events. What comes after
    that begins the next batch of the group, with a run of its own. Groups of two buckets are never one.

    Args:
        by: A regular expression with named groups; events with the same captured values are one group:
            ``r"orders/(?P<day>\d{4}-\d{2}-\d{2})/"``. An event whose key it does not match is a batch alone,
            at once.
        count: Closed when it has so many events. Default 500; 1 to 2,000, and no more than ``max_held``.
        object_bytes: Closed when its objects have so many bytes together; None, the default: any number.
        idle_seconds: Closed when no new event has come for so long. Default 60; None: however long.
        marker: Closed after an object of this name (after the last slash of its key) was created in the
            group, which is one of its events: ``"_SUCCESS"``. Default: none.
        after_marker_seconds: But no sooner than when no new event has come for so long, since S3 and SQS
            promise no order: the marker may come first. Default 30.
        manifest: Closed when an object of this name was created in the group, and all objects that it lists:
            ``"manifest.json"``; keys of its own bucket, or URLs, in any of the forms that the sensor's
            ``manifest_key`` takes. It is read from S3, which takes ``s3:GetObject``. Default: none.
        open_seconds: Closed so long after its first event in any case. Default 1 hour, at most 11.
        conf_bytes: The events in the conf of one run have at most so many bytes of JSON together; what is
            more begins the next batch. Default 512 KiB. Airflow 2 on MySQL stores 64 KiB at most.

    Raises:
        ConfigurationError: One of them cannot be used; the text names it.
    """

    by: str
    count: int = 500
    object_bytes: int | None = None
    idle_seconds: float | None = 60.0
    marker: str = ""
    after_marker_seconds: float = 30.0
    manifest: str = ""
    open_seconds: float = 3_600.0
    conf_bytes: int = 524_288

    def __post_init__(self) -> None:
        _check_by(self.by)
        for name in _LIMITS:
            _check_number(name, getattr(self, name))
        _check_name("marker", self.marker)
        _check_name("manifest", self.manifest)

    def values_of(self, key: str) -> dict[str, str | None] | None:
        """Return the captured values, which name a key's group; None: ``by`` does not match."""
        found = re.search(self.by, key)
        return None if found is None else found.groupdict()

    def is_marker(self, key: str) -> bool:
        """Whether an object of this key says that its group is complete."""
        return bool(self.marker) and key.rpartition("/")[2] == self.marker

    def is_manifest(self, key: str) -> bool:
        """Whether an object of this key lists what belongs to its group."""
        return bool(self.manifest) and key.rpartition("/")[2] == self.manifest

    def serialize(self) -> dict[str, Any]:
        """Return it as plain data (JSON types only)."""
        return {name: getattr(self, name) for name in sorted(field.name for field in fields(self))}

    @staticmethod
    def deserialize(data: Any) -> Batch:
        """Return what ``data`` describes: the arguments of ``Batch`` by name. A batch is itself.

        Raises ``ConfigurationError`` for anything else, members that a batch does not have among them.
        """
        return data if isinstance(data, Batch) else Batch(**members_of("batch", data, Batch, "by"))


def _check_by(pattern: Any) -> None:
    if not isinstance(pattern, str):
        raise ConfigurationError(f"batch: by: {pattern!r} is not a regular expression")
    try:
        regex(pattern)
    except ConfigurationError as error:
        raise ConfigurationError(f"batch: by: {error}") from error
    if not re.compile(pattern).groupindex:
        raise ConfigurationError(f"batch: by: {pattern!r} has no group with a name, (?P<day>[0-9-]+)")


def _check_name(setting: str, value: Any) -> None:
    if not isinstance(value, str) or "/" in value:
        raise ConfigurationError(f"batch: {setting}: {value!r} is not the name of a file, such as '_SUCCESS'")


def _check_number(name: str, value: Any) -> None:
    if value is None and name in _MAY_BE_NONE:
        return
    low, high = _LIMITS[name]
    kind = "a whole number" if name in _WHOLE else "a number"
    allowed = (int,) if name in _WHOLE else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not low <= value <= high:
        raise ConfigurationError(f"batch: {name}: {value!r} is not {kind} from {low:g} to {high:g}")
