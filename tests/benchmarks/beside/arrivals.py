"""What became of the objects of a round: in which runs they are, how fast, how many in none. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks import report

#: As ``throughput.fill`` names objects, with the key decoded or as S3 sends it.
_OBJECT = re.compile(r"file[ +](\d{6})\.csv")


@dataclass(frozen=True)
class Place:
    """A run that an object is in: its id, and when it was stored and began, in seconds since the epoch."""

    run_id: str
    stored: float
    started: float | None = None


#: The runs that each object is in, by the object's number, the earliest first.
Places = Mapping[int, Sequence[Place]]


def objects_in(text: str) -> set[int]:
    """Numbers of the objects that a run's conf or an asset event tells of."""
    return {int(number) for number in _OBJECT.findall(text)}


def places_of(rows: Iterable[tuple[str, float, float | None, str]]) -> dict[int, list[Place]]:
    """Sort runs by the objects in them; a row is run id, stored, started, and the text with the keys."""
    found: dict[int, dict[str, Place]] = {}
    for run_id, stored, started, text in rows:
        for number in objects_in(text):
            found.setdefault(number, {})[run_id] = Place(run_id, stored, started)
    return {number: sorted(runs.values(), key=lambda one: one.stored) for number, runs in found.items()}


def first(places: Places, count: int) -> Places:
    """The first so many objects that came into runs: when a side is ended, more may have."""
    return dict(sorted(places.items(), key=lambda item: item[1][0].stored)[:count])


def rate(places: Places) -> float:
    """Objects a second that got into runs, those of the first run left out; 0 where all are in one."""
    stored = sorted(runs[0].stored for runs in places.values())
    later = [at for at in stored if at > stored[0]]
    return len(later) / (later[-1] - stored[0]) if later else 0.0


def fates(places: Places, sent: int) -> dict[str, int]:
    """How many objects of ``sent`` are in no run, how many in two or more, and how many runs there are."""
    runs = {place.run_id for found in places.values() for place in found}
    twice = sum(len(found) > 1 for found in places.values())
    return {"sent": sent, "runs": len(runs), "in no run": sent - len(places), "in two or more": twice}


def quantiles(values: Sequence[float]) -> dict[str, Any]:
    """How many, p50, p95, p99 and the most; with fewer than 100 values p99 is near the most, or it."""
    if not values:
        return {"n": 0, "p50": None, "p95": None, "p99": None, "max": None}
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    found = {name: round(report.percentile(values, share), 3) for name, share in shares.items()}
    return {"n": len(values), **found, "max": round(max(values), 3)}
