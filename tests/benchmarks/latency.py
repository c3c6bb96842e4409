"""From upload to run created: an idle dispatcher, a lingering one, the floor below both, and stock Airflow.

Idle: pairs in one run, each side deferred for as long as the other. The floor is Airflow resuming a
deferred task, woken by a file that its trigger looks for every 10 ms, which creates one run by the call
that ours makes. Time counts from before the upload (ours, stock) or before the file is written (floor)
until Airflow's database has the run.

Trickle: one object each few seconds while the dispatcher lingers; beside it the length of its create calls.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.testing import object_record
from tests.benchmarks import marks, report
from tests.benchmarks.stage import Stage, staged

#: Deferred for so long before the next round: no trigger is still in its quiet time.
_DEFERRED_SECONDS = 12.0
_BUCKETS = ("ours", "trickle", "stock", "bare")
_BARE_SAMPLES = 30
_numbers = itertools.count()


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--pairs", type=int, default=20)
    options.add_argument("--objects", type=int, default=100, help="objects of the trickle")
    options.add_argument("--interval", type=float, default=3.0, help="seconds between them")
    options.add_argument("--stock", type=int, default=8, help="samples of stock Airflow")
    options.add_argument("--preload", action="store_true", help="fork tasks with the AWS libraries loaded")
    chosen = options.parse_args()
    load = report.wait_quiet(chosen.quiet_seconds)
    environment = {"PYTHONPATH": _preloading()} if chosen.preload else {}
    with staged("latency", prepare=prepare, environment=environment) as stage:
        stock = _Stock(stage, chosen.stock)
        rounds = idle(stage, chosen.pairs)
        trickle = _trickle(stage, chosen.objects, chosen.interval)
        bare = _bare(stage)
        samples = stock.finish()
    result = {"load_before": load, "load_after": os.getloadavg()[0], "preload": chosen.preload}
    result |= _result(rounds, trickle, samples) | {"bare": report.summary(bare)}
    name = "latency_preload" if chosen.preload else "latency"
    title = "Upload to run created, AWS libraries loaded once" if chosen.preload else "Upload to run created"
    report.publish(name, title, _text(result), result, write=chosen.write)


def prepare(aws: EmbeddedAws) -> Mapping[str, str]:
    """Make the queues; the variables that the DAG files read."""
    variables = {f"BENCHMARK_{name.upper()}": aws.notifying_bucket(name).queue_url for name in _BUCKETS}
    return variables | {"BENCHMARK_FLOOR": str(aws.folder / "floor.json")}


def _preloading() -> str:
    here = Path(__file__).parent
    return os.pathsep.join((str(here.parents[1]), str(here / "preloading")))


class _Stock:
    """Uploads one object after the other for stock Airflow, in the background, at odd moments."""

    def __init__(self, stage: Stage, count: int) -> None:
        self._stage = stage
        self._count = count
        self._samples: list[float] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> list[float]:
        """Wait for the last sample; return them all."""
        self._thread.join()
        return self._samples

    def _run(self) -> None:
        for number in range(self._count):
            # The poll comes once a minute: spread the uploads evenly over that minute.
            time.sleep((37.0 * number) % 61)
            self._samples.append(
                _seconds(self._stage, "target_stock", partial(_upload, self._stage, "stock"))
            )


def _upload(stage: Stage, bucket: str) -> None:
    stage.aws.s3.put_object(Bucket=bucket, Key=f"incoming/file {next(_numbers):06}.csv", Body=b"1,2\n")


def _write(stage: Stage) -> None:
    """Have the floor create a run whose conf is as long as ours."""
    conf = {"s3_event": object_record("ours", f"incoming/file {next(_numbers):06}.csv")}
    path = stage.aws.folder / "floor.json"
    path.with_suffix(".new").write_text(json.dumps(conf))
    path.with_suffix(".new").replace(path)


def _seconds(stage: Stage, target: str, start: Callable[[], None]) -> float:
    """Seconds from just before ``start`` until the target's next run was stored."""
    before = stage.run_count(target)
    at = time.time()
    start()
    stage.wait(f"a run of {target}", lambda: stage.run_count(target) > before, 180)
    return stage.created_at(target)[-1] - at


def idle(stage: Stage, pairs: int) -> list[dict[str, float]]:
    """Pairs of an upload and of the floor's file, each side deferred for as long as the other."""
    sides = {"ours": partial(_upload, stage, "ours"), "floor": partial(_write, stage)}
    rounds: list[dict[str, float]] = []
    for number in range(pairs):
        found = {}
        for side in list(sides) if number % 2 else reversed(sides):
            stage.wait(f"{side} to be deferred", partial(_is_long_deferred, stage, side))
            at = time.time()
            found[side] = _seconds(stage, f"target_{side}", sides[side])
            found |= {f"{side}_{what}": seconds for what, seconds in _parts(stage, side, at).items()}
        rounds.append(found)
    return rounds


def _is_long_deferred(stage: Stage, dag_id: str) -> bool:
    return stage.deferred_seconds(dag_id) > _DEFERRED_SECONDS


def _parts(stage: Stage, side: str, at: float) -> dict[str, float]:
    """Where the time went: until the process was there, until its task was resumed, until it created."""
    create = stage.wait("the note of the create", lambda: _last(stage, "create", f"target_{side}", at))
    resume = _last(stage, "resume", side, at)
    return {
        "to_process": resume["born"] - at,
        "to_resume": resume["at"] - resume["born"],
        "to_create": create["start"] - resume["at"],
        "create": create["seconds"],
    }


def _last(stage: Stage, what: str, dag_id: str, after: float) -> dict[str, Any]:
    notes = [note for note in marks.read(stage.folder) if note["what"] == what and note["at"] > after]
    return next((note for note in reversed(notes) if note["dag_id"] == dag_id), {})


def _trickle(stage: Stage, count: int, interval_seconds: float) -> dict[str, list[float]]:
    """The first objects only wake the task: they do not count."""
    for _ in range(3):
        _seconds(stage, "target_trickle", partial(_upload, stage, "trickle"))
    uploaded: list[float] = []
    start = time.time()
    for number in range(count):
        time.sleep(max(0.0, start + number * interval_seconds - time.time()))
        uploaded.append(time.time())
        _upload(stage, "trickle")
    stage.wait("the last run", lambda: stage.run_count("target_trickle") == count + 3)
    created = stage.created_at("target_trickle")[3:]
    creates = [
        note["seconds"]
        for note in marks.read(stage.folder)
        if note["what"] == "create" and note["dag_id"] == "target_trickle" and note["at"] > start
    ]
    return {"seconds": [b - a for a, b in zip(uploaded, created, strict=True)], "create": creates}


def _bare(stage: Stage) -> list[float]:
    """From an upload until a bare long poll has its message: the emulator's share of every figure of ours."""
    chance = random.Random(1)
    queue = stage.cluster.variables["BENCHMARK_BARE"]
    # S3's test event is there first.
    stage.aws.sqs.purge_queue(QueueUrl=queue)
    samples = []
    with ThreadPoolExecutor(1) as pool:
        for _ in range(_BARE_SAMPLES):
            poll = pool.submit(_long_poll, stage, queue)
            time.sleep(0.3 + 0.2 * chance.random())
            start = time.time()
            _upload(stage, "bare")
            samples.append(poll.result() - start)
    return samples


def _long_poll(stage: Stage, queue_url: str) -> float:
    got = stage.aws.sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=20)["Messages"]
    at = time.time()
    stage.aws.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=got[0]["ReceiptHandle"])
    return at


def _result(
    idle: list[dict[str, float]], trickle: dict[str, list[float]], stock: list[float]
) -> dict[str, Any]:
    sides = {side: [one[side] for one in idle] for side in ("ours", "floor")}
    parts = {
        name: round(statistics.median([one[name] for one in idle]), 3) for name in idle[0] if "_" in name
    }
    over = statistics.median(sides["ours"]) - statistics.median(sides["floor"])
    lingering, create = report.summary(trickle["seconds"]), report.summary(trickle["create"])
    return {
        "idle": {side: report.summary(values) for side, values in sides.items()},
        "idle_over_floor_s": round(over, 3),
        "idle_parts": parts,
        "trickle": lingering,
        "create": create,
        "trickle_over_create": round(lingering["p50"] / create["p50"], 2),
        "stock": report.summary(stock) if stock else None,
    }


def _text(result: Mapping[str, Any]) -> str:
    named = {
        "idle: ours": result["idle"]["ours"],
        "idle: floor (resume a deferred task, create one run)": result["idle"]["floor"],
        "trickle: ours, lingering": result["trickle"],
        "trickle: its create calls alone": result["create"],
    }
    named["upload to a bare long poll: the emulator's share"] = result["bare"]
    if result["stock"]:
        named["stock Airflow with its defaults"] = result["stock"]
    parts = [
        {
            "idle, median seconds": side,
            "until the task's process": result["idle_parts"][f"{side}_to_process"],
            "until it is resumed": result["idle_parts"][f"{side}_to_resume"],
            "until it creates": result["idle_parts"][f"{side}_to_create"],
            "create call": result["idle_parts"][f"{side}_create"],
        }
        for side in ("ours", "floor")
    ]
    return (
        f"{report.table([{'seconds': name} | figures for name, figures in named.items()])}\n\n"
        f"{report.table(parts)}\n\n"
        f"Idle, median over the floor's: **{result['idle_over_floor_s']} s** (bar: 0.3 s). "
        f"Trickle, p50 over that of a create call: **{result['trickle_over_create']}** (bar: 3). "
        f"Load average before {result['load_before']:.2f}, at the end {result['load_after']:.2f}."
    )


if __name__ == "__main__":
    main()
