"""This package, stock Airflow and a bare loop side by side: rates, latency, calls, memory, money, growth.

All sides play on one Airflow, one PostgreSQL and one embedded AWS, and take turns; each has a way to AWS of
its own on which its calls are counted. The bare loop is the floor: it receives, creates the run by the call
that ours makes, and deletes.

One command, ``python -m tests.benchmarks.side_by_side --write``, plays all parts. ``--only`` plays some of
them, ``--missing`` those that the page does not have; the page keeps the others as they were.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from typing import Any

from tests.benchmarks import report
from tests.benchmarks.beside import bursts, flow
from tests.benchmarks.beside.idle import idle
from tests.benchmarks.beside.page import text
from tests.benchmarks.beside.scene import Scene, scene

_NAME = "side_by_side"
PARTS = ("throughput", "backlog", "workers", "routes", "latency", "kills", "idle")
GROUPS = {"growth": ("backlog", "workers", "routes", "idle"), "all": PARTS, "nothing": ()}
Found = dict[str, dict[str, Any]]
Keep = Callable[[str, Callable[[], Mapping[str, Any]]], None]


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--only", default="all", help=f"of {', '.join((*PARTS, *GROUPS))}; with commas")
    options.add_argument("--missing", action="store_true", help="only what the page does not have")
    options.add_argument("--rounds", type=int, default=3, help="of the throughput")
    options.add_argument("--kills", type=int, default=2)
    options.add_argument("--seed", type=int, default=11, help="of the moments of the kills")
    options.add_argument("--pauses", type=int, default=4, help="objects after a pause, for each side")
    options.add_argument("--quick", type=int, default=100, help="objects of the trickle")
    options.add_argument("--slow", type=int, default=24, help="the same for the sides of task processes")
    options.add_argument("--idle-seconds", type=float, default=122.0)
    chosen = options.parse_args()
    found = known()
    wanted = [name for name in chosen_parts(chosen.only) if not (chosen.missing and name in found)]
    report.wait_quiet(chosen.quiet_seconds)
    _play(wanted, chosen, partial(_keep, found, wanted, write=chosen.write))
    _publish(found, write=chosen.write)


def chosen_parts(only: str) -> list[str]:
    """The parts that ``--only`` names, in the order in which they are played.

    Raises:
        SystemExit: One of the names is neither a part nor a group.
    """
    names = [name for part in only.split(",") for name in GROUPS.get(part, (part,))]
    if unknown := sorted(set(names) - set(PARTS)):
        raise SystemExit(f"--only: no part {', '.join(unknown)}; there are {', '.join((*PARTS, *GROUPS))}")
    return [name for name in PARTS if name in names]


def known() -> Found:
    """The parts that the page has."""
    page = report.PAGES / f"{_NAME}.md"
    line = re.search(r"```json\n(.+)\n```", page.read_text()) if page.exists() else None
    parts: Found = json.loads(line[1])["parts"] if line else {}
    return parts


def _play(wanted: list[str], chosen: argparse.Namespace, keep: Keep) -> None:
    if {"throughput", "backlog", "workers"} & set(wanted):
        with _bursts("side_by_side", ("target_bare", "target_ours_asset", "stock_sensor_7")) as on:
            keep("throughput", lambda: {"sides": bursts.throughput(on, chosen.rounds)})
            keep("backlog", lambda: {"by": bursts.backlog(on)})
            keep("workers", lambda: {"by": bursts.workers(on)})
    if "routes" in wanted:
        with _bursts("side_by_side_routes", ("ours_500", "bare", "team_499")) as on:
            keep("routes", lambda: {"by": bursts.routes(on)})
    if {"latency", "kills"} & set(wanted):
        with scene("side_by_side_flow", flow.prepare) as on:
            flow.begin(on)
            keep("latency", lambda: flow.latency(on, chosen.pauses, chosen.quick, chosen.slow))
            keep("kills", lambda: flow.kills(on, chosen.kills, chosen.seed))
    if "idle" in wanted:
        keep("idle", lambda: {"kinds": idle(chosen.idle_seconds)})


@contextmanager
def _bursts(dags: str, last: tuple[str, ...]) -> Iterator[Scene]:
    with scene(dags, bursts.prepare) as on:
        for dag_id in last:
            on.stage.cluster.wait_for_dag(dag_id)
        yield on


def _keep(
    found: Found, wanted: list[str], name: str, play: Callable[[], Mapping[str, Any]], *, write: bool
) -> None:
    """Play a part, if it is wanted, and write the page with it: what comes after may fail."""
    if name not in wanted:
        return
    before, began = os.getloadavg()[0], time.monotonic()
    result = play()
    minutes = round((time.monotonic() - began) / 60, 1)
    found[name] = {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M}",
        "minutes": minutes,
        "load_before": round(before, 2),
        "load_after": round(os.getloadavg()[0], 2),
        **result,
    }
    print(f"{name}: {minutes} minutes, load {before:.2f} to {os.getloadavg()[0]:.2f}", file=sys.stderr)
    if write:
        # Another command may have played other parts meanwhile.
        found |= {other: part for other, part in known().items() if other not in wanted}
        _publish(found, write=True)


def _publish(found: Found, *, write: bool) -> None:
    if not found:
        return
    parts = {name: found[name] for name in PARTS if name in found}
    report.publish(_NAME, "Side by side", text(parts), {"parts": parts}, write=write)
    if write:
        from tests.benchmarks.beside.plots import draw

        draw(parts)


if __name__ == "__main__":
    main()
