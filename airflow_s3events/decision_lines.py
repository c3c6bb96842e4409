"""The lines that a log gets of decisions: their form, how many of them, and what stays out of them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote, quote_plus

#: Lines of one kind in one window; of all others only their number is told.
MOST_LINES = 10
#: Length of a window.
WINDOW_SECONDS = 60.0
#: A longer value is cut, so that one line stays one line of any log store.
_LONGEST_VALUE = 1_000
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+-]+")
#: Hexadecimal digits of a key's SHA-256 that stand for the key: two keys in 16 million million share one.
_DIGEST_LENGTH = 16
#: The readable part of a run id, which is made of the key.
_READABLE = re.compile(r"s3_[A-Za-z0-9_.-]+_(?=[0-9a-f]{40})")
#: What signs a URL, of each form that AWS has.
_SIGNED = re.compile(
    r"\b(X-Amz-(?:Signature|Credential|Security-Token)|Signature|AWSAccessKeyId)=[^&\s\"']+", re.IGNORECASE
)


def line(fields: Mapping[str, object]) -> str:
    """Return ``name=value`` of every field that has a value, by spaces, in their order.

    A value of other characters than those of names and paths is a JSON string of ASCII: no line break and no
    control character of somebody else's text gets into the log.
    """
    return " ".join(f"{name}={_value(value)}" for name, value in fields.items() if value not in (None, ""))


def _value(value: object) -> str:
    text = str(value)
    if len(text) > _LONGEST_VALUE:
        text = f"{text[:_LONGEST_VALUE]}..."
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def key_digest(key: str) -> str:
    """Return what stands for an object key: ``sha256:`` and 16 digits of the SHA-256 of its UTF-8.

    Whoever has the key can make it: ``printf %s KEY | sha256sum | cut -c-16``.
    """
    return f"sha256:{sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:_DIGEST_LENGTH]}"


def without_keys(text: str, keys: Iterable[str]) -> str:
    """Return ``text`` with each of these keys replaced by its digest, and run ids without what is readable.

    A key is found as it is, and as JSON, ``repr``, a URL or a form write it.
    """
    for key in sorted(keys, key=len, reverse=True):
        forms = {json.dumps(key)[1:-1], ascii(key)[1:-1], repr(key)[1:-1], quote(key), quote_plus(key), key}
        for form in sorted(forms - {""}, key=len, reverse=True):
            text = text.replace(form, key_digest(key))
    return _READABLE.sub("s3_", text)


def without_signatures(text: str) -> str:
    """Return ``text`` with what signs a URL left out."""
    return _SIGNED.sub(r"\1=***", text)


@dataclass(frozen=True, slots=True)
class Rest:
    """Decisions of one kind that got no line in one window of so many seconds."""

    kind: str
    count: int
    seconds: float

    def text(self) -> str:
        """Return the line that stands for all of them."""
        return f"{self.kind} ... and {self.count} more like this in {self.seconds:.0f} s"


@dataclass(slots=True)
class _Window:
    began: float
    lines: int = 0
    rest: int = 0


class Limiter:
    """Lets so many lines of each kind through in each window, and counts the others.

    Args:
        most: Lines of one kind in one window.
        seconds: Length of a window, which begins with its first line.
    """

    def __init__(self, most: int = MOST_LINES, seconds: float = WINDOW_SECONDS) -> None:
        self._most = most
        self._seconds = seconds
        self._windows: dict[str, _Window] = {}

    def admit(self, kind: str, now: float) -> bool:
        """Count one of this kind; return whether it may have a line. Ask ``ended`` first."""
        window = self._windows.setdefault(kind, _Window(now))
        may = window.lines < self._most
        window.lines += may
        window.rest += not may
        return may

    def ended(self, now: float) -> list[Rest]:
        """End the windows whose time is up; return what had no line in them."""
        over = [kind for kind, window in self._windows.items() if now - window.began >= self._seconds]
        return self._end(over, now)

    def end_all(self, now: float) -> list[Rest]:
        """End every window; return what had no line in them."""
        return self._end(list(self._windows), now)

    def _end(self, kinds: Iterable[str], now: float) -> list[Rest]:
        ended = [(kind, self._windows.pop(kind)) for kind in kinds]
        return [Rest(kind, one.rest, min(now - one.began, self._seconds)) for kind, one in ended if one.rest]
