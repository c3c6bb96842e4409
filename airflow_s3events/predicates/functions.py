"""Tests that are functions of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError, RouteError
from airflow_s3events.predicates.kinds import Kind, Test, some_text


def check_path(setting: str, value: str) -> str:
    """Return the import path of a function; nothing is imported.

    Raises:
        ConfigurationError: It is none; names the setting.
    """
    module, colon, function = value.partition(":")
    if not colon or not all(name.isidentifier() for name in (*module.split("."), *function.split("."))):
        raise ConfigurationError(f"{setting}: {value!r} is not an import path 'package.module:function'")
    return value


def _check_predicate(value: Any) -> str:
    if callable(value):
        raise ConfigurationError(
            "predicate: give the function's import path, 'package.module:function', not itself"
        )
    return check_path("predicate", some_text("predicate", value))


def _predicate_test(value: str) -> Test:
    def test(event: ObjectEvent) -> bool:
        try:
            answer = load(value)(event)
        except Exception as error:  # user code may raise anything; the event is kept, the reason goes with it
            raise RouteError(f"predicate {value!r} raised {type(error).__name__}: {error}") from error
        if not isinstance(answer, bool):
            raise RouteError(f"predicate {value!r} returned {type(answer).__name__}, not bool")
        return answer

    return test


@lru_cache(maxsize=256)
def load(path: str) -> Callable[[ObjectEvent], object]:
    """Return the function of an import path; raises whatever importing it raises."""
    module, _, function = path.partition(":")
    found: Any = attrgetter(function)(import_module(module))
    if not callable(found):
        raise TypeError(f"{path} is a {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]


FUNCTION_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        # As a whole after everything else: user code may take any time, and may fail.
        "predicate": Kind(
            check=_check_predicate,
            test=_predicate_test,
            cost=1_000_000,
            says="{} says yes",
            denies="{} says no",
            show=str,
        ),
    }
)
