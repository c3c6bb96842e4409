"""How many events a second 50 routes of three predicates each can tell apart, on one core.

Four of ten events match no route, so all fifty are asked about them; the others stop at a route anywhere in
the list. Run it with ``python tests/benchmarks/routing.py [--json]``; it prints the best and median of five.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from airflow_s3events import filters as f
from airflow_s3events.events import ObjectEvent
from airflow_s3events.filters import EventFilter
from airflow_s3events.routing import Route, Routes
from airflow_s3events.routing_table import routes_from_toml

ROUTES = 50
EVENTS = 20_000
UNMATCHED_SHARE = 0.4
ROUNDS = 5
#: Fifty routes over ten buckets, as somebody would write them.
TABLE = Path(__file__).with_name("routing.toml")


def _plain(number: int) -> EventFilter:
    return f.event_type("ObjectCreated:*") & f.prefix(f"team-{number:02}/landing/") & f.suffix(".csv")


def _late(number: int) -> EventFilter:
    # The worst order: the cheap tests are true for every event, and the one that tells comes last.
    return f.bucket("inbox") & f.event_type("ObjectCreated:*") & f.glob(f"team-{number:02}/**/part-*.csv")


def _any(number: int) -> EventFilter:
    return f.bucket("inbox") & f.suffix(".csv") & f.regex(rf"\Ateam-{number:02}/[a-z]+/part-\d+\.csv\Z")


CASES: dict[str, Callable[[int], EventFilter]] = {
    "event type, prefix, suffix": _plain,
    "bucket, event type, glob": _late,
    "bucket, suffix, regex": _any,
}


def make_events(buckets: int = 1, seed: int = 3) -> list[ObjectEvent]:
    """Return the events: four of ten of a team that has no route."""
    chance = random.Random(seed)
    return [_make_event(number, buckets, chance) for number in range(EVENTS)]


def _make_event(number: int, buckets: int, chance: random.Random) -> ObjectEvent:
    place = chance.randrange(ROUTES)
    team = 99 if chance.random() < UNMATCHED_SHARE else place
    return ObjectEvent(
        event_name="ObjectCreated:Put",
        event_type="ObjectCreated:Put",
        bucket="inbox" if buckets == 1 else f"bucket-{place % buckets}",
        key=f"team-{team:02}/landing/part-{number:08}.csv",
        size=number,
        source_ip=f"10.0.{number % 200}.{number % 250}",
        envelope="s3-records",
    )


def tables() -> Iterator[tuple[str, str, Routes, list[ObjectEvent]]]:
    """Yield each case: its name, its mode, its routes and its events."""
    events = make_events()
    for name, when in CASES.items():
        routes = [Route(dag_id=f"dag_{number:02}", when=when(number)) for number in range(ROUTES)]
        for mode in ("first", "all"):
            yield name, mode, Routes.deserialize({"mode": mode, "routes": routes}), events
    table, events = routes_from_toml(TABLE), make_events(buckets=10)
    for mode in ("first", "all"):
        yield (
            "routing.toml, 10 buckets",
            mode,
            Routes.deserialize({**table.serialize(), "mode": mode}),
            events,
        )


def measure(routes: Routes, events: list[ObjectEvent]) -> tuple[list[float], float]:
    """Return events a second in each round, and the share of events that matched nothing."""
    match = routes.match
    rates = []
    for _ in range(ROUNDS):
        start = time.process_time()
        unmatched = sum(match(event).unmatched for event in events)
        rates.append(len(events) / (time.process_time() - start))
    return rates, unmatched / len(events)


def main() -> None:
    """Measure every case in both modes and print a table or one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the table")
    as_json = parser.parse_args().json
    rows = []
    for name, mode, routes, events in tables():
        rates, unmatched = measure(routes, events)
        rows.append(
            {
                "filter": name,
                "mode": mode,
                "events_per_second": round(max(rates)),
                "median": round(statistics.median(rates)),
                "unmatched": round(unmatched, 2),
            }
        )
    if as_json:
        print(json.dumps({"python": platform.python_version(), "routes": ROUTES, "rows": rows}))
        return
    print(f"{ROUTES} routes, {EVENTS} events, Python {platform.python_version()}, processor time of one core")
    for row in rows:
        print(
            f"{row['filter']:<28} mode {row['mode']:<6} {row['events_per_second']:>9,} events/s "
            f"(median {row['median']:,}), {row['unmatched']:.0%} unmatched"
        )


if __name__ == "__main__":
    main()
