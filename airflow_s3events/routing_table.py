"""``routes_from_toml``: a routing table that is a file, with the same members as ``Route`` and ``Routes``.

::

    unmatched = "dead-letter"

    [[routes]]
    dag_id = "load_orders"
    when = { prefix = "orders/", suffix = [".csv", ".tsv"] }
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.routing import Route, Routes

#: Where each member of the list of routes begins.
_HEADER = re.compile(r"\s*\[\[\s*(?:routes|\"routes\"|'routes')\s*\]\]")
_FIRST_WITH_TOML = (3, 11)


def routes_from_toml(path: str | PathLike[str]) -> Routes:
    """Return the routes that a TOML file describes.

    Its members are the arguments of ``Routes``, and those of each ``[[routes]]`` the arguments of ``Route``;
    ``when`` is a filter as ``EventFilter.deserialize`` reads it. In a DAG file name it by its place, since
    Airflow's processes start in another folder: ``Path(__file__).with_name("routes.toml")``.

    Args:
        path: The file, in UTF-8.

    Raises:
        ConfigurationError: It is not there, is no TOML, or says something that cannot be used; the text names
            the file and, where it is about one route, its line, number and name.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read: {error}") from error
    return routes_of_toml(text, name=str(file))


def routes_of_toml(text: str, *, name: str) -> Routes:
    """Return the routes that TOML text describes; ``name`` is what errors call it.

    Raises:
        ConfigurationError: As ``routes_from_toml``.
    """
    toml = _toml()
    try:
        data = toml.loads(text)
    except toml.TOMLDecodeError as error:
        raise ConfigurationError(f"{name}: not TOML: {error}") from error
    routes = data.get("routes")
    if not isinstance(routes, list):
        raise ConfigurationError(f"{name}: no [[routes]]")
    try:
        return Routes.deserialize(
            {**data, **_default(data, name), "routes": list(_routes(text, routes, name))}
        )
    except _PlacedError:
        raise
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error


class _PlacedError(ConfigurationError):
    """Names its place already."""


def _routes(text: str, routes: list[Any], name: str) -> Iterator[Route]:
    lines = [number for number, line in enumerate(text.splitlines(), 1) if _HEADER.match(line)]
    # A list may also be written in one: then there are no headers to count.
    places = [f", line {line}" for line in lines] if len(lines) == len(routes) else [""] * len(routes)
    for number, (data, place) in enumerate(zip(routes, places, strict=True), 1):
        yield _route(data, f"{name}{place}, route {number}")


def _default(data: dict[str, Any], name: str) -> dict[str, Any]:
    return {"default": _route(data["default"], f"{name}, default")} if "default" in data else {}


def _route(data: Any, place: str) -> Route:
    try:
        return Route.deserialize(data)
    except ConfigurationError as error:
        called = data.get("name") or data.get("dag_id") if isinstance(data, dict) else None
        shown = "" if called is None else f" ({called!r})"
        raise _PlacedError(f"{place}{shown}: {error}") from error


def _toml() -> Any:
    return import_module("tomllib" if sys.version_info >= _FIRST_WITH_TOML else "tomli")
