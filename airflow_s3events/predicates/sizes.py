"""Tests of an object's size."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.predicates.kinds import Kind, Test


def _check_size(value: Any) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, Mapping) or not set(value) <= {"min_bytes", "max_bytes"}:
        raise ConfigurationError(f"size: {value!r} is not a mapping of min_bytes, max_bytes or both")
    bounds = {name: bound for name, bound in value.items() if bound is not None}
    for name, bound in bounds.items():
        if type(bound) is not int or bound < 0:
            raise ConfigurationError(f"size: {name}={bound!r} is not a whole number of bytes from 0")
    least, most = bounds.get("min_bytes", 0), bounds.get("max_bytes")
    if not bounds or (most is not None and least > most):
        raise ConfigurationError(
            f"size: {dict(value)!r} bounds nothing; give min_bytes, max_bytes or both, in order"
        )
    return (("min_bytes", least),) if most is None else (("max_bytes", most), ("min_bytes", least))


def _size_test(value: tuple[tuple[str, int], ...]) -> Test:
    bounds = dict(value)
    least, most = bounds["min_bytes"], bounds.get("max_bytes")
    if most is None:
        return lambda event: event.size is not None and least <= event.size
    return lambda event: event.size is not None and least <= event.size <= most


def _show_size(value: tuple[tuple[str, int], ...]) -> str:
    bounds = dict(value)
    least, most = bounds["min_bytes"], bounds.get("max_bytes")
    if most is None:
        return f"at least {least} bytes"
    return f"{least} to {most} bytes" if least else f"at most {most} bytes"


SIZE_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "size": Kind(
            check=_check_size,
            test=_size_test,
            cost=3,
            says="size is {}",
            denies="size is not {}",
            show=_show_size,
            plain=dict,
        ),
    }
)
