"""Thirty days of a bucket's counts, drawn from a seed, with spikes put into them."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from airflow_s3events.anomaly import AnomalyWatch, Series

WATCH = AnomalyWatch(dag_id="told")
WARM_UP = WATCH.windows(WATCH.warm_up_days)
DAY = WATCH.windows(1)
DAYS = 30
SPIKES = 4


class Judged(NamedTuple):
    """What the watch made of one series."""

    spikes: int
    found: int
    false_alarms: int
    in_warm_up: int


def judge(seed: int) -> Judged:
    """Draw a series from ``seed`` and let it be watched."""
    chance = random.Random(seed)
    counts = list(_ordinary(chance))
    spikes = _put_spikes(counts, chance)
    series = Series(WATCH, window=0)
    alarms = [window for window, count in enumerate(counts) if series.add(window, count) is not None]
    return Judged(
        spikes=len(spikes),
        found=len(spikes & set(alarms)),
        false_alarms=len([window for window in alarms if window >= WARM_UP and window not in spikes]),
        in_warm_up=len([window for window in alarms if window < WARM_UP]),
    )


def _ordinary(chance: random.Random) -> Iterator[int]:
    """A rate with days, weekends and a trend, and counts that vary more than chance alone would have them."""
    rate = math.exp(chance.uniform(math.log(2), math.log(300)))
    swing, weekend = chance.uniform(0.0, 0.6), chance.uniform(0.3, 1.0)
    trend, evenness = chance.uniform(-0.01, 0.01), chance.uniform(10.0, 50.0)
    for window in range(WARM_UP + DAYS * DAY):
        day = window / DAY
        level = rate * (1 + swing * math.sin(2 * math.pi * day)) * (1 + trend * day)
        level *= weekend if int(day) % 7 >= 5 else 1.0
        yield _poisson(level * chance.gammavariate(evenness, 1 / evenness), chance)


def _put_spikes(counts: list[int], chance: random.Random) -> set[int]:
    """Put in spikes of 8 robust sigma or more above the week before each, no two on one day."""
    days = chance.sample(range(1, DAYS), SPIKES)
    spikes = {WARM_UP + day * DAY + chance.randrange(DAY) for day in days}
    for window in sorted(spikes):
        past = counts[window - WATCH.windows(WATCH.history_days) : window]
        middle = median(past)
        sigma = max(1.4826 * median(abs(count - middle) for count in past), 1.0, math.sqrt(middle))
        counts[window] = math.ceil(max(middle + chance.uniform(8.0, 20.0) * sigma, WATCH.floor))
    return spikes


def _poisson(mean: float, chance: random.Random) -> int:
    if mean > 30:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count
