"""Which DAG gets which object event, and what becomes of an event that no DAG wants."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, Protocol

from airflow_s3events.events import EVENT_MEMBER, ObjectEvent
from airflow_s3events.exceptions import ConfigurationError, RouteError
from airflow_s3events.facts import PARTS, Part
from airflow_s3events.filters import EventFilter, everything

# Airflow's rule for ids (validate_key in airflow/utils/helpers.py, which refuses ".." from 3.3 on).
_DAG_ID = re.compile(r"(?!.*\.\.)[A-Za-z0-9_.-]{1,250}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One DAG, and the events that start its runs.

    Args:
        dag_id: The DAG that gets a run.
        when: The events it gets: a filter, or what ``EventFilter.deserialize`` reads; None means every event.
        name: Tells routes apart in logs and counts; the ``dag_id`` if empty.
        extra: More members for the conf of each run, JSON types only. ``s3_event`` is taken by the event.
        max_queued_runs: While so many runs of the DAG are queued, its messages wait in SQS.
        run_id: ``"readable"`` run ids show part of the object key, ``"opaque"`` ones do not (keys can be
            personal data).
        enrich: What S3 is asked about the object of each event that the route gets, so that it is in the
            run's conf, under ``facts``: ``"tags"`` (one GetObjectTagging), ``"head"`` (one HeadObject:
            metadata, content type, storage class, encryption). What a filter has asked is there anyway.

    Raises:
        ConfigurationError: One of them cannot be used; the text names it.
    """

    dag_id: str
    when: EventFilter | Mapping[str, Any] | None = None
    name: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)
    max_queued_runs: int = 1000
    run_id: Literal["readable", "opaque"] = "readable"
    enrich: Sequence[Part] = ()

    def __post_init__(self) -> None:
        _check_dag_id(self.dag_id)
        if type(self.max_queued_runs) is not int or self.max_queued_runs < 1:
            raise ConfigurationError(
                f"max_queued_runs: {self.max_queued_runs!r} is not a whole number from 1"
            )
        _one_of("run_id", self.run_id, ("readable", "opaque"))
        name = self.name or self.dag_id
        if not isinstance(name, str):
            raise ConfigurationError(f"name: {name!r} is not text")
        object.__setattr__(self, "name", name)
        object.__setattr__(
            self, "when", everything if self.when is None else EventFilter.deserialize(self.when)
        )
        object.__setattr__(self, "extra", _plain_extra(self.extra))
        object.__setattr__(self, "enrich", _parts(self.enrich))

    def __reduce__(self) -> tuple[Callable[[Any], Route], tuple[Any]]:
        # A read-only mapping can be neither copied nor pickled, and Airflow copies what operators are given.
        return Route.deserialize, (self.serialize(),)

    def conf(self, event_data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the conf of the run that starts for the event whose ``serialize()`` is ``event_data``."""
        return {EVENT_MEMBER: event_data, **copy.deepcopy(dict(self.extra))}

    def serialize(self) -> dict[str, Any]:
        """Return the route as plain data (JSON types only)."""
        return {
            "dag_id": self.dag_id,
            "enrich": list(self.enrich),
            "extra": copy.deepcopy(dict(self.extra)),
            "max_queued_runs": self.max_queued_runs,
            "name": self.name,
            "run_id": self.run_id,
            "when": EventFilter.deserialize(self.when).serialize(),
        }

    @staticmethod
    def deserialize(data: Any) -> Route:
        """Return the route that ``data`` describes: the arguments of ``Route`` by name. A route is itself.

        Raises ``ConfigurationError`` for anything else, members that a route does not have among them.
        """
        return data if isinstance(data, Route) else Route(**_members("route", data, Route, "dag_id"))


@dataclass(frozen=True, slots=True)
class RouteFailure:
    """A route that could not tell whether it wants an event, and why."""

    route: Route
    error: RouteError


@dataclass(frozen=True, slots=True)
class Match:
    """What the routes say of one event."""

    #: Each of these gets a run.
    routes: tuple[Route, ...] = ()
    #: These could not tell: the event must come again, whatever the others say.
    errors: tuple[RouteFailure, ...] = ()

    @property
    def unmatched(self) -> bool:
        """No route wants the event, and each of them could tell."""
        return not self.routes and not self.errors


class Matcher(Protocol):
    """Who can tell which routes want an event."""

    def match(self, event: ObjectEvent) -> Match:
        """Return which routes want ``event``."""
        ...


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes of one queue. ``len`` and iteration include the default route, which comes last.

    Args:
        routes: In order of precedence; with ``mode="all"`` the order means nothing and is forgotten.
        mode: ``"first"``: the first route that matches gets the event. ``"all"``: each that matches does.
        default: Gets the events that no other route matches.
        unmatched: The fate of an event that no route takes: ``"discard"`` (delete, and count),
            ``"dead-letter"``, or ``"leave"`` (its visibility timeout lapses; another consumer may take it).

    Raises:
        ConfigurationError: The routes contradict each other, or one could never be reached; the text says so.
    """

    routes: Sequence[Route]
    mode: Literal["first", "all"] = field(default="first", kw_only=True)
    default: Route | None = field(default=None, kw_only=True)
    unmatched: Literal["discard", "dead-letter", "leave"] = field(default="discard", kw_only=True)
    _table: tuple[tuple[Callable[[ObjectEvent], bool], Route, Match], ...] = field(
        init=False, repr=False, compare=False
    )
    _otherwise: Match = field(init=False, repr=False, compare=False)
    _asks: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _one_of("mode", self.mode, ("first", "all"))
        _one_of("unmatched", self.unmatched, ("discard", "dead-letter", "leave"))
        routes = _routes(self.routes)
        if self.mode == "all":
            routes = tuple(sorted(routes, key=lambda route: route.name))
        object.__setattr__(self, "routes", routes)
        _check(self)
        table = tuple(
            (EventFilter.deserialize(route.when).matches, route, Match((route,))) for route in routes
        )
        object.__setattr__(self, "_table", table)
        object.__setattr__(self, "_otherwise", Match(() if self.default is None else (self.default,)))
        parts = [
            part for route in self for part in (*route.enrich, *EventFilter.deserialize(route.when).asks)
        ]
        object.__setattr__(self, "_asks", frozenset(parts))

    def __iter__(self) -> Iterator[Route]:
        yield from self.routes
        if self.default is not None:
            yield self.default

    def __len__(self) -> int:
        return len(self.routes) + (self.default is not None)

    def __reduce__(self) -> tuple[Callable[[Any], Routes], tuple[Any]]:
        return Routes.deserialize, (self.serialize(),)

    @property
    def asks(self) -> frozenset[str]:
        """What may have to be asked of S3, by a filter or for a conf: ``"tags"``, ``"head"``, or nothing."""
        return self._asks

    @property
    def filters_ask(self) -> bool:
        """Whether it may hang on S3's answer which route gets an event."""
        return any(EventFilter.deserialize(route.when).asks for route in self)

    def match(self, event: ObjectEvent) -> Match:
        """Return which routes want ``event``.

        A predicate that fails becomes an entry of ``errors``, never an exception; so does a filter that needs
        to know what S3 says of the object, of an event that does not carry it (``FactsNeededError``).
        With ``mode="all"`` the other routes match all the same. With ``mode="first"`` the routes after it are
        not asked: while nobody knows whether the event belongs to this route, a run of a later one could turn
        out to be one of two.
        """
        return self._match_first(event) if self.mode == "first" else self._match_all(event)

    def _match_first(self, event: ObjectEvent) -> Match:
        for matches, route, found in self._table:
            try:
                if matches(event):
                    return found
            except RouteError as error:
                return Match((), (RouteFailure(route, error),))
        return self._otherwise

    def _match_all(self, event: ObjectEvent) -> Match:
        found: list[Route] = []
        errors: list[RouteFailure] = []
        for matches, route, _ in self._table:
            try:
                if matches(event):
                    found.append(route)
            except RouteError as error:
                errors.append(RouteFailure(route, error))
        return Match(tuple(found), tuple(errors)) if found or errors else self._otherwise

    def serialize(self) -> dict[str, Any]:
        """Return the routes as plain data (JSON types only)."""
        return {
            "default": None if self.default is None else self.default.serialize(),
            "mode": self.mode,
            "routes": [route.serialize() for route in self.routes],
            "unmatched": self.unmatched,
        }

    @staticmethod
    def deserialize(data: Any) -> Routes:
        """Return the routes that ``data`` describes: the arguments of ``Routes`` by name.

        Raises ``ConfigurationError`` for anything else, members that routes do not have among them.
        """
        members = _members("routes", data, Routes, "routes")
        if members.get("default") is not None:
            members["default"] = Route.deserialize(members["default"])
        return Routes(**members)

    @staticmethod
    def of(spec: Any) -> Routes:
        """Return the routes that ``spec`` stands for.

        One of: a DAG id; a ``Route``; a list of DAG ids and routes; a mapping of DAG id to filter (None:
        every event) in order of precedence; ``Routes``; the plain data of a route or of routes.

        Raises ``ConfigurationError`` for anything else.
        """
        if isinstance(spec, Routes):
            return spec
        if not isinstance(spec, Mapping):
            return Routes(_routes([spec] if isinstance(spec, (str, Route)) else spec))
        if isinstance(spec.get("routes"), (list, tuple)):
            return Routes.deserialize(spec)
        if isinstance(spec.get("dag_id"), str):
            return Routes([Route.deserialize(spec)])
        return Routes([Route(dag_id=dag_id, when=when) for dag_id, when in spec.items()])


def _check_dag_id(value: Any) -> None:
    if not isinstance(value, str) or not _DAG_ID.fullmatch(value):
        raise ConfigurationError(
            f"dag_id: {value!r} is not 1 to 250 of the characters A-Z a-z 0-9 _ - . without two dots together"
        )


def _parts(parts: Any) -> tuple[str, ...]:
    if isinstance(parts, str) or not isinstance(parts, Iterable):
        raise ConfigurationError(f"enrich: {parts!r} is not a list such as ['tags']")
    found = tuple(parts)
    for part in found:
        _one_of("enrich", part, PARTS)
    return tuple(sorted(set(found)))


def _routes(items: Any) -> tuple[Route, ...]:
    if not isinstance(items, Sequence) or isinstance(items, (str, bytes)):
        raise ConfigurationError(f"routes: {items!r} is not a DAG id, a route, or a list or mapping of them")
    return tuple(Route(dag_id=item) if isinstance(item, str) else Route.deserialize(item) for item in items)


def _check(routes: Routes) -> None:
    everyone = tuple(routes)
    if not everyone:
        raise ConfigurationError("routes: there is none; name at least one DAG")
    if routes.default is not None and routes.default.when != everything:
        raise ConfigurationError(f"default: route {routes.default.name!r} must have no filter (when)")
    if twice := _twice(route.name for route in everyone):
        raise ConfigurationError(f"routes: two are named {twice!r}; give each its own name")
    if routes.mode == "all" and (twice := _twice(route.dag_id for route in routes.routes)):
        raise ConfigurationError(
            f"routes: two lead to DAG {twice!r}, where one event has one run id; join their filters with |"
        )
    if len({(route.dag_id, route.max_queued_runs) for route in everyone}) != len(
        {r.dag_id for r in everyone}
    ):
        raise ConfigurationError(
            "max_queued_runs: it counts the runs of a DAG, so routes to one DAG need the same"
        )
    _check_reach(routes)


def _check_reach(routes: Routes) -> None:
    earlier: list[Route] = []
    for route in routes:
        taker = next((one for one in earlier if one.when in (everything, route.when)), None)
        if taker is not None and (routes.mode == "first" or route is routes.default):
            raise ConfigurationError(
                f"routes: {route.name!r} could never get an event, {taker.name!r} takes them all; "
                "narrow a filter, change the order, or use mode='all'"
            )
        earlier.append(route)


def _twice(names: Iterable[str]) -> str | None:
    return next((name for name, times in Counter(names).items() if times > 1), None)


def _one_of(setting: str, value: Any, choices: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise ConfigurationError(f"{setting}: {value!r} is not one of {', '.join(choices)}")


def _plain_extra(extra: Any) -> Mapping[str, Any]:
    if not isinstance(extra, Mapping) or not all(isinstance(name, str) for name in extra):
        raise ConfigurationError(f"extra: {extra!r} is not a mapping of names to values")
    if EVENT_MEMBER in extra:
        raise ConfigurationError(f"extra: {EVENT_MEMBER!r} is taken by the event; use another name")
    try:
        text = json.dumps(dict(extra), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"extra: not plain data, as JSON has it: {error}") from error
    return MappingProxyType(json.loads(text))


def _members(what: str, data: Any, cls: type, required: str) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise ConfigurationError(f"{what}: {data!r} is not a mapping such as {{{required!r}: ...}}")
    known = [member.name for member in fields(cls) if member.init]
    for name in data:
        if name not in known:
            raise ConfigurationError(f"{what}: unknown member {name!r}; known are {', '.join(known)}")
    if required not in data:
        raise ConfigurationError(f"{what}: {required!r} is missing")
    return dict(data)
