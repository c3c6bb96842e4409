"""Newest-wins over shuffled events with duplicates, on each store, against the sorted truth.

One event in ten is sent twice. DynamoDB is moto's, so its seconds say nothing of
AWS.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_s3events.events import ObjectEvent
from airflow_s3events.identity import event_id
from airflow_s3events.ledger import Ledger
from airflow_s3events.ordering import by_sequencer
from tests.benchmarks import report
from tests.emulators import moto_server
from tests.ledger_stores import KINDS, open_store
from tests.strategies import make_event
from tests.system.postgres import Postgres

_WINDOW = 1000
_BATCH = 50


def shuffled(count: int, keys: int, seed: int) -> list[ObjectEvent]:
    """Events of ``keys`` keys in order, every tenth sent twice, then shuffled in windows."""
    chance = random.Random(seed)
    in_order = []
    for number in range(count):
        key = f"in/{chance.randrange(keys)}.csv"
        event = make_event(key=key, sequencer=f"0068E1A2B3{number:08X}", request_id=f"r{number}")
        in_order += [event] * (2 if number % 10 == 0 else 1)
    events = []
    for first in range(0, len(in_order), _WINDOW):
        window = in_order[first : first + _WINDOW]
        events += chance.sample(window, len(window))
    return events


def truth(events: list[ObjectEvent]) -> dict[str, str]:
    """The newest event of each key, by sorting."""
    ordered = sorted(events, key=lambda event: event.sequencer or "")
    return {event.key: event_id(event) for event in ordered}


async def decide(ledger: Ledger, events: list[ObjectEvent]) -> tuple[dict[str, str], int]:
    """What a dispatcher would have started last for each key, and how many it would have started in all."""
    last: dict[str, str] = {}
    started: set[str] = set()
    for first in range(0, len(events), _BATCH):
        batch = events[first : first + _BATCH]
        verdicts = await ledger.judge([(event, ["d"]) for event in batch], place=by_sequencer)
        for event, verdict in zip(batch, verdicts, strict=True):
            if not verdict.newer:
                last[event.key] = event_id(event)
                started.add(event_id(event))
    return last, len(started)


@contextlib.contextmanager
def _where(kind: str) -> Iterator[str]:
    if kind == "dynamodb":
        with moto_server() as url:
            yield url
    elif kind == "postgres":
        with Postgres() as server:
            yield server.create_database("ledger")
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'ledger.db'}"


async def measure(kind: str, url: str, events: list[ObjectEvent]) -> dict[str, Any]:
    """Run them all through one store."""
    async with open_store(kind, url=url) as store:
        began = time.perf_counter()
        last, started = await decide(Ledger(store), events)
        seconds = time.perf_counter() - began
    return {
        "store": kind,
        "events": len(events),
        "keys": len(last),
        "started": started,
        "stale": len(events) - started,
        "wrong": sum(last.get(key) != newest for key, newest in truth(events).items()),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    """One row for each store."""
    options = report.parser(__doc__)
    options.add_argument("--events", type=int, default=100_000)
    options.add_argument("--keys", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--stores", nargs="+", default=list(KINDS), choices=KINDS)
    args = options.parse_args()
    events = shuffled(args.events, args.keys, args.seed)
    rows = []
    for kind in args.stores:
        with _where(kind) as url:
            rows.append(asyncio.run(measure(kind, url, events)))
    wrong = sum(row["wrong"] for row in rows)
    text = f"{report.table(rows)}\n\n**{wrong}** keys on which a store and the sorted truth differ (bar: 0)."
    report.publish("newest", "Newest-wins against the sorted truth", text, {"rows": rows}, write=args.write)


if __name__ == "__main__":
    main()
