"""The ``Condition`` of a statement: operators and values against what a request carries.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

#: True, False, or None for "cannot be told from here".
Answer = bool | None

_Compare = Callable[[str, str], bool]

#: Keys that AWS's services do send, with values that cannot be known from a document.
_UNKNOWN_KEYS = {
    "aws:currenttime",
    "aws:epochtime",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:requestedregion",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourcevpc",
    "aws:sourcevpce",
}
_ARN_PARTS = 6


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(letter) or re.escape(letter) for letter in pattern), re.DOTALL)


def is_like(pattern: str, value: str) -> bool:
    """Return whether ``value`` fits ``pattern``, in which ``*`` is any text and ``?`` any one character."""
    return _glob(pattern).fullmatch(value) is not None


def _is_arn_like(pattern: str, value: str) -> bool:
    """Each of the six parts by itself: a ``*`` in one does not reach into the next."""
    patterns, parts = pattern.split(":", _ARN_PARTS - 1), value.split(":", _ARN_PARTS - 1)
    return len(patterns) == len(parts) == _ARN_PARTS and all(map(is_like, patterns, parts))


def _equal(wanted: str, value: str) -> bool:
    return wanted == value


def _equal_folded(wanted: str, value: str) -> bool:
    return wanted.lower() == value.lower()


#: Operator to (comparison, whether it is turned round). ``ArnEquals`` and ``ArnLike`` behave alike.
_OPERATORS: Mapping[str, tuple[_Compare, bool]] = {
    "stringequals": (_equal, False),
    "stringnotequals": (_equal, True),
    "stringequalsignorecase": (_equal_folded, False),
    "stringnotequalsignorecase": (_equal_folded, True),
    "stringlike": (is_like, False),
    "stringnotlike": (is_like, True),
    "arnequals": (_is_arn_like, False),
    "arnlike": (_is_arn_like, False),
    "arnnotequals": (_is_arn_like, True),
    "arnnotlike": (_is_arn_like, True),
    "bool": (_equal_folded, False),
}


def conditions_hold(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> Answer:
    """Return whether every condition holds for a request that carries ``context``.

    All operators and keys must hold; of several values any one will do, and for an operator that is turned
    round none may fit. A key that the request does not carry fits nothing.
    """
    carried = {key.lower(): value for key, value in context.items()}
    answers = [
        _holds(operator.lower(), key.lower(), [str(text) for text in _listed(values)], carried)
        for operator, keys in conditions.items()
        for key, values in keys.items()
    ]
    if False in answers:
        return False
    return None if None in answers else True


def _holds(operator: str, key: str, values: list[str], carried: Mapping[str, str]) -> Answer:
    if key in _UNKNOWN_KEYS and key not in carried:
        return None
    if operator == "null":
        return any((value.lower() == "true") is (key not in carried) for value in values)
    name = operator.removesuffix("ifexists")
    if name not in _OPERATORS:
        return None
    compare, is_turned = _OPERATORS[name]
    if key not in carried:
        return is_turned or name != operator
    if any("${" in value for value in values):
        return None
    return any(compare(value, carried[key]) for value in values) is not is_turned


def _listed(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [item for inner in value for item in _listed(inner)]
    return [str(value).lower() if isinstance(value, bool) else value]
