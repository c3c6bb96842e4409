r"""Whether a regular expression can take long on a key: refused before it meets one.

Python's engine goes back and tries again, and whoever uploads chooses the key. What is let through takes at
most about the square of a key's 1,024 bytes in steps, some milliseconds. The judgement is made on the parsed
pattern and is on the safe side: it refuses some that would do no harm.

* At most two places may take characters of one kind without a limit; where the pattern is not anchored with
  ``\A`` or ``^``, the place to start from is one of the two.
* What is repeated is one character, or a fixed text, or ends (or begins) with a character that nothing else
  in it can take, as in ``(\d+/)*``; alternatives in it begin with different characters.
* No backreferences.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from functools import reduce
from importlib import import_module
from typing import Any

from airflow_s3events.exceptions import ConfigurationError

#: The parser of ``re`` itself.
_parser: Any = import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")

#: How many more times a part may be taken than it must before that counts as without a limit.
_FEW = 4
_MOST_DEGREES = 2
#: Stands for every character beyond Latin-1.
_OTHER = 256
_EVERY = frozenset(range(_OTHER + 1))

_Chars = frozenset[int]
_Item = tuple[Any, Any]


class _Unbounded(Exception):  # noqa: N818 - never leaves this module
    """The pattern can take long; says why."""


def check_bounded(pattern: str) -> None:
    """Refuse a pattern that can take long; one that compiles.

    Raises:
        ConfigurationError: It can; says why, and what to write instead.
    """
    try:
        _check(list(_parser.parse(pattern)))
    except _Unbounded as error:
        raise ConfigurationError(
            rf"regex: {pattern!r} could take long on some keys: {error}; anchor it with \A, leave out a"
            " leading .*, name the characters ([^/]* instead of .*), or use glob"
        ) from None


def _check(items: list[_Item]) -> None:
    is_anchored = bool(items) and _name(items[0]) == "AT" and str(items[0][1]).startswith("AT_BEGINNING")
    taken = [_chars(body) for body in _long(items)]
    degrees = max(sum(char in chars for chars in taken) for char in _EVERY)
    if degrees + (not is_anchored) > _MOST_DEGREES:
        raise _Unbounded("several parts of it can share the same characters in too many ways")


def _name(item: _Item) -> str:
    return str(item[0])


def _parts(item: _Item) -> list[list[_Item]]:
    """Return the sequences inside an item."""
    name, value = _name(item), item[1]
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return [list(value[2])]
    if name == "SUBPATTERN":
        return [list(value[-1])]
    if name == "BRANCH":
        return [list(one) for one in value[1]]
    if name in ("ASSERT", "ASSERT_NOT"):
        return [list(value[1])]
    if name == "ATOMIC_GROUP":
        return [list(value)]
    if name in ("GROUPREF", "GROUPREF_EXISTS", "GROUPREF_IGNORE"):
        raise _Unbounded("it refers back to a group")
    return []


def _long(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Yield what may be taken any number of times: the outermost such parts. Checks all that is repeated."""
    for item in items:
        inner = [body for part in _parts(item) for body in _long(part)]
        if not _name(item).endswith("REPEAT"):
            yield from inner
            continue
        least, most, _ = item[1]
        (body,) = _parts(item)
        if most > 1:
            _check_body(body)
        if most - least > _FEW:
            yield body
        else:
            yield from inner


def _check_body(body: list[_Item]) -> None:
    """Refuse a body that can be repeated over one text in more ways than one."""
    flat = _flat(body)
    variable = [item for item in flat if _is_variable(item)]
    for item in flat:
        if _name(item) == "BRANCH":
            _check_branch(item)
    if not variable:
        return
    if len(variable) > 1 or not any(_delimits(flat, end) for end in (0, -1)):
        raise _Unbounded("a repeated part of it holds another one, and nothing marks where it ends")


def _flat(body: Iterable[_Item]) -> list[_Item]:
    """Return the items of a sequence, groups opened."""
    flat: list[_Item] = []
    for item in body:
        inner = _parts(item) if _name(item) in ("SUBPATTERN", "ATOMIC_GROUP") else None
        flat += [item] if inner is None else _flat(inner[0])
    return flat


def _is_variable(item: _Item) -> bool:
    """Whether it can take texts of several lengths."""
    if _name(item).endswith("REPEAT"):
        least, most, body = item[1]
        return bool(least != most) or any(map(_is_variable, _flat(body)))
    return any(_is_variable(inner) for part in _parts(item) for inner in part)


def _delimits(flat: list[_Item], end: int) -> bool:
    """Whether the item at this end is one character that no other item can take."""
    rest = flat[1:] if end == 0 else flat[:-1]
    return _is_character(flat[end]) and bool(rest) and not _chars([flat[end]]) & _chars(rest)


def _check_branch(branch: _Item) -> None:
    firsts: list[_Chars] = []
    for part in map(_flat, _parts(branch)):
        if not part or not _is_character(part[0]) or any(map(_is_variable, part)):
            raise _Unbounded("a repeated part of it has alternatives of unlike lengths")
        firsts.append(_chars(part[:1]))
    if sum(map(len, firsts)) > len(frozenset().union(*firsts)):
        raise _Unbounded("a repeated part of it has alternatives that begin alike")


def _is_character(item: _Item) -> bool:
    return _name(item) in ("LITERAL", "NOT_LITERAL", "ANY", "IN")


def _chars(items: Iterable[_Item]) -> _Chars:
    """Return the characters that a sequence can take anywhere in it."""
    return reduce(lambda known, item: known | _chars_of(item), items, frozenset())


def _chars_of(item: _Item) -> _Chars:
    name = _name(item)
    if name in ("ASSERT", "ASSERT_NOT", "AT"):
        # They take nothing; what is tried inside them counts where it is repeated.
        return frozenset()
    if not _is_character(item):
        return frozenset().union(*(_chars(part) for part in _parts(item)))
    if name == "LITERAL":
        return frozenset({min(item[1], _OTHER)})
    if name == "NOT_LITERAL":
        return _EVERY - ({item[1]} if item[1] < _OTHER else frozenset())
    return _EVERY if name == "ANY" else _chars_of_set(item[1])


def _chars_of_set(members: Iterable[_Item]) -> _Chars:
    found: _Chars = frozenset()
    is_negated = False
    for member in members:
        name, value = _name(member), member[1]
        if name == "NEGATE":
            is_negated = True
        elif name == "LITERAL":
            found |= {min(value, _OTHER)}
        elif name == "RANGE":
            found |= frozenset(range(min(value[0], _OTHER), min(value[1], _OTHER) + 1))
        else:
            found |= _category(str(value))
    # A set that leaves out some character beyond Latin-1 takes others there.
    return (_EVERY - found) | {_OTHER} if is_negated else found


def _category(name: str) -> _Chars:
    kind = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}[name.rpartition("_")[2]]
    found = frozenset(char for char in range(_OTHER) if re.match(kind, chr(char)))
    return (_EVERY - found if "_NOT_" in name else found) | {_OTHER}
