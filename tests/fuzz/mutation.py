"""Changes to JSON that keep it JSON: bytes alone seldom get past the reader."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

#: Values at which readers stumble.
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**63, 1e308, 0.5, [], {}, [[]], {"": ""}),
    *("", "0", "a" * 300, "..", "%2F%00%zz", "a+b", "\x1b[2J", "\u202e", "\ufeff", "null"),
    *("*", "[", "(a+)+$", "s3://b/k", "1.2.3.4/33"),
    *("2026-11-26T00:00:00Z", "2026-11-26T00:00:00.000+24:00", "9999-12-31T23:59:59Z"),
)

Place = tuple[Any, Any]


def mutate(data: bytes, most_bytes: int, seed: int, by_bytes: Callable[[bytes, int], bytes]) -> bytes:
    """Return ``data`` changed: as JSON four times out of five, where it is JSON, else by ``by_bytes``."""
    chance = random.Random(seed)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return by_bytes(data, most_bytes)
    if chance.random() < 0.2:
        return by_bytes(data, most_bytes)
    for _ in range(chance.randint(1, 3)):
        document = _changed(document, chance)
    return json.dumps(document).encode()[:most_bytes]


def _changed(document: Any, chance: random.Random) -> Any:
    places = list(_places(document))
    if not places or chance.random() < 0.05:
        return _value(places, chance)
    holder, name = chance.choice(places)
    what = chance.randrange(5)
    if what == 0:
        del holder[name]
    elif what == 1 and isinstance(holder, dict):
        holder[_name(places, chance)] = holder.pop(name)
    elif what == 2 and isinstance(holder[name], str):
        holder[name] = _text(holder[name], chance)
    elif what == 3:
        holder[name] = json.dumps(holder[name])
    else:
        holder[name] = _value(places, chance)
    return document


def _places(node: Any) -> Iterator[Place]:
    """Yield each member and item below ``node``: what holds it, and its name there."""
    members = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, inner in list(members):
        yield node, name
        yield from _places(inner)


def _value(places: list[Place], chance: random.Random) -> Any:
    if places and chance.random() < 0.5:
        holder, name = chance.choice(places)
        return json.loads(json.dumps(holder[name]))
    return json.loads(json.dumps(chance.choice(ODD)))


def _name(places: list[Place], chance: random.Random) -> str:
    names = [name for _, name in places if isinstance(name, str)]
    return chance.choice([*names, "", "Records", "when"])


def _text(text: str, chance: random.Random) -> str:
    at = chance.randint(0, len(text))
    piece = str(chance.choice(ODD))[:40]
    return text[:at] + piece + text[chance.randint(at, len(text)) :]
