"""How fast each side works off what waits: alone, with more waiting, with more workers, with more routes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws
from tests.benchmarks.beside.arrivals import fates, first, rate
from tests.benchmarks.beside.scene import Memory, Scene
from tests.benchmarks.throughput import fill

#: Objects of a round: enough for each side's own rhythm, and for the time that there is.
OBJECTS: Mapping[str, int] = {
    "bare": 200,
    "ours": 200,
    "ours_asset": 2000,
    "stock_asset": 50,
    "stock_sensor": 20,
}
BACKLOGS = (100, 500, 2000, 10_000)
WORKERS = (1, 2, 4, 8)
ROUTES = (1, 10, 50, 500)
#: A loop around a sensor starts a process for each object, whatever waits: more of it would change nothing.
_BACKLOG_SIDES = ("bare", "ours", "ours_asset", "stock_asset")
#: Eight such loops would be a measure of how many processes two cores start.
_MOST_LOOPS = 4
_TIMEOUT_SECONDS = 150.0
_FIXED = ("ours_asset", "stock_asset", "stock_sensor")
Burst = dict[str, Any]


def prepare(aws: EmbeddedAws) -> Mapping[str, str]:
    """Make the queues of the sides that always look at the same one."""
    return {f"BENCHMARK_{side.upper()}": _queue(aws, f"{side.replace('_', '-')}-fixed") for side in _FIXED}


def throughput(scene: Scene, rounds: int) -> dict[str, list[Burst]]:
    """Rounds of every side, in turns, each second round in the other order."""
    found: dict[str, list[Burst]] = {side: [] for side in OBJECTS}
    for number in range(rounds):
        for side in list(found) if number % 2 else reversed(found):
            found[side].append(burst(scene, side, OBJECTS[side]))
    return found


def backlog(scene: Scene) -> dict[str, dict[str, Burst]]:
    """The rate of the first objects while so many wait; an asset takes them all."""
    found: dict[str, dict[str, Burst]] = {}
    for number, waiting in enumerate(BACKLOGS):
        sides = _BACKLOG_SIDES if number % 2 else _BACKLOG_SIDES[::-1]
        found[str(waiting)] = {
            side: burst(scene, side, _of_backlog(side, waiting), waiting=waiting) for side in sides
        }
    return found


def _of_backlog(side: str, waiting: int) -> int:
    return waiting if side == "ours_asset" else min(waiting, OBJECTS[side])


def workers(scene: Scene) -> dict[str, dict[str, Burst]]:
    """Dispatchers, bare loops and, as far as it makes sense, stock loops side by side on one queue."""
    found: dict[str, dict[str, Burst]] = {}
    for number, count in enumerate(WORKERS):
        loops = {"stock_sensor": max(20, 10 * count)} if count <= _MOST_LOOPS else {}
        creates = max(300, 100 * count)
        objects = {"ours": creates, "bare": creates, **loops}
        sides = list(objects) if number % 2 else list(reversed(objects))
        found[str(count)] = {side: burst(scene, side, objects[side], count=count) for side in sides}
    return found


def burst(scene: Scene, side: str, objects: int, *, waiting: int | None = None, count: int = 1) -> Burst:
    """Send objects, have a side work until ``objects`` of them are in runs, and end it.

    Args:
        scene: Where.
        side: Who.
        objects: How many it must have brought into runs; all that are sent, without ``waiting``.
        waiting: How many are sent.
        count: How many workers of its kind.
    """
    stage, tag = scene.stage, scene.tag(side)
    before = scene.counts.of(side)
    queue = stage.cluster.variables.get(f"BENCHMARK_{side.upper()}") or _queue(stage.aws, tag)
    load, began = os.getloadavg()[0], time.time()
    fill(stage.aws, queue, tag, waiting or objects)
    target = f"target_{side}"
    with Memory(scene, f"{side}%") as memory:
        _start(scene, side, tag, queue, count)
        scene.wait_for(
            f"{objects} objects of {side}",
            lambda: len(scene.places(target, tag)) >= objects,
            _TIMEOUT_SECONDS,
        )
        if waiting is None:
            scene.wait_for("an empty queue", lambda: stage.aws.counts(queue) == (0, 0), 60)
        found, calls = first(scene.places(target, tag), objects), scene.counts.of(side) - before
    stage.aws.sqs.purge_queue(QueueUrl=queue)
    _stop(scene, side, count)
    scene.forget_runs(target)
    return {
        "rate": round(rate(found), 2),
        **fates(found, objects),
        "calls": dict(calls),
        "tasks_mib": round(memory.tasks_mib, 1),
        "triggerer_mib": round(memory.triggerer_mib, 1),
        "load": round(load, 2),
        "seconds": round(time.time() - began, 1),
    }


def _start(scene: Scene, side: str, tag: str, queue: str, count: int) -> None:
    if side == "stock_sensor":
        for number in range(count):
            scene.stage.cluster.unpause(f"stock_sensor_{number}")
    elif side not in _FIXED:
        for number in range(count):
            scene.stage.cluster.api.trigger(side, f"{tag}-{number}", {"queue": queue})


def _stop(scene: Scene, side: str, count: int) -> None:
    if side == "stock_sensor":
        for number in range(count):
            scene.stage.cluster.api.set_paused(f"stock_sensor_{number}", True)
        scene.fail_runs("stock_sensor%")
    elif side not in _FIXED:
        scene.fail_runs(side)


def _queue(aws: EmbeddedAws, name: str) -> str:
    """A queue with a dead letter queue, and without S3's test event."""
    url = aws.notifying_bucket(name).queue_url
    aws.sqs.purge_queue(QueueUrl=url)
    return url


def routes(scene: Scene, objects: int = 200) -> dict[str, dict[str, Burst]]:
    """A dispatcher whose events are spread over so many routes, and the bare loop with the same events."""
    found: dict[str, dict[str, Burst]] = {}
    for number, count in enumerate(ROUTES):
        sides: Sequence[str] = ("ours", "bare") if number % 2 else ("bare", "ours")
        found[str(count)] = {side: _routed(scene, side, count, objects) for side in sides}
    return found


def _team_key(count: int, number: int) -> str:
    return f"team-{number % count:03}/file {number:06}.csv"


def _routed(scene: Scene, side: str, count: int, objects: int) -> Burst:
    tag = scene.tag(side)
    queue = _queue(scene.stage.aws, tag)
    fill(scene.stage.aws, queue, tag, objects, partial(_team_key, count))
    dag_id, load = f"ours_{count}" if side == "ours" else side, os.getloadavg()[0]
    with Memory(scene, dag_id) as memory:
        scene.stage.cluster.api.trigger(dag_id, tag, {"queue": queue})
        places = partial(scene.places, "team_%", tag)
        scene.wait_for(f"{objects} of {dag_id}", lambda: len(places()) >= objects, _TIMEOUT_SECONDS)
    scene.fail_runs(dag_id)
    scene.forget_runs("team_%")
    found = places()
    return {
        "rate": round(rate(found), 2),
        **fates(found, objects),
        "tasks_mib": round(memory.tasks_mib, 1),
        "load": round(load, 2),
    }
