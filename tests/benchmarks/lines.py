"""Upload to run, idle, on several lines of Airflow, each beside its own floor.

    python -m tests.benchmarks.lines --pairs 5 /venvs/2.11.2/bin/python /venvs/3.0.6/bin/python --write

Each line is measured in a process of its own Python, by what ``latency`` does for an idle dispatcher.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks import latency, report
from tests.benchmarks.stage import staged

_ROOT = Path(__file__).parents[2]


def main() -> None:
    """Measure every line, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--pairs", type=int, default=5)
    options.add_argument("pythons", nargs="*", help="interpreters; none: measure this one and print it")
    chosen = options.parse_args()
    if not chosen.pythons:
        print(json.dumps(_measure(chosen.pairs)))
        return
    rows = []
    for python in chosen.pythons:
        rows.append(_of(python, chosen.pairs))
        print(rows[-1], file=sys.stderr, flush=True)
    # The page's command names no folder of this machine.
    sys.argv = [sys.argv[0], "--pairs", str(chosen.pairs), *(f"PYTHON_OF_{row['Airflow']}" for row in rows)]
    text = (
        f"{report.table(rows)}\n\nSeconds, median of {chosen.pairs} pairs. The floor is Airflow resuming a "
        "deferred task that creates one run by the same call."
    )
    report.publish("lines", "Upload to run on each line of Airflow", text, {"rows": rows}, write=chosen.write)


def _of(python: str, pairs: int) -> dict[str, Any]:
    command = [python, "-m", "tests.benchmarks.lines", "--pairs", str(pairs)]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def _measure(pairs: int) -> dict[str, Any]:
    with staged("latency", prepare=latency.prepare) as stage:
        rounds = latency.idle(stage, pairs)
    ours, floor = (report.summary([one[side] for one in rounds])["p50"] for side in ("ours", "floor"))
    to_create, create = (
        report.summary([one[name] for one in rounds])["p50"] for name in ("ours_to_create", "ours_create")
    )
    return {
        "Airflow": version("apache-airflow"),
        "amazon provider": version("apache-airflow-providers-amazon"),
        "ours": ours,
        "floor": floor,
        "over the floor": round(ours - floor, 3),
        "of it, until it creates": to_create,
        "create call": create,
    }


if __name__ == "__main__":
    main()
