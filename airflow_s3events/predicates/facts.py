"""Tests of what only S3 can say: tags, metadata, content type, storage class, encryption.

Each raises ``FactsNeededError`` while S3 has not been asked. Nothing is known of an object that is gone or
newer than the event, so none but ``object_state`` matches it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError, FactsNeededError
from airflow_s3events.facts import STATES, ObjectFacts
from airflow_s3events.predicates.kinds import Kind, Test, any_text, some_text

#: As a whole after everything else: a call takes longer than any test, and costs money. Tags come first: a
#: head after them tells whether they are those of the event's object.
_COSTS = {"tags": 1_000_000_000, "head": 1_000_000_001}

_Pair = tuple[tuple[str, str], ...]


def _fact_test(part: str, test: Callable[[ObjectFacts], bool]) -> Test:
    def ask(event: ObjectEvent) -> bool:
        facts = event.facts
        if facts is None or not facts.has(part):
            raise FactsNeededError(part)
        return test(facts)

    return ask


# tag, metadata


def _check_pair(kind: str, name: str, value: Any) -> _Pair:
    if not isinstance(value, Mapping) or name not in value or not set(value) <= {name, "value"}:
        raise ConfigurationError(f"{kind}: {value!r} is not a mapping of {name} and, perhaps, value")
    key = some_text(kind, value[name])
    pair = ((name, key.lower() if kind == "metadata" else key),)
    return pair if value.get("value") is None else (*pair, ("value", any_text(kind, value["value"])))


def _pair_test(part: str, member: str, name: str, value: _Pair) -> Test:
    pair = dict(value)
    key, wanted = pair[name], pair.get("value")

    def test(facts: ObjectFacts) -> bool:
        found: Mapping[str, str] | None = getattr(facts, member)
        if found is None or key not in found:
            return False
        return wanted is None or found[key] == wanted

    return _fact_test(part, test)


def _show_pair(value: _Pair) -> str:
    (_, key), *rest = value
    return f"{key!r}, whatever its value" if not rest else f"{key!r} = {rest[0][1]!r}"


def _pair_kind(kind: str, part: str, member: str, name: str) -> Kind:
    return Kind(
        check=partial(_check_pair, kind, name),
        test=partial(_pair_test, part, member, name),
        cost=_COSTS[part],
        asks=part,
        says=f"the object has {kind} {{}}",
        denies=f"the object has no {kind} {{}}",
        show=_show_pair,
        plain=dict,
    )


# content_type, storage_class, encryption, object_state

_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/(\*|[a-z0-9!#$&^_.+-]+)")
_ENCRYPTIONS = ("none", "AES256", "aws:kms", "aws:kms:dsse")


def _check_content_type(value: Any) -> str:
    text = some_text("content_type", value).lower()
    if not _MEDIA_TYPE.fullmatch(text):
        raise ConfigurationError(
            f"content_type: {value!r} is not of the form 'text/csv' or 'image/*'; parameters are not compared"
        )
    return text


def _content_type_test(value: str) -> Test:
    family = value.removesuffix("*")

    def test(facts: ObjectFacts) -> bool:
        found = (facts.content_type or "").partition(";")[0].strip().lower()
        return found == value or (family != value and found.startswith(family))

    return _fact_test("head", test)


def _check_storage_class(value: Any) -> str:
    text = some_text("storage_class", value)
    if text != text.upper():
        raise ConfigurationError(f"storage_class: {value!r} would match nothing; S3 writes {text.upper()!r}")
    return text


def _check_one_of(kind: str, choices: tuple[str, ...], value: Any) -> str:
    if value not in choices:
        raise ConfigurationError(f"{kind}: {value!r} is not one of {', '.join(choices)}")
    return str(value)


def _encryption_test(value: str) -> Test:
    wanted = None if value == "none" else value
    return _fact_test("head", lambda facts: facts.metadata is not None and facts.encryption == wanted)


def _storage_class_test(value: str) -> Test:
    return _fact_test("head", lambda facts: facts.storage_class == value)


def _state_test(value: str) -> Test:
    return _fact_test("head", lambda facts: facts.state == value)


def _head_kind(check: Callable[[Any], str], test: Callable[[str], Test], what: str) -> Kind:
    return Kind(
        check=check,
        test=test,
        cost=_COSTS["head"],
        asks="head",
        says=f"{what} is {{}}",
        denies=f"{what} is not {{}}",
        show=str,
    )


FACT_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "tag": _pair_kind("tag", "tags", "tags", "key"),
        "metadata": _pair_kind("metadata", "head", "metadata", "name"),
        "content_type": _head_kind(_check_content_type, _content_type_test, "content type"),
        "storage_class": _head_kind(_check_storage_class, _storage_class_test, "storage class"),
        "encryption": _head_kind(
            partial(_check_one_of, "encryption", _ENCRYPTIONS), _encryption_test, "encryption"
        ),
        "object_state": _head_kind(
            partial(_check_one_of, "object_state", STATES), _state_test, "the event's object"
        ),
    }
)
