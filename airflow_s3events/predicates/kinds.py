"""What a kind of test is, and the checks of values that several kinds share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError

#: Bytes of UTF-8. No object key is longer, so no longer text can match one
#: (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html).
MAX_TEXT_BYTES = 1024

Test = Callable[[ObjectEvent], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of test: how its value is checked, what it asks of an event, and how it reads aloud."""

    #: Value to canonical, hashable value; raises ``ConfigurationError``.
    check: Callable[[Any], Any]
    #: Canonical value to the test.
    test: Callable[[Any], Test]
    says: str
    denies: str
    #: Relative time of one call: the order of evaluation.
    cost: int
    #: What must be asked of S3 before it can answer: ``"tags"`` or ``"head"``.
    asks: str | None = None
    #: Canonical value to words.
    show: Callable[[Any], str] = repr
    #: Canonical value to JSON types.
    plain: Callable[[Any], Any] = lambda value: value


def any_text(kind: str, value: Any) -> str:
    """Return ``value``: text that a key could hold, or none at all."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{kind}: {value!r} is not text")
    try:
        length = len(value.encode())
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"{kind}: {value!r} is not valid Unicode") from error
    if length > MAX_TEXT_BYTES:
        raise ConfigurationError(f"{kind}: {length} bytes are more than {MAX_TEXT_BYTES}")
    return value


def some_text(kind: str, value: Any) -> str:
    """Return ``value``: the same, but not empty."""
    if not any_text(kind, value):
        raise ConfigurationError(f"{kind}: the text is empty; for every event use everything")
    return str(value)
