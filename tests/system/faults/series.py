"""Plays many seeds, one after the other, and goes on where it was stopped.

    python -m tests.system.faults.series --seeds 1-10 --objects 500 --results FILE

    python -m tests.system.faults.series --target assets --seeds 1-2 --objects 500 --scale-out --short
    python -m tests.system.faults.series --kinds clock-scheduler,log-disk --faults 2 --seeds 11-12

Each seed draws which faults its waves meet, of the kinds that can meet the target; those of ``MORE_KINDS``
meet the dispatcher only when ``--kinds`` names them. One line of JSON for each seed is added to the file when
it is played; commands that are in the file are left out, so what was stopped goes on. A seed that fails is
printed with the command that plays it again. Exit status 0: every seed's audit was clean.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tests.system.faults.plan import KINDS, MORE_KINDS
from tests.system.faults.targets import TARGETS

#: As the documentation recommends. With less, a message that five faults and the outsider have received ends
#: in the dead letter queue, though its run is there.
_MAX_RECEIVES = 20
_ROOT = Path(__file__).parents[3]


def main() -> int:
    """Play what is not played yet; return the exit status."""
    options = _options()
    known, played = dict(_read(options.results)), dict[int, dict[str, Any]]()
    for seed in options.seeds:
        command = _command(seed, options)
        if tuple(command) not in known:
            known[tuple(command)] = _play(seed, command)
            with options.results.open("a") as results:
                results.write(json.dumps(known[tuple(command)]) + "\n")
        played[seed] = known[tuple(command)]
        print(_line(played[seed]), flush=True)
    bad = [seed for seed in options.seeds if not played[seed]["clean"]]
    for seed in bad:
        print(f"again: {' '.join(played[seed]['command'])}")
    print(_table([played[seed] for seed in options.seeds]))
    print(f"{len(options.seeds) - len(bad)} of {len(options.seeds)} seeds are clean")
    return int(bool(bad))


def faults_of(seed: int, count: int, kinds: Sequence[str] = KINDS) -> list[str]:
    """Return the kinds of fault that a seed meets."""
    return random.Random(seed).sample(kinds, min(count, len(kinds)))


def _command(seed: int, options: argparse.Namespace) -> list[str]:
    kinds = ",".join(faults_of(seed, options.faults, options.kinds or TARGETS[options.target].kinds))
    arguments = ["--objects", str(options.objects), "--seed", str(seed), "--kills", kinds]
    module = "tests.system.faults"
    if options.target == "assets":
        module += ".asset_seeds"
    else:
        arguments += ["--parallel", str(options.parallel), "--max-receives", str(_MAX_RECEIVES)]
        # The first seeds were played before there were targets, and are known by their commands.
        arguments += ["--target", options.target] if options.target != "dispatcher" else []
    arguments += [f"--{flag}" for flag in ("short", "scale-out") if getattr(options, flag.replace("-", "_"))]
    return ["python", "-m", module, *arguments]


def _play(seed: int, command: list[str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, *command[1:]], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    last = done.stdout.splitlines()[-1:] or ["null"]
    report = json.loads(last[0]) or {"audit": {"clean": False}, "broke": done.stderr[-2000:]}
    return {
        "seed": seed,
        "clean": bool(report["audit"]["clean"] and report.get("drained")),
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        **report,
    }


def _read(results: Path) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    for line in results.read_text().splitlines() if results.exists() else ():
        report = json.loads(line)
        yield tuple(report["command"]), report


def _line(report: dict[str, Any]) -> str:
    audit = report["audit"]
    faults = ", ".join(fault["kind"] for fault in report.get("faults", ()))
    counts = ", ".join(
        f"{audit[name]} {name}" for name in ("runs", "lost", "twice", "malformed") if name in audit
    )
    return f"seed {report['seed']}: {'clean' if report['clean'] else 'NOT CLEAN'}; {counts}; met {faults}"


def _table(played: list[dict[str, Any]]) -> str:
    """Return a row of Markdown for each seed."""
    lines = ["| seed | met | runs | lost | twice | malformed, dead letters | silence | took |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for report in played:
        audit, faults = report["audit"], report.get("faults", [])
        silence = max((fault.get("silence_seconds") or 0.0 for fault in faults), default=0.0)
        cells = [report["seed"], ", ".join(fault["kind"] for fault in faults)]
        cells += [audit.get(name, "?") for name in ("runs", "lost", "twice")]
        dead = audit.get("dlq", "?")
        cells += [f"{audit.get('malformed', '?')}, {dead['visible'] if isinstance(dead, dict) else dead}"]
        cells += [f"{silence:.0f} s", f"{report.get('seconds', 0):.0f} s"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.system.faults.series", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--target", choices=list(TARGETS), default="dispatcher")
    parser.add_argument(
        "--kinds", type=_kinds, help=f"draw of these alone: {', '.join(KINDS + MORE_KINDS)}; comma-separated"
    )
    parser.add_argument("--seeds", type=_seeds, default=_seeds("1-10"), help="1-10, or 3,7")
    parser.add_argument("--objects", type=int, default=500)
    parser.add_argument("--faults", type=int, default=5, help="that each seed meets")
    parser.add_argument("--parallel", type=int, default=1, help="dispatchers side by side")
    parser.add_argument("--scale-out", action="store_true", help="Celery over Redis, two of each")
    parser.add_argument("--short", action="store_true", help="short time-outs")
    parser.add_argument("--results", type=Path, default=Path("fault-series.jsonl"))
    return parser.parse_args()


def _kinds(text: str) -> list[str]:
    kinds = text.split(",")
    if unknown := set(kinds) - {*KINDS, *MORE_KINDS}:
        raise argparse.ArgumentTypeError(f"there is no kind {', '.join(sorted(unknown))}")
    return kinds


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if last else [int(one) for one in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
