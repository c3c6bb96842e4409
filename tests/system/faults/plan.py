"""What is uploaded and what is killed when, drawn from a seed: the same seed draws the same plan."""

from __future__ import annotations

import random
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

#: ``worker`` is the worker that runs the dispatcher; ``task`` only the dispatcher's own process in it;
#: ``freeze`` stops that process (SIGSTOP) until its messages have lapsed, then lets it go on. ``stall-...``
#: stops a component for the time that it would be away. ``database`` is killed and started again;
#: ``sqs-...`` is what SQS does for that time: it fails, throttles, or answers late.
KINDS = (
    "triggerer",
    "worker",
    "scheduler",
    "task",
    "freeze",
    "api-server",
    "database",
    "stall-scheduler",
    "stall-triggerer",
    "stall-api-server",
    "sqs-fails",
    "sqs-throttles",
    "sqs-is-slow",
)
#: Kinds that need more of the machine; drawn when asked for, so that old seeds stay what they were. The clock
#: jumps of a scheduler and its worker (that of the dispatcher), or of a triggerer; the disk for logs is full;
#: a triggerer stands still for so long that the other takes its triggers, and then both live.
MORE_KINDS = ("clock-scheduler", "clock-triggerer", "log-disk", "triggerer-moves")
#: Every so many messages one is sent twice.
_REPEAT_EVERY = 10
#: Every so many objects one is a new version of an object before it: another event, so another run.
_OVERWRITE_EVERY = 15
#: Every so many messages one is nobody's object event.
_MALFORMED_EVERY = 100
#: Every so many messages one is hidden at first, so that later ones pass it.
_LATE_EVERY = 7
#: Keys that S3 encodes, that look like something else, or that a path would mangle.
_NAMES = ("report.csv", "day 1/a+b.csv", "größe/€ 5.parquet", "a=1/b=2/..part", "100%25/[x].json", "x" * 300)
_LONGEST_COPY_DELAY_SECONDS = 15


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """One object event to come.

    ``is_upload`` puts a real object; else a body in AWS's form goes straight to the queue, visible after
    ``delay`` seconds. ``copy_delay`` is None for a message that comes once, else the seconds after which its
    copy comes. ``has_bad_neighbour``: right before it comes a body that names no object.
    """

    number: int
    key: str
    size: int
    is_upload: bool
    copy_delay: int | None
    delay: int = 0
    has_bad_neighbour: bool = False


@dataclass(frozen=True, slots=True)
class Kill:
    """A fault: of what, when ``share`` of its wave has runs, and for how long a component stays away."""

    kind: str
    share: float
    down_seconds: float


@dataclass(frozen=True, slots=True)
class Wave:
    """Objects that come together, and the kill that meets them."""

    objects: tuple[PlannedObject, ...]
    kill: Kill | None


def draw(objects: int, seed: int, kinds: Sequence[str]) -> list[Wave]:
    """Return one wave for each kill, in an order drawn from ``seed``, and a last one without a kill."""
    chance = random.Random(seed)
    order = chance.sample(list(kinds), len(kinds))
    planned = [_object(number, chance) for number in range(objects)]
    planned = [_maybe_overwrite(one, planned, chance) for one in planned]
    kills = [_kill(kind, chance) for kind in order]
    cuts = [round(objects * wave / (len(kills) + 1)) for wave in range(len(kills) + 2)]
    return [
        Wave(tuple(planned[first:last]), kill)
        for first, last, kill in zip(cuts, cuts[1:], [*kills, None], strict=False)
    ]


def without(waves: Sequence[Wave], kinds: Container[str]) -> list[Wave]:
    """Return the same plan without some kinds of fault: their waves meet none."""
    return [replace(wave, kill=None) if wave.kill and wave.kill.kind in kinds else wave for wave in waves]


def _object(number: int, chance: random.Random) -> PlannedObject:
    return PlannedObject(
        number=number,
        key=f"in/{number:05}/{chance.choice(_NAMES)}",
        size=chance.randrange(0, 2_000),
        is_upload=number % 2 == 0,
        copy_delay=chance.randrange(_LONGEST_COPY_DELAY_SECONDS) if number % _REPEAT_EVERY == 1 else None,
        delay=chance.randrange(1, _LONGEST_COPY_DELAY_SECONDS) if number % _LATE_EVERY == 1 else 0,
        has_bad_neighbour=number % _MALFORMED_EVERY == _MALFORMED_EVERY - 1,
    )


def _maybe_overwrite(
    one: PlannedObject, planned: Sequence[PlannedObject], chance: random.Random
) -> PlannedObject:
    if one.number % _OVERWRITE_EVERY != _OVERWRITE_EVERY - 1:
        return one
    key = planned[chance.randrange(max(0, one.number - 40), one.number)].key
    return replace(one, key=key)


def _kill(kind: str, chance: random.Random) -> Kill:
    return Kill(kind, share=round(chance.uniform(0.1, 0.5), 2), down_seconds=round(chance.uniform(2, 12), 1))
