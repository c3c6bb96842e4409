"""``Score``: what a function of yours says of one event before its run is made. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.routing import Match, Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a scorer says of one event; what it leaves out is left to the routes.

    Args:
        priority: Instead of that of the route: of the messages received together, higher ones are done first.
        route: Name of the route that gets the event, whatever the filters say; a route has the name of its
            DAG unless it was given another. Not with ``mode="all"``.
        drop: Why the event starts nothing. It is counted and acknowledged, and its entry in the ledger says
            why.

    Raises:
        ConfigurationError: One of them cannot be used; names it.
    """

    priority: int | None = None
    route: str | None = None
    drop: str = ""

    def __post_init__(self) -> None:
        if self.priority is not None and type(self.priority) is not int:
            raise ConfigurationError(f"priority: {self.priority!r} is not a whole number")
        if self.route is not None and not isinstance(self.route, str):
            raise ConfigurationError(f"route: {self.route!r} is not the name of a route")
        if not isinstance(self.drop, str):
            raise ConfigurationError(f"drop: {self.drop!r} is not text that says why")
        if self.drop and self.route is not None:
            raise ConfigurationError("drop: an event that is dropped gets no route; leave one of them out")


#: A function of the user's; None leaves everything to the routes.
ScoreFunction: TypeAlias = Callable[[ObjectEvent], Score | None]


@dataclass(frozen=True, slots=True)
class Scored:
    """What comes of the routes' word and the scorer's.

    Attributes:
        match: The routes that get the event.
        unscored: Those that would, without the scorer.
        priority: Of the event; None: that of its routes.
        drop: Why it starts nothing; empty: it does.
    """

    match: Match
    unscored: Match
    priority: int | None = None
    drop: str = ""


def scored(answer: Any, match: Match, routes: Routes) -> Scored:
    """Return what an answer makes of what the routes say.

    Raises:
        ConfigurationError: The answer cannot be used; says why.
    """
    if answer is None:
        return Scored(match, match)
    if not isinstance(answer, Score):
        raise ConfigurationError(f"it returned {type(answer).__name__}, not Score or None")
    if answer.drop:
        return Scored(Match(), match, answer.priority, answer.drop)
    chosen = match if answer.route is None else _route(answer.route, routes)
    return Scored(chosen, match, answer.priority)


def _route(name: str, routes: Routes) -> Match:
    if routes.mode == "all":
        raise ConfigurationError("it named a route, and with mode='all' each route decides for itself")
    found = next((route for route in routes if route.name == name), None)
    if found is None:
        known = ", ".join(route.name for route in routes)
        raise ConfigurationError(f"it named route {name[:100]!r}; known are {known}")
    return Match((found,))
