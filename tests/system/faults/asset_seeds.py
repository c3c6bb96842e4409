"""Plays one seed with assets: watchers of one queue, two triggerers, and the faults that the seed draws.

    python -m tests.system.faults.asset_seeds --objects 500 --seed 1 --kills triggerer-moves,sqs-fails --short

``series --target assets`` draws the kinds. Each object is wanted by an asset of its own and by the last one,
which wants all; every tenth object's message is sent twice. Progress goes to stderr; the last line of stdout
is one JSON object. Exit status 0: the audit is clean.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from airflow_s3events.testing import object_created_body
from tests.system.faults import clocks, strikes
from tests.system.faults.assets import Stage, set_up
from tests.system.faults.ground import left_out
from tests.system.faults.plan import PlannedObject, Wave, draw, without
from tests.system.faults.stage import DEFAULT, SHORT
from tests.system.faults.targets import TARGETS
from tests.system.faults.weather import SKEWED

#: Between two objects, so that a wave is still being fed when its fault comes.
_PAUSE_SECONDS = 0.2
_STARTED_SECONDS = 240.0


def main() -> int:
    """Play, audit, report."""
    options = _options()
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {text}", file=sys.stderr, flush=True)

    missing = left_out(options.kills, triggerers=2)
    for kind, reason in missing.items():
        say(f"left out: {kind}: {reason}")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="s3events-assets-"))
    environment = (SHORT if options.short else DEFAULT).airflow
    more = {"kinds": options.kills, "scale_out": options.scale_out, "environment": environment}
    try:
        with set_up(folder, options.assets, say=say, **more) as stage:
            waves = without(draw(options.objects, options.seed, options.kills), missing)
            report = _play(stage, waves, options.patience * 60)
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    report |= {"target": "assets", "seed": options.seed, "left_out": missing}
    report |= {"seconds": round(time.monotonic() - started, 1), "scale_out": options.scale_out}
    report["versions"] = {"apache-airflow": version("apache-airflow")}
    print(json.dumps(report, ensure_ascii=False))
    return 0 if report["audit"]["clean"] else 1


def _play(stage: Stage, waves: Sequence[Wave], patience_seconds: float) -> dict[str, Any]:
    faults = []
    with stage.revived() as revived:
        for wave in waves:
            # A triggerer that an earlier fault has killed is back, or the other has its watchers.
            stage.wait("all watchers", stage.is_watched, _STARTED_SECONDS)
            feeding = threading.Thread(target=_feed, args=(stage, wave.objects))
            feeding.start()
            if wave.kill is not None:
                time.sleep(wave.kill.share * len(wave.objects) * _PAUSE_SECONDS)
                faults.append(_strike(stage, wave))
            feeding.join()
        drained = stage.wait_settled(patience_seconds)
    report = {"faults": faults, "drained": drained, "audit": stage.audit(), "revived": dict(revived)}
    return report | {"refused_for_their_clock": stage.sky.met[SKEWED]}


def _strike(stage: Stage, wave: Wave) -> dict[str, Any]:
    kill = wave.kill
    if kill is None:
        raise ValueError("the last wave meets no fault")
    struck: dict[str, Any] = {"kind": kill.kind, "at": time.time(), "watchers": stage.owners()}
    stage.say(f"{kill.kind} for {kill.down_seconds} s; {struck['watchers']}")
    struck["met"] = strikes.strike(stage, kill, None)
    if kill.kind.startswith("clock-"):
        struck["jump_seconds"] = clocks.jump_of(kill, stage.jumps)
    return struck


def _feed(stage: Stage, objects: Sequence[PlannedObject]) -> None:
    """Upload each, but those whose message is to come twice: theirs is sent, and again after its delay."""
    for one in objects:
        key = stage.key_of(one.number)
        if one.copy_delay is None:
            stage.aws.s3.put_object(Bucket=stage.bucket.bucket, Key=key, Body=b"1")
        else:
            # As S3 would: a run looks for what holds its events already no further back than they happened.
            now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            body = object_created_body(stage.bucket.bucket, key, event_time=now)
            for delay in (0, one.copy_delay):
                stage.aws.sqs.send_message(
                    QueueUrl=stage.bucket.queue_url, MessageBody=body, DelaySeconds=delay
                )
        stage.manifest["keys"].append(key)
        time.sleep(_PAUSE_SECONDS)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.system.faults.asset_seeds", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--objects", type=int, default=500)
    parser.add_argument("--assets", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="draws the plan; the same seed, the same plan")
    parser.add_argument(
        "--kills",
        type=_kinds,
        required=True,
        help=f"of {', '.join(TARGETS['assets'].kinds)}; comma-separated",
    )
    parser.add_argument("--scale-out", action="store_true", help="Celery over Redis, two of each")
    parser.add_argument("--short", action="store_true", help="short time-outs: see SHORT in stage.py")
    parser.add_argument("--patience", type=float, default=15.0, help="minutes to wait for the end")
    parser.add_argument("--folder", type=Path, help="work here and leave the logs; default: a temporary one")
    return parser.parse_args()


def _kinds(text: str) -> list[str]:
    kinds = [kind for kind in text.split(",") if kind]
    if unknown := set(kinds) - set(TARGETS["assets"].kinds):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: cannot meet a watcher")
    return kinds


if __name__ == "__main__":
    sys.exit(main())
