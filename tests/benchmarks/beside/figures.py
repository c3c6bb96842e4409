"""The figures of the page, from what the parts measured: medians, calls, money, series. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.benchmarks.beside import prices
from tests.benchmarks.beside.sides import SIDES

#: Kinds of calls in the order of the page, and the actions of each; all others are of the last kind.
_KINDS: Mapping[str, tuple[str, ...]] = {
    "receive": ("ReceiveMessage",),
    "delete": ("DeleteMessage", "DeleteMessageBatch"),
    "visibility": ("ChangeMessageVisibility", "ChangeMessageVisibilityBatch"),
    "Get…": ("GetQueueAttributes", "GetQueueUrl"),
    "S3": (),
}
Parts = Mapping[str, Mapping[str, Any]]


def kinds_of(calls: Mapping[str, float]) -> dict[str, float]:
    """Calls by kind."""
    found = dict.fromkeys(_KINDS, 0.0)
    for action, count in calls.items():
        kind = next((name for name, actions in _KINDS.items() if action in actions), "S3")
        found[kind] += count
    return found


def together(calls: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The sum of calls of several rounds."""
    found: Counter[str] = Counter()
    for one in calls:
        found.update(one)
    return dict(found)


def each(calls: Mapping[str, float], objects: int) -> dict[str, float]:
    """Calls of each kind for one object, and of all kinds."""
    found = {kind: round(count / objects, 3) for kind, count in kinds_of(calls).items()}
    return {**found, "all": round(sum(calls.values()) / objects, 3)}


def rates(parts: Parts) -> dict[str, list[float]]:
    """Objects a second of each side, round by round."""
    rounds = parts.get("throughput", {}).get("sides", {})
    return {side: [one["rate"] for one in found] for side, found in rounds.items()}


def middle(values: Sequence[float]) -> float:
    """The median; of none, 0."""
    return statistics.median(values) if values else 0.0


def busy_calls(parts: Parts) -> dict[str, tuple[dict[str, float], int]]:
    """Calls of each side while it worked off what waited, and for how many objects."""
    rounds = parts.get("throughput", {}).get("sides", {})
    return {
        side: (together(one["calls"] for one in found), sum(one["sent"] for one in found))
        for side, found in rounds.items()
    }


def trickle_calls(parts: Parts) -> dict[str, tuple[dict[str, float], int]]:
    """The same while objects came one by one."""
    latency = parts.get("latency", {})
    calls = latency.get("trickle calls", {})
    return {side: (found, latency["trickle"][side]["sent"]) for side, found in calls.items()}


def costs(parts: Parts) -> dict[str, dict[str, float]]:
    """US dollars for a million objects of each side: worked off together, and come one by one."""
    found: dict[str, dict[str, float]] = {}
    for what, counted in (("together", busy_calls(parts)), ("one by one", trickle_calls(parts))):
        for side, (calls, objects) in counted.items():
            dollars = prices.cost_of_a_million(calls, objects, sends=side != "stock_s3")
            found.setdefault(side, {})[what] = round(dollars, 2)
    return found


def series(parts: Parts, part: str, member: str) -> dict[str, dict[float, float]]:
    """A figure of each side by what grew: ``{side: {x: figure}}``."""
    found: dict[str, dict[float, float]] = {}
    for x, sides in parts.get(part, {}).get("by", {}).items():
        for side, one in sides.items():
            found.setdefault(side, {})[float(x)] = float(one[member])
    return {side: found[side] for side in SIDES if side in found}


def idle_series(parts: Parts, member: str) -> dict[str, dict[float, float]]:
    """A figure of waiting triggers by the number of queues or watchers; ``calls``: all calls an hour."""
    kinds = parts.get("idle", {}).get("kinds", {})

    def figure(one: Mapping[str, Any]) -> float:
        return float(sum(one["calls"].values()) if member == "calls" else one[member])

    return {
        kind: {float(count): figure(one) for count, one in found.items()} for kind, found in kinds.items()
    }
