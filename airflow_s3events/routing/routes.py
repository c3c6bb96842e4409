"""``Routes``: all routes of one queue, and what they say of an event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError, RouteError
from airflow_s3events.filters import EventFilter, everything
from airflow_s3events.routing.batch import Batch
from airflow_s3events.routing.members import members_of, one_of
from airflow_s3events.routing.route import Route

#: Settings that are about a DAG and not about a route.
_OF_DAG = ("max_queued_runs", "max_active_runs", "max_runs_per_minute")


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

    def reach(self, event: ObjectEvent) -> tuple[str, ...]:
        """Return the DAGs of those, and of the ones that may have got it when it came before."""
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
    _filters_ask: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        one_of("mode", self.mode, ("first", "all"))
        one_of("unmatched", self.unmatched, ("discard", "dead-letter", "leave"))
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
        asked = {part for route in self for part in EventFilter.deserialize(route.when).asks}
        object.__setattr__(self, "_filters_ask", bool(asked))
        object.__setattr__(self, "_asks", frozenset(asked.union(*(route.enrich for route in self))))

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
        return self._filters_ask

    def try_predicates(self) -> None:
        """Import every function that a filter names; it blocks.

        Raises:
            ConfigurationError: One cannot be imported in this process; names it and its route.
        """
        for route in self:
            EventFilter.deserialize(route.when).try_predicates(f"routes: {route.name!r}")

    @property
    def has_batches(self) -> bool:
        """Whether some routes have one run for a group of events."""
        return any(route.batch is not None for route in self)

    @property
    def has_manifests(self) -> bool:
        """Whether some groups are closed by a manifest, which is read from S3."""
        return any(Batch.deserialize(route.batch).manifest for route in self if route.batch is not None)

    @property
    def has_priorities(self) -> bool:
        """Whether some routes are to be served before others."""
        return len({route.priority for route in self}) > 1

    def match(self, event: ObjectEvent) -> Match:
        """Return which routes want ``event``.

        A predicate that fails becomes an entry of ``errors``, never an exception; so does a filter that needs
        to know what S3 says of the object, of an event that does not carry it (``FactsNeededError``).
        With ``mode="all"`` the other routes match all the same. With ``mode="first"`` the routes after it are
        not asked: while nobody knows whether the event belongs to this route, a run of a later one could turn
        out to be one of two.
        """
        return self._match_first(event) if self.mode == "first" else self._match_all(event)

    def rivals(self, event: ObjectEvent) -> tuple[Route, ...]:
        """Return the routes of which one gets the event, by what S3 says of its object; none: S3 has no say.

        ``event`` is without what S3 said. With ``mode="all"`` each route decides for itself, and there is no
        rivalry but that with the default route.
        """
        asking: list[Route] = []
        for matches, route, _ in self._table:
            try:
                is_sure = matches(event)
            except RouteError:
                asking.append(route)
            else:
                if is_sure:
                    return (*asking, route) if asking and self.mode == "first" else ()
        return (*asking, *self._otherwise.routes) if asking else ()

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
        members = members_of("routes", data, Routes, "routes")
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
    dag_count = len({route.dag_id for route in everyone})
    for name in _OF_DAG:
        if len({(route.dag_id, getattr(route, name)) for route in everyone}) != dag_count:
            raise ConfigurationError(
                f"{name}: it counts the runs of a DAG, so routes to one DAG need the same"
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
