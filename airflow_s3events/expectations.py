"""Expectations: which objects must have come by when, and how many in how long. Pure: times are given.

All times are S3's: an object's last-modified time, and the moment at which S3 answered. So a clock here that
is wrong makes a look come early or late, and never an object.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from airflow_s3events.events import utc_text
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import EventFilter, glob

#: What is judged.
MET = "met"
LATE = "late"
MISSING = "missing"
TOO_FEW = "too few"

_MOST_COUNT = 10_000
_ANY_DAY = date(2026, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedBy:
    """Objects that must have come by a time of the day.

    Args:
        key: Pattern of their keys, as ``filters.glob`` has it. ``{day:%Y-%m-%d}`` in it is the day, in any
            form of ``strftime``; a brace itself is doubled.
        by: Time of the day, ``"07:00"`` or ``"07:00:30"``. One that the clocks leave out counts as if they
            had not been changed, and of one that comes twice the first counts.
        timezone: Of ``by`` and of the day. Default UTC.
        count: How many objects. Default 1.
        within_seconds: Only objects that were written no longer than so long before ``by``, so that
            yesterday's ``latest.csv`` is not today's. None: whenever. Default 86,400.
        name: In reports; the key if empty.

    Raises:
        ConfigurationError: One of them cannot be used; names it.
    """

    key: str
    by: str
    timezone: str = "UTC"
    count: int = 1
    within_seconds: float | None = 86_400.0
    name: str = ""

    def __post_init__(self) -> None:
        _check(self)
        _time(self.by)
        if self.within_seconds is not None and not self.within_seconds > 0:
            raise ConfigurationError(
                f"within_seconds={self.within_seconds!r}: give a number above 0, or None"
            )

    def due(self, day: date) -> float:
        """Return the end of its time on a day, in seconds since the epoch."""
        return datetime.combine(day, _time(self.by), _zone(self.timezone)).timestamp()

    def patterns(self, day: date, now: float) -> tuple[str, ...]:  # noqa: ARG002 - as for LeastRate
        """Return the patterns of its keys on a day."""
        return (_formatted(self.key, day),)

    def window(self, day: date, now: float) -> tuple[float, float]:  # noqa: ARG002
        """Return after when and until when an object is in time."""
        due = self.due(day)
        return float("-inf") if self.within_seconds is None else due - self.within_seconds, due

    def judge(self, day: date, now: float, times: Sequence[float], tolerance: float) -> Judged | None:
        """Return what is to be said at ``now``; None: nothing yet.

        Args:
            day: The day.
            now: S3's clock.
            times: When the first ``count`` objects were written, in order.
            tolerance: Seconds after ``by`` that are still in time.
        """
        due = self.due(day)
        in_time = [one for one in times if one <= due + tolerance]
        if len(in_time) >= self.count:
            return _judged(self, MET, len(in_time), due)
        if now < due + tolerance:
            return None
        if len(times) >= self.count:
            return _judged(self, LATE, len(in_time), due, times[self.count - 1] - due)
        return _judged(self, MISSING, len(times), due)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeastRate:
    """At least so many objects in so long; one of them: that it is not silent.

    Args:
        key: Pattern of their keys, as for ``ExpectedBy``. Where it has a ``{day:...}``, each day that the
            time touches is looked at.
        per_seconds: In how long, back from the moment of the look.
        count: How many. Default 1.
        timezone: Of the day. Default UTC.
        name: In reports; the key if empty.

    Raises:
        ConfigurationError: One of them cannot be used; names it.
    """

    key: str
    per_seconds: float
    count: int = 1
    timezone: str = "UTC"
    name: str = ""

    def __post_init__(self) -> None:
        _check(self)
        _check_seconds("per_seconds", self.per_seconds)

    def patterns(self, day: date, now: float) -> tuple[str, ...]:  # noqa: ARG002 - as for ExpectedBy
        """Return the patterns of its keys, one for each day that its time touches."""
        last = day_of(now, self.timezone)
        first = day_of(now - self.per_seconds, self.timezone)
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        return tuple(dict.fromkeys(_formatted(self.key, one) for one in days))

    def window(self, day: date, now: float) -> tuple[float, float]:  # noqa: ARG002
        """Return after when and until when an object counts."""
        return now - self.per_seconds, float("inf")

    def judge(self, day: date, now: float, times: Sequence[float], tolerance: float) -> Judged:  # noqa: ARG002
        """Return what is to be said at ``now``: always something."""
        found = [one for one in times if one > now - self.per_seconds - tolerance]
        return _judged(self, MET if len(found) >= self.count else TOO_FEW, len(found), now)


Expectation: TypeAlias = ExpectedBy | LeastRate


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a look said of one expectation.

    Attributes:
        name: Of the expectation.
        what: ``met``, ``late``, ``missing`` or ``too few``.
        found: Objects that came (``late``: that came in time).
        count: Objects that were expected.
        due: When they were, ISO-8601 in UTC.
        late_seconds: By how much the last of them was late; None where it is not ``late``.
    """

    name: str
    what: str
    found: int
    count: int
    due: str
    late_seconds: float | None = None

    def serialize(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def expectations_of(data: Any) -> tuple[Expectation, ...]:
    """Return the expectations that ``data`` stands for: one, or several, each as itself or as plain data.

    Raises:
        ConfigurationError: It stands for none, or two have one name.
    """
    items = data if isinstance(data, (list, tuple)) else [data]
    found = tuple(map(_expectation, items))
    names = {one.name or one.key for one in found}
    if not found or len(names) != len(found):
        raise ConfigurationError("expectations: give at least one, and each a name of its own")
    return found


def serialized(expectation: Expectation) -> dict[str, Any]:
    """Return an expectation as plain data."""
    return asdict(expectation)


def literal_prefix(pattern: str) -> str:
    """Return what every key of a pattern begins with."""
    return re.split(r"[*?\[]", pattern, maxsplit=1)[0]


def matching(patterns: Sequence[str]) -> EventFilter:
    """Return the filter of keys that are like one of ``patterns``."""
    return glob(*patterns)


def day_of(seconds: float, zone: str) -> date:
    """Return the day of a moment in a time zone."""
    return datetime.fromtimestamp(seconds, _zone(zone)).date()


def _judged(rule: Expectation, what: str, found: int, due: float, late: float | None = None) -> Judged:
    return Judged(
        name=rule.name or rule.key,
        what=what,
        found=found,
        count=rule.count,
        due=utc_text(datetime.fromtimestamp(round(due, 3), timezone.utc)),
        late_seconds=None if late is None else round(late, 3),
    )


def _expectation(data: Any) -> Expectation:
    if isinstance(data, (ExpectedBy, LeastRate)):
        return data
    if not isinstance(data, Mapping):
        raise ConfigurationError(f"expectations: {data!r} is not an ExpectedBy or a LeastRate")
    kind: Any = LeastRate if "per_seconds" in data else ExpectedBy
    unknown = sorted(set(data) - {member.name for member in fields(kind)})
    if unknown:
        raise ConfigurationError(f"expectations: unknown member {unknown[0]!r} of {kind.__name__}")
    try:
        found: Expectation = kind(**data)
    except TypeError as error:
        raise ConfigurationError(f"expectations: {error}") from error
    return found


def _check(rule: Expectation) -> None:
    matching([_formatted(rule.key, _ANY_DAY)])
    _zone(rule.timezone)
    if type(rule.count) is not int or not 1 <= rule.count <= _MOST_COUNT:
        raise ConfigurationError(f"count={rule.count!r}: give a whole number from 1 to {_MOST_COUNT:,}")


def _check_seconds(setting: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ConfigurationError(f"{setting}={value!r}: give a number above 0")


def _formatted(key: str, day: date) -> str:
    try:
        return key.format(day=day)
    except (AttributeError, IndexError, KeyError, ValueError) as error:
        raise ConfigurationError(
            f"key: {key!r}: {{day:...}} is the only field that it may have; double every other brace"
        ) from error


def _time(text: str) -> time:
    try:
        found = time.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"by={text!r}: give a time of the day, such as '07:00'") from error
    if found.tzinfo is not None:
        raise ConfigurationError(f"by={text!r}: give the zone as timezone")
    return found


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, TypeError, ValueError) as error:
        raise ConfigurationError(f"timezone={name!r}: there is no such time zone") from error
