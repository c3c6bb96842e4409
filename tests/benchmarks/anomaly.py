"""Spikes of 8 robust sigma or more: how many are found, and how many alarms are false.

Rounds of five series of 30 days after a week of warm-up, each from a seed that is drawn when the benchmark
runs and is in its output (``tests/anomaly_series.py`` draws the series).
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from airflow_s3events.anomaly import BucketWatch
from tests.anomaly_series import WATCH, judge
from tests.benchmarks import report
from tests.core.filter_strategies import make_event

ROUNDS = 20
SERIES = 5
EVENTS = 100_000


def rate() -> int:
    """Return how many events a second are looked at, of the processor time of one core."""
    from datetime import datetime, timedelta, timezone

    start = datetime(2026, 11, 1, tzinfo=timezone.utc)
    events = [
        make_event(f"k{number}", event_time=start + timedelta(seconds=10 * number), principal_id="AWS:A:s")
        for number in range(EVENTS)
    ]
    bucket = BucketWatch(WATCH, "inbox")
    began = time.process_time()
    for event in events:
        bucket.observe(event)
    return round(EVENTS / (time.process_time() - began))


def main() -> None:
    """Measure, print and, on request, write the page."""
    options = report.parser(__doc__).parse_args()
    rounds = [[(seed, judge(seed)) for seed in _seeds()] for _ in range(ROUNDS)]
    judged = [one for each in rounds for _, one in each]
    spikes, found = sum(one.spikes for one in judged), sum(one.found for one in judged)
    false = [sum(one.false_alarms for _, one in each) for each in rounds]
    result: dict[str, Any] = {
        "seeds": [seed for each in rounds for seed, _ in each],
        "spikes": spikes,
        "found": found,
        "recall": round(found / spikes, 4),
        "false_alarms_by_round": false,
        "in_warm_up": sum(one.in_warm_up for one in judged),
        "events_per_second": rate(),
    }
    text = (
        f"{ROUNDS} rounds of {SERIES} series, 30 days each: **{found}** of {spikes} spikes found, recall"
        f" **{result['recall']}** (bar: 0.95); at most **{max(false)}** false alarms in a round of five"
        f" series (bar: 1), {sum(false)} in all {ROUNDS * SERIES} series; **{result['in_warm_up']}** in"
        f" warm-up (bar: 0).\n\n{result['events_per_second']:,} events a second are looked at, of the"
        " processor time of one core."
    )
    report.publish("anomaly", "Spikes found, and false alarms", text, result, write=options.write)


def _seeds() -> list[int]:
    return [secrets.randbits(32) for _ in range(SERIES)]


if __name__ == "__main__":
    main()
