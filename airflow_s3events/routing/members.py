"""Plain data of routes: what its members may be called and be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from airflow_s3events.exceptions import ConfigurationError


def one_of(setting: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not one of ``choices``; names the setting."""
    if not isinstance(value, str) or value not in choices:
        raise ConfigurationError(f"{setting}: {value!r} is not one of {', '.join(choices)}")


def members_of(what: str, data: Any, cls: type, required: str) -> dict[str, Any]:
    """Return plain data as the arguments of ``cls``; refuse what it does not have."""
    if not isinstance(data, Mapping):
        raise ConfigurationError(f"{what}: {data!r} is not a mapping such as {{{required!r}: ...}}")
    known = [member.name for member in fields(cls) if member.init]
    for name in data:
        if name not in known:
            raise ConfigurationError(f"{what}: unknown member {name!r}; known are {', '.join(known)}")
    if required not in data:
        raise ConfigurationError(f"{what}: {required!r} is missing")
    return dict(data)
