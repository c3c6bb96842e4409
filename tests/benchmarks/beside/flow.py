"""All sides at work together: how soon a run begins, and what is lost when processes are killed."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.demo.processes import send_signal
from tests.benchmarks import marks
from tests.benchmarks.beside.arrivals import Places, fates, places_of, quantiles
from tests.benchmarks.beside.scene import Scene
from tests.benchmarks.beside.sides import SIDES
from tests.benchmarks.throughput import fill

#: Sides that a trickle of more than a few objects a minute does not drown.
_QUICK = ("ours", "bare", "ours_asset", "stock_asset", "stock_default")
_LOOPS = ("stock_sensor", "stock_s3")
#: Objects that each side is sent before each kill.
_KILLED: Mapping[str, int] = {
    "ours": 100,
    "bare": 100,
    "ours_asset": 1000,
    "stock_asset": 50,
    "stock_sensor": 20,
}
#: The dispatcher lingers for ten of them, and its trigger is quiet for eight more.
_PAUSE_SECONDS = 30.0
#: A run that waits for a retry, or a stock loop at its tasks, changes nothing for so long.
_SETTLED_SECONDS = 60.0
_KILLED_BUCKET = "killed"
#: When each object of a side was uploaded, by its number.
Uploads = dict[str, dict[int, float]]


def prepare(aws: EmbeddedAws) -> Mapping[str, str]:
    """A bucket for each side, with its queue where the side has one."""
    sides = [side for side in SIDES if side != "stock_s3"]
    aws.s3.create_bucket(Bucket=_bucket("stock_s3"))
    return {f"BENCHMARK_{side.upper()}": aws.notifying_bucket(_bucket(side)).queue_url for side in sides}


def begin(scene: Scene) -> None:
    """Start every side, and have each start its first run: what is first loads libraries."""
    for side in SIDES:
        scene.stage.cluster.wait_for_dag(f"target_{side}")
    _run_loops(scene)
    scene.stage.cluster.unpause("ours")
    scene.stage.cluster.api.trigger("bare", "for-ever", {})
    for side in SIDES:
        _upload(scene, side, 0)
    for side in SIDES:
        scene.wait_for(f"the first run of {side}", partial(_has_come, scene, side), 150)


def _has_come(scene: Scene, side: str) -> bool:
    return bool(scene.places(f"target_{side}"))


def latency(scene: Scene, pauses: int, quick: int, slow: int) -> dict[str, Any]:
    """Seconds from upload to stored and to begun run: one object after a pause, and a trickle.

    Args:
        scene: Where all sides work.
        pauses: Objects for each side, half a minute apart.
        quick: Objects of the trickle for each of the quick sides, one every 1.2 s.
        slow: The same for the sides that start a task process for each object, one every 3 s.
    """
    time.sleep(_PAUSE_SECONDS)
    paused = _trickle(scene, tuple(SIDES), 100_000, pauses, _PAUSE_SECONDS)
    _pause_loops(scene)
    before = {side: scene.counts.of(side) for side in _QUICK}
    flowing = _trickle(scene, _QUICK, 200_000, quick, 1.2)
    calls = {side: dict(scene.counts.of(side) - before[side]) for side in _QUICK}
    _run_loops(scene)
    before = {side: scene.counts.of(side) for side in _LOOPS}
    flowing |= _trickle(scene, _LOOPS, 200_000, slow, 3.0)
    _wait_all(scene, flowing)
    calls |= {side: dict(scene.counts.of(side) - before[side]) for side in _LOOPS}
    _pause_loops(scene)
    found = {side: scene.places(f"target_{side}") for side in SIDES}
    return {
        "after a pause": {side: _seconds(paused[side], found[side]) for side in SIDES},
        "trickle": {side: _seconds(flowing[side], found[side]) for side in SIDES},
        "trickle calls": calls,
    }


def _seconds(uploads: Mapping[int, float], found: Places) -> dict[str, Any]:
    come = {number: found[number][0] for number in uploads if number in found}
    begun = {number: place.started for number, place in come.items() if place.started is not None}
    return {
        "sent": len(uploads),
        "stored": quantiles([place.stored - uploads[number] for number, place in come.items()]),
        "begun": quantiles([at - uploads[number] for number, at in begun.items()]),
    }


def _trickle(scene: Scene, sides: Sequence[str], first: int, count: int, every: float) -> Uploads:
    """Upload an object to each side every so many seconds, the sides one after the other in between."""
    uploads: Uploads = {side: {} for side in sides}
    start = time.time()
    for number in range(count):
        for place, side in enumerate(sides):
            time.sleep(max(0.0, start + (number + place / len(sides)) * every - time.time()))
            uploads[side][first + number] = time.time()
            _upload(scene, side, first + number)
    time.sleep(every)
    return uploads


def _wait_all(scene: Scene, uploads: Uploads) -> None:
    def all_begun() -> bool:
        return all(
            set(sent)
            <= {number for number, runs in scene.places(f"target_{side}").items() if runs[0].started}
            for side, sent in uploads.items()
        )

    scene.wait_for("the last runs", all_begun, 150)


def _upload(scene: Scene, side: str, number: int) -> None:
    scene.stage.aws.s3.put_object(Bucket=_bucket(side), Key=f"incoming/file {number:06}.csv", Body=b"1\n")


def _bucket(side: str) -> str:
    return side.replace("_", "-")


def _run_loops(scene: Scene) -> None:
    for side in _LOOPS:
        scene.stage.cluster.unpause(side)


def _pause_loops(scene: Scene) -> None:
    for side in _LOOPS:
        scene.stage.cluster.api.set_paused(side, True)
        scene.fail_runs(side)


def kills(scene: Scene, count: int, seed: int) -> dict[str, Any]:
    """Kill -9 the triggerer and the task processes of all sides at once, at work; what became of it."""
    chance, found = random.Random(seed), Counter[str]()
    for dag_id in ("stock_sensor", "seen"):
        scene.stage.cluster.unpause(dag_id)
    for number in range(count):
        for side, objects in _KILLED.items():
            queue = scene.stage.cluster.variables[f"BENCHMARK_{side.upper()}"]
            fill(scene.stage.aws, queue, _KILLED_BUCKET, objects, partial(_killed_key, number))
        scene.wait_for("stock at work", partial(_works, scene, number), 120)
        time.sleep(chance.uniform(0.2, 2.0))
        found["tasks"] += len(send_signal(scene.task_pids(), signal.SIGKILL))
        found["triggerer"] += len(scene.stage.cluster.kill("triggerer"))
        scene.stage.cluster.restart("triggerer")
    _settle(scene, count)
    return {
        "kills": count,
        "seed": seed,
        "processes": dict(found),
        "sides": {side: _killed(scene, side, count) for side in _KILLED},
        "in two asset runs": fates(scene.places("target_ours_asset", _KILLED_BUCKET), 0)["in two or more"],
    }


def _killed_key(kill: int, number: int) -> str:
    return f"incoming/file {10_000 * (kill + 1) + number:06}.csv"


def _works(scene: Scene, kill: int) -> bool:
    """Whether stock's watcher has begun with what was sent before this kill."""
    return max(scene.places("target_stock_asset", _KILLED_BUCKET), default=0) >= 10_000 * (kill + 1)


def _killed(scene: Scene, side: str, count: int) -> dict[str, int]:
    found = _seen(scene) if side == "ours_asset" else scene.places(f"target_{side}", _KILLED_BUCKET)
    return fates(found, _KILLED[side] * count)


def _seen(scene: Scene) -> Places:
    """The runs of the asset by what a task of each got; an asset event may hold what another held before."""
    notes = [note for note in marks.read(scene.stage.folder) if note["what"] == "seen"]
    return places_of(
        (note["run_id"], note["at"], None, key)
        for note in notes
        for key in note["keys"]
        if key.startswith(_KILLED_BUCKET)
    )


def _settle(scene: Scene, count: int) -> None:
    """Wait until all is in runs, or nothing has changed for a while with every queue empty."""
    last, since = None, time.monotonic()
    queues = [scene.stage.cluster.variables[f"BENCHMARK_{side.upper()}"] for side in _KILLED]

    def settled() -> bool:
        nonlocal last, since
        now = [_killed(scene, side, count) for side in _KILLED]
        empty = all(scene.stage.aws.counts(queue) == (0, 0) for queue in queues)
        if now != last or not empty:
            last, since = now, time.monotonic()
        whole = all(one["in no run"] == 0 for one in now)
        return (whole and empty) or time.monotonic() - since > _SETTLED_SECONDS

    scene.wait_for("all settled", settled, 300)
