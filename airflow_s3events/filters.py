"""Which object events are wanted: small predicates, combined with ``&``, ``|`` and ``~``.

::

    event_type("ObjectCreated:*") & prefix("landing/") & ~suffix(".tmp")

A filter is a value. However it was spelled (order, nesting, repetition, double negation, De Morgan), it is
kept in one form, so that equal filters are equal, hash alike and ``serialize()`` to the same plain data:
Airflow identifies a trigger by its arguments, and two spellings must not become two consumers of one queue.

That form is also the order of evaluation: cheap tests first, your own predicates last, and each only when the
tests before it have not settled the answer.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.predicates import KINDS, Test

#: How deep plain data may nest before it is refused.
MAX_DEPTH = 32
# The usual number of tests in a combination: worth a way of its own, since the loop takes twice as long.
_PAIR = 2


class EventFilter(ABC):
    """A predicate over object events. Make one with the functions of this module, not with a class."""

    __slots__ = ("_order", "matches")

    #: ``matches(event) -> bool``. Raises ``RouteError`` only where a ``predicate`` could not answer.
    matches: Test
    _order: tuple[int, str]

    def __call__(self, event: ObjectEvent) -> bool:
        """Same as ``matches(event)``."""
        return self.matches(event)

    def __and__(self, other: EventFilter) -> EventFilter:
        """Both."""
        return all_of(self, other)

    def __or__(self, other: EventFilter) -> EventFilter:
        """Either, or both."""
        return any_of(self, other)

    @abstractmethod
    def __invert__(self) -> EventFilter:
        """Every event that this filter does not match."""

    def __bool__(self) -> bool:
        """Refused: ``a and b`` would silently mean ``b``."""
        raise TypeError("a filter has no truth value: combine filters with &, | and ~, not with and, or, not")

    def __repr__(self) -> str:
        return f"<{self}>"

    @abstractmethod
    def __str__(self) -> str:
        """Return the filter as a sentence."""

    def __reduce__(self) -> tuple[Callable[[Any], EventFilter], tuple[Any]]:
        # The compiled test is a closure; the plain data says it all.
        return EventFilter.deserialize, (self.serialize(),)

    @abstractmethod
    def serialize(self) -> dict[str, Any]:
        """Return the filter as plain data (JSON types only): the same for every spelling of it."""

    @staticmethod
    def deserialize(data: Any) -> EventFilter:
        """Return the filter that ``data`` describes: what ``serialize`` gave, or the same written by hand.

        By hand, several kinds in one mapping must all match, and a list of values means any of them:
        ``{"bucket": "b", "suffix": [".csv", ".tsv"]}``. A filter is returned as it is.

        Raises ``ConfigurationError`` for anything else.
        """
        return _read(data, 0)

    def _set(self, matches: Test, cost: int) -> None:
        object.__setattr__(self, "matches", matches)
        object.__setattr__(self, "_order", (cost, json.dumps(self.serialize(), sort_keys=True)))


@dataclass(frozen=True, slots=True, repr=False)
class _Leaf(EventFilter):
    """One test of one property of the event; ``value`` is canonical already."""

    kind: str
    value: Any

    def __post_init__(self) -> None:
        kind = KINDS[self.kind]
        self._set(kind.test(self.value), kind.cost)

    def __invert__(self) -> EventFilter:
        return _Not(self)

    def serialize(self) -> dict[str, Any]:
        return {self.kind: KINDS[self.kind].plain(self.value)}

    def __str__(self) -> str:
        kind = KINDS[self.kind]
        return kind.says.format(kind.show(self.value))

    def denied(self) -> str:
        kind = KINDS[self.kind]
        return kind.denies.format(kind.show(self.value))


@dataclass(frozen=True, slots=True, repr=False)
class _Not(EventFilter):
    """The negation of a leaf; combinations carry theirs inwards (De Morgan)."""

    inner: _Leaf

    def __post_init__(self) -> None:
        matches = self.inner.matches
        self._set(lambda event: not matches(event), self.inner._order[0])

    def __invert__(self) -> EventFilter:
        return self.inner

    def serialize(self) -> dict[str, Any]:
        return {"not": self.inner.serialize()}

    def __str__(self) -> str:
        return self.inner.denied()


@dataclass(frozen=True, slots=True, repr=False)
class _All(EventFilter):
    """Every one of ``filters`` (sorted, flat, none twice); of none at all, ``everything``."""

    filters: tuple[EventFilter, ...]

    def __post_init__(self) -> None:
        tests = tuple(member.matches for member in self.filters)
        self._set(_all_test(tests), sum(member._order[0] for member in self.filters))

    def __invert__(self) -> EventFilter:
        return any_of(*(~member for member in self.filters))

    def serialize(self) -> dict[str, Any]:
        return (
            {"all": [member.serialize() for member in self.filters]} if self.filters else {"everything": True}
        )

    def __str__(self) -> str:
        return " and ".join(map(_in_brackets, self.filters)) or "every event"


@dataclass(frozen=True, slots=True, repr=False)
class _Any(EventFilter):
    """At least one of ``filters`` (sorted, flat, none twice); of none at all, ``nothing``."""

    filters: tuple[EventFilter, ...]

    def __post_init__(self) -> None:
        tests = tuple(member.matches for member in self.filters)
        self._set(_any_test(tests), sum(member._order[0] for member in self.filters))

    def __invert__(self) -> EventFilter:
        return all_of(*(~member for member in self.filters))

    def serialize(self) -> dict[str, Any]:
        return {"any": [member.serialize() for member in self.filters]} if self.filters else {"nothing": True}

    def __str__(self) -> str:
        return " or ".join(map(_in_brackets, self.filters)) or "no event"


def all_of(*filters: EventFilter) -> EventFilter:
    """Return the filter that matches what every one of ``filters`` matches; of none, ``everything``."""
    members = _members(filters, _All)
    if nothing in members:
        return nothing
    return members[0] if len(members) == 1 else _All(members)


def any_of(*filters: EventFilter) -> EventFilter:
    """Return the filter that matches what at least one of ``filters`` matches; of none, ``nothing``."""
    members = _members(filters, _Any)
    if everything in members:
        return everything
    return members[0] if len(members) == 1 else _Any(members)


def _members(filters: Iterable[EventFilter], combination: type[_All] | type[_Any]) -> tuple[EventFilter, ...]:
    members: set[EventFilter] = set()
    for item in filters:
        if not isinstance(item, EventFilter):
            raise ConfigurationError(
                f"a filter cannot be combined with {item!r}: for a function of yours use "
                "predicate('package.module:function'), for plain data EventFilter.deserialize(data)"
            )
        members.update(item.filters if isinstance(item, combination) else (item,))
    return tuple(sorted(members, key=lambda member: member._order))


def _all_test(tests: tuple[Test, ...]) -> Test:
    if len(tests) == _PAIR:
        first, second = tests
        return lambda event: first(event) and second(event)

    def test(event: ObjectEvent) -> bool:
        for matches in tests:  # noqa: SIM110 - all() with a generator takes three times as long
            if not matches(event):
                return False
        return True

    return test


def _any_test(tests: tuple[Test, ...]) -> Test:
    if len(tests) == _PAIR:
        first, second = tests
        return lambda event: first(event) or second(event)

    def test(event: ObjectEvent) -> bool:
        for matches in tests:  # noqa: SIM110 - any() with a generator takes three times as long
            if matches(event):
                return True
        return False

    return test


def _in_brackets(member: EventFilter) -> str:
    return f"({member})" if isinstance(member, (_All, _Any)) else str(member)


everything: EventFilter = _All(())
nothing: EventFilter = _Any(())


def event_type(*types: str) -> EventFilter:
    """Match events of any of ``types``, in S3's terms, with or without ``s3:``.

    ``"ObjectCreated:Put"`` is that type; ``"ObjectCreated:*"`` (or ``"ObjectCreated"``) is all of its family.
    There is no ``s3:*`` in S3. EventBridge events match by the S3 type that they stand for. Deletion by
    lifecycle rules is ``LifecycleExpiration:*`` and not in ``ObjectRemoved:*``
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html).

    Raises ``ConfigurationError`` for an EventBridge name (``"Object Created"``) or a slip of case.
    """
    return _any_leaf("event_type", types)


def bucket(*names: str) -> EventFilter:
    """Match events of any of the buckets ``names`` (the bare name: no ``s3://``, no ARN, no wildcard)."""
    return _any_leaf("bucket", names)


def prefix(*texts: str) -> EventFilter:
    """Match decoded keys that begin with any of ``texts``; ``""`` is ``everything``, as in S3's filters."""
    return _any_leaf("prefix", texts)


def suffix(*texts: str) -> EventFilter:
    """Match decoded keys that end with any of ``texts``; ``""`` is ``everything``, as in S3's filters."""
    return _any_leaf("suffix", texts)


def glob(*patterns: str) -> EventFilter:
    """Match keys that are, as a whole and case for case, like any of ``patterns``.

    ============ ===================================================================================
    ``*``        any characters except ``/``, none included
    ``**``       alone between slashes: ``**/`` any number of folders, none included; at the end anything
    ``?``        one character except ``/``
    ``[abc]``    one of these; ``[a-z]`` a range, ``[!abc]`` one of all others; never ``/``
    ============ ===================================================================================

    All else is itself, the backslash too; ``[*]`` is a star. ``docs/reference/filters.md`` has examples.
    Matching takes no more than quadratic time in the length of the key, whatever the pattern.
    """
    return _any_leaf("glob", patterns)


def regex(*patterns: str) -> EventFilter:
    r"""Match keys in which ``re.search`` finds any of ``patterns``; anchor with ``\A`` and ``\Z``.

    Python's engine can take exponential time for patterns such as ``(a+)+$``, and keys are other people's
    text: prefer ``glob``, which cannot. Patterns have at most 1024 bytes.

    Raises ``ConfigurationError`` for a pattern that does not compile.
    """
    return _any_leaf("regex", patterns)


def size(*, min_bytes: int | None = None, max_bytes: int | None = None) -> EventFilter:
    """Match objects of at least ``min_bytes`` and at most ``max_bytes`` bytes, both included.

    An event without a size (S3 gives none for deletes, tags and ACLs) does **not** match, so ``~size(...)``
    does; ``size(min_bytes=0)`` matches exactly the events that have one.
    """
    return _leaf("size", {"min_bytes": min_bytes, "max_bytes": max_bytes})


def predicate(*paths: str) -> EventFilter:
    """Match what any of your own functions at ``paths`` (``"package.module:function"``) says True to.

    The function takes an ``ObjectEvent`` and returns a ``bool``. It is imported on first use, on the worker,
    never while a DAG file is parsed. It should depend on nothing but the event: a redelivery asks again.

    ``matches`` raises ``RouteError`` (the event is kept and tried again) when the function cannot be
    imported, raises, or returns anything but a ``bool``.
    """
    return _any_leaf("predicate", paths)


def _any_leaf(kind: str, values: Iterable[Any]) -> EventFilter:
    leaves = [_leaf(kind, value) for value in values]
    if not leaves:
        raise ConfigurationError(f"{kind}: give at least one value")
    return any_of(*leaves)


def _leaf(kind: str, value: Any) -> EventFilter:
    canonical = KINDS[kind].check(value)
    return everything if canonical == "" else _Leaf(kind, canonical)


def _read(data: Any, depth: int) -> EventFilter:
    if isinstance(data, EventFilter):
        return data
    if depth > MAX_DEPTH:
        raise ConfigurationError(f"filter: nested deeper than {MAX_DEPTH} levels")
    if not isinstance(data, Mapping) or not data:
        raise ConfigurationError(f"filter: {data!r} is not a mapping such as {{'prefix': 'landing/'}}")
    return all_of(*(_read_one(kind, value, depth + 1) for kind, value in data.items()))


def _read_one(kind: Any, value: Any, depth: int) -> EventFilter:
    if kind in ("all", "any"):
        if not isinstance(value, (list, tuple)) or not value:
            raise ConfigurationError(f"filter: {kind!r} needs a list of filters, not {value!r}")
        return (all_of if kind == "all" else any_of)(*(_read(item, depth) for item in value))
    if kind == "not":
        return ~_read(value, depth)
    if kind in ("everything", "nothing"):
        if value is not True:
            raise ConfigurationError(f"filter: {kind!r} takes true, not {value!r}")
        return everything if kind == "everything" else nothing
    if kind not in KINDS:
        known = ", ".join(("all", "any", "not", "everything", "nothing", *KINDS))
        raise ConfigurationError(f"filter: unknown kind {kind!r}; known are {known}")
    return _any_leaf(kind, value if isinstance(value, (list, tuple)) else (value,))
