"""Texts with gaps that an event fills: ``"{day}/{file}"``. No code, no attributes, only names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import regex

#: Members of an event's JSON form that may fill a gap.
_MEMBERS = (
    "bucket",
    "key",
    "event_type",
    "event_time",
    "version_id",
    "size",
    "etag",
    "region",
    "principal_id",
)
#: Made of the event: the part of the key after its last slash, what is before it, and the day in UTC.
_MADE: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "file": lambda event: event["key"].rpartition("/")[2],
    "folder": lambda event: event["key"].rpartition("/")[0],
    "date": lambda event: str(event.get("event_time") or "")[:10],
}
_GAP = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}|[{}]")


def check_capture(pattern: Any) -> str:
    """Return the pattern whose named groups may fill gaps.

    Raises:
        ConfigurationError: It does not compile, could take long, names nothing, or names what has a name.
    """
    if pattern == "":
        return ""
    try:
        regex(pattern)
    except ConfigurationError as error:
        raise ConfigurationError(f"capture: {error}") from error
    groups = re.compile(pattern).groupindex
    taken = sorted({*_MEMBERS, *_MADE} & set(groups))
    if not groups or taken:
        fault = f"the name {taken[0]!r} is taken" if taken else "it has no group with a name, (?P<day>[0-9]+)"
        raise ConfigurationError(f"capture: {pattern!r}: {fault}")
    return str(pattern)


def check_template(setting: str, text: Any, capture: str) -> None:
    """Refuse a text that has a gap which nothing fills.

    Raises:
        ConfigurationError: It has; names it and what there is. Or it is no text.
    """
    if not isinstance(text, str):
        raise ConfigurationError(f"{setting}: {text!r} is not text")
    known = [*_MEMBERS, *_MADE, *re.compile(capture).groupindex]
    for gap in _GAP.finditer(text):
        if gap[1] is None and gap[0] not in ("{{", "}}"):
            raise ConfigurationError(f"{setting}: {text!r} has a brace alone; write it twice for itself")
        if gap[1] is not None and gap[1] not in known:
            raise ConfigurationError(
                f"{setting}: {text!r}: nothing is called {gap[1]!r}; known are {_list(known)}"
            )


def gaps_of(text: str) -> frozenset[str]:
    """Return what fills the gaps of a text."""
    return frozenset(gap[1] for gap in _GAP.finditer(text) if gap[1] is not None)


def fill(text: str, event: Mapping[str, Any], capture: str) -> str:
    """Return ``text`` with its gaps filled from the JSON form of an event; what it does not say is empty."""
    found = re.search(capture, event["key"]) if capture else None
    values = {} if found is None else found.groupdict()

    def value(gap: re.Match[str]) -> str:
        name = gap[1]
        if name is None:
            return gap[0][0]
        made = _MADE.get(name)
        sent = made(event) if made is not None else values.get(name, event.get(name))
        return "" if sent is None else str(sent)

    return _GAP.sub(value, text)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
