"""Plays a scenario on a whole Airflow and audits it.

    python -m tests.system.faults --objects 1000 --seed 1
    python -m tests.system.faults --target ledger --objects 200 --kills clock-scheduler,database --short
    python -m tests.system.faults --scenario api-outage --objects 500 --minutes 10
    python -m tests.system.faults --scenario api-freeze --objects 500 --minutes 10
    python -m tests.system.faults --scenario failed-runs --objects 500

Progress goes to stderr; the last line of stdout is one JSON object. Exit status 0: the audit is clean.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.system.faults import failing, kills, outage, silence
from tests.system.faults.ground import left_out
from tests.system.faults.plan import KINDS, MORE_KINDS, draw, without
from tests.system.faults.stage import DEFAULT, SHORT, Stage, set_up
from tests.system.faults.targets import TARGETS
from tests.system.faults.weather import SKEWED

_KILLS = "triggerer,triggerer,worker,worker,scheduler"
_ALL = KINDS + MORE_KINDS
_SCENARIOS = ["kills", "api-outage", "api-freeze", "failed-runs"]
_PACKAGES = ("apache-airflow", "apache-airflow-providers-amazon", "aiobotocore", "ministack")


def main() -> int:
    """Play, audit, report."""
    options = _options()
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {text}", file=sys.stderr, flush=True)

    options.left_out = left_out(options.kills, triggerers=2 if options.scale_out else 1)
    say(f"scenario {options.scenario}, seed {options.seed}, {options.objects} objects")
    for kind, reason in options.left_out.items():
        say(f"left out: {kind}: {reason}")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="s3events-faults-"))
    try:
        timeouts = SHORT if options.short else DEFAULT
        more: dict[str, Any] = {"max_receive_count": options.max_receives}
        if options.scenario == "failed-runs":
            timeouts = failing.SHORT_TIMEOUTS if options.short else DEFAULT
            more = {"dags_source": failing.DAGS, "max_receive_count": failing.MAX_RECEIVES}
            more |= {"on_redelivery": options.on_redelivery}
        elif options.target == "run_succeeded" and options.short:
            timeouts = failing.SHORT_TIMEOUTS
        more |= {"target": TARGETS[options.target], "kinds": options.kills}
        more |= {"seed": options.seed, "parallel": options.parallel, "scale_out": options.scale_out}
        with set_up(folder, timeouts, say=say, **more) as stage:
            report = _play(stage, options)
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    report["seconds"] = round(time.monotonic() - started, 1)
    print(json.dumps(report, ensure_ascii=False))
    return 0 if report["audit"]["clean"] else 1


def _play(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = {"scenario": options.scenario, "seed": options.seed, "short": options.short}
    report |= {"parallel": options.parallel, "scale_out": options.scale_out, "target": options.target}
    report["left_out"] = options.left_out
    if options.scenario == "failed-runs":
        report["on_redelivery"] = options.on_redelivery
        report |= failing.play(stage, options.objects, options.patience * 60)
        return report | _surroundings(stage)
    if options.scenario == "kills":
        with stage.revived() as revived:
            waves = draw(options.objects, options.seed, options.kills)
            report["faults"] = kills.play(stage, without(waves, options.left_out))
            report["drained"] = stage.wait_drained(options.patience * 60)
        report["revived"] = dict(revived)
    else:
        (wave,) = draw(options.objects, options.seed, [])
        frozen = options.scenario == "api-freeze"
        report["faults"] = [outage.play(stage, wave.objects, options.minutes * 60, frozen=frozen)]
        report["drained"] = stage.wait_drained(options.patience * 60)
    since = [fault.get("back", fault["at"]) for fault in report["faults"]]
    for fault, at, until in zip(report["faults"], since, [*since[1:], float("inf")], strict=True):
        fault.update(silence.after(at, stage.feeder.manifest, stage.run_times(), until))
    if TARGETS[options.target].has_ledger:
        report["drained"] = report["drained"] and stage.forget(options.patience * 60)
    report["audit"] = stage.audit()
    lapsed = stage.feeder.lapsed
    report |= {"repeated": stage.feeder.repeated, "left_to_lapse": lapsed.total()}
    report["refused_for_their_clock"] = stage.sky.met[SKEWED]
    report["most_lapses_of_a_message"] = max(lapsed.values(), default=0)
    return report | _surroundings(stage)


def _surroundings(stage: Stage) -> dict[str, Any]:
    versions = {name: version(name) for name in _PACKAGES} | {"python": platform.python_version()}
    tries, cores = stage.dispatcher()[2], len(os.sched_getaffinity(0))
    return {"dispatcher_tries": tries, "versions": versions, "cores": cores}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.system.faults", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--scenario", choices=_SCENARIOS, default="kills")
    parser.add_argument("--objects", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="draws the plan; the same seed, the same plan")
    parser.add_argument(
        "--kills", type=_kinds, default=_kinds(_KILLS), help=f"of {', '.join(_ALL)}; default {_KILLS}"
    )
    parser.add_argument(
        "--target", choices=[name for name in TARGETS if name != "assets"], default="dispatcher"
    )
    parser.add_argument("--parallel", type=int, default=1, help="dispatchers side by side")
    parser.add_argument("--max-receives", type=int, default=5, help="maxReceiveCount of the redrive policy")
    parser.add_argument(
        "--scale-out", action="store_true", help="Celery over Redis, two schedulers, triggerers and workers"
    )
    parser.add_argument("--on-redelivery", choices=["clear", "new_run"], default="clear")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of an outage")
    parser.add_argument("--patience", type=float, default=30.0, help="minutes to wait for the end")
    parser.add_argument("--short", action="store_true", help="short time-outs: see SHORT in stage.py")
    parser.add_argument("--folder", type=Path, help="work here and leave the logs; default: a temporary one")
    return parser.parse_args()


def _kinds(text: str) -> list[str]:
    kinds = [kind for kind in text.split(",") if kind]
    if unknown := set(kinds) - set(_ALL):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: name kinds of {', '.join(_ALL)}")
    return kinds


if __name__ == "__main__":
    sys.exit(main())
