"""The algebra of filters, and their one form."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError, FactsNeededError
from airflow_s3events.predicates import KINDS, Test
from airflow_s3events.predicates.functions import load

MAX_DEPTH = 32
"""How deep plain data may nest before it is refused."""
# The usual number of tests in a combination: worth a way of its own, since the loop takes twice as long.
_PAIR = 2


class EventFilter(ABC):
    """A predicate over object events. Make one with the functions of this package, not with a class."""

    __slots__ = ("_order", "asks", "matches")

    #: ``matches(event) -> bool``. Raises ``RouteError`` only where a ``predicate`` could not answer, and
    #: ``FactsNeededError``, which is one, where S3 must be asked first.
    matches: Test
    #: What may have to be asked of S3: ``"tags"``, ``"head"``, both, or nothing.
    asks: frozenset[str]
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

    def without_asking(self, who: str) -> EventFilter:
        """Return the filter itself, which ``who`` can only use if it answers without asking S3.

        Raises:
            ConfigurationError: It asks; says so, and where it can be used.
        """
        if self.asks:
            raise ConfigurationError(
                f"when: it asks S3 about the object ({self}), and {who} does not ask; such filters are for"
                " the routes of a dispatcher"
            )
        return self

    def try_predicates(self, setting: str) -> None:
        """Import every function that a ``predicate`` of the filter names; it blocks.

        Args:
            setting: Whose filter it is, for the error.

        Raises:
            ConfigurationError: One cannot be imported in this process; names it and the setting.
        """
        for path in sorted({str(one.value) for one in _leaves(self) if one.kind == "predicate"}):
            try:
                load(path)
            except Exception as error:  # importing runs code of the user's, which may raise anything
                raise ConfigurationError(
                    f"{setting}: predicate {path!r} cannot be imported in this process"
                    f" ({type(error).__name__}: {error}); install its module where the filter is asked, too:"
                    " on workers for a dispatcher, on triggerers for what waits there"
                ) from error

    def _set(self, matches: Test, cost: int, asks: Iterable[str]) -> None:
        object.__setattr__(self, "matches", matches)
        object.__setattr__(self, "asks", frozenset(asks))
        object.__setattr__(self, "_order", (cost, json.dumps(self.serialize(), sort_keys=True)))


@dataclass(frozen=True, slots=True, repr=False)
class _Leaf(EventFilter):
    """One test of one property of the event; ``value`` is canonical already."""

    kind: str
    value: Any

    def __post_init__(self) -> None:
        kind = KINDS[self.kind]
        self._set(kind.test(self.value), kind.cost, () if kind.asks is None else (kind.asks,))

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
        self._set(lambda event: not matches(event), self.inner._order[0], self.inner.asks)

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
        asks = [part for member in self.filters for part in member.asks]
        test = _asking_test(tests, decides=False) if asks else _all_test(tests)
        self._set(test, sum(member._order[0] for member in self.filters), asks)

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
        asks = [part for member in self.filters for part in member.asks]
        test = _asking_test(tests, decides=True) if asks else _any_test(tests)
        self._set(test, sum(member._order[0] for member in self.filters), asks)

    def __invert__(self) -> EventFilter:
        return all_of(*(~member for member in self.filters))

    def serialize(self) -> dict[str, Any]:
        return {"any": [member.serialize() for member in self.filters]} if self.filters else {"nothing": True}

    def __str__(self) -> str:
        return " or ".join(map(_in_brackets, self.filters)) or "no event"


def _leaves(wanted: EventFilter) -> Iterator[_Leaf]:
    if isinstance(wanted, _Leaf):
        yield wanted
    elif isinstance(wanted, _Not):
        yield wanted.inner
    else:
        for member in getattr(wanted, "filters", ()):
            yield from _leaves(member)


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


def _asking_test(tests: tuple[Test, ...], *, decides: bool) -> Test:
    """Return the test of a combination that may have to ask S3: what is not known yet may not matter.

    One test that gives ``decides`` settles the whole, whatever those before it would have said.
    """

    def test(event: ObjectEvent) -> bool:
        needed = None
        for matches in tests:
            try:
                if matches(event) is decides:
                    return decides
            except FactsNeededError as error:
                needed = needed or error
        if needed is not None:
            raise needed
        return not decides

    return test


def _in_brackets(member: EventFilter) -> str:
    return f"({member})" if isinstance(member, (_All, _Any)) else str(member)


everything: EventFilter = _All(())
"""Every event."""
nothing: EventFilter = _Any(())
"""No event."""


def any_leaf(kind: str, values: Iterable[Any]) -> EventFilter:
    """Return the filter that matches what the kind does for any of ``values``."""
    leaves = [leaf(kind, value) for value in values]
    if not leaves:
        raise ConfigurationError(f"{kind}: give at least one value")
    return any_of(*leaves)


def leaf(kind: str, value: Any) -> EventFilter:
    """Return the filter of one test: a kind of ``KINDS`` and its value, not yet checked."""
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
    return any_leaf(kind, value if isinstance(value, (list, tuple)) else (value,))
