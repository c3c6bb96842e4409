"""The same choice of events as an EventBridge pattern, for a rule on the bus.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-mapping-troubleshooting.html and
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from airflow_s3events.bucket_notifications.event_types import members_of
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.records import EVENTBRIDGE_FAMILIES, EVENTBRIDGE_TYPES

_DETAILS = {
    **{f"s3:{family}": (name, None, None) for name, family in EVENTBRIDGE_FAMILIES.items()},
    **{f"s3:{s3_type}": detail for detail, s3_type in EVENTBRIDGE_TYPES.items()},
    # Whatever made the object: also in a way that has no name here.
    "s3:ObjectCreated:*": ("Object Created", None, None),
    "s3:ObjectRemoved:*": ("Object Deleted", "DeleteObject", None),
    "s3:LifecycleExpiration:*": ("Object Deleted", "Lifecycle Expiration", None),
}


def event_pattern(bucket: str, events: Iterable[str], prefix: str = "", suffix: str = "") -> dict[str, Any]:
    """Return the pattern that matches the events which an S3 rule with the same settings would send.

    Args:
        bucket: Bare name.
        events: S3's event types, as ``check_event_types`` returns them.
        prefix: How keys begin, not encoded: EventBridge has keys as they are.
        suffix: How keys end.

    Raises:
        ConfigurationError: S3 does not send one of ``events`` to EventBridge.
    """
    detail: dict[str, Any] = {"bucket": {"name": [bucket]}}
    if prefix or suffix:
        detail["object"] = {"key": list(_keys(prefix, suffix))}
    pattern: dict[str, Any] = {"source": ["aws.s3"], "detail": detail}
    choices = list(_choices(events))
    plain = sorted({name for name, *constraints in choices if not any(constraints)})
    if len(plain) == len(choices):
        return {**pattern, "detail-type": plain}
    return {**pattern, "$or": [_choice(*choice) for choice in choices]}


def pattern_is_for(pattern: Mapping[str, Any], bucket: str) -> bool:
    """Return whether a pattern names this bucket and no other."""
    found: Any = pattern
    for member in ("detail", "bucket", "name"):
        found = found.get(member) if isinstance(found, Mapping) else None
    return bool(found == [bucket])


def pattern_takes(pattern: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether a pattern takes every event that ``wanted`` takes; False where that cannot be told.

    A member that a pattern leaves out may have any value, and of several values one is enough.
    """
    return all(name in wanted and _is_as_wide(there, wanted[name]) for name, there in pattern.items())


def _is_as_wide(there: Any, wanted: Any) -> bool:
    if isinstance(there, Mapping) and isinstance(wanted, Mapping):
        return pattern_takes(there, wanted)
    if isinstance(there, list) and isinstance(wanted, list):
        return all(any(_is_as_wide(one, other) for one in there) for other in wanted)
    return bool(there == wanted)


def _choices(events: Iterable[str]) -> Iterator[tuple[str, Any, Any]]:
    for event in dict.fromkeys(chain.from_iterable(map(_spelled_out, events))):
        if event not in _DETAILS:
            raise ConfigurationError(f"events: S3 does not send {event} to EventBridge; send it to a queue")
        yield _DETAILS[event]


def _spelled_out(event: str) -> list[str]:
    if event in _DETAILS or not event.endswith(":*"):
        return [event]
    return sorted(name for name in members_of(event) if name != event)


def _choice(name: str, reason: Any, deletion_type: Any) -> dict[str, Any]:
    found = {"reason": reason, "deletion-type": deletion_type}
    detail = {member: [value] for member, value in found.items() if value is not None}
    return {"detail-type": [name], **({"detail": detail} if detail else {})}


def _keys(prefix: str, suffix: str) -> Iterator[Any]:
    """Matchers of which one is enough: two for one member mean "or", so both ends go into one wildcard.

    The ends of a wildcard cannot share characters as those of a key can (``ab`` and ``bc`` in ``abc``): those
    few keys are named one by one.
    """
    if not (prefix and suffix):
        yield {"prefix": prefix} if prefix else {"suffix": suffix}
        return
    yield {"wildcard": f"{_literal(prefix)}*{_literal(suffix)}"}
    for shared in range(1, min(len(prefix), len(suffix)) + 1):
        if prefix.endswith(suffix[:shared]):
            yield prefix + suffix[shared:]


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("*", "\\*")
