"""Metrics: the one table of their names, and a meter that adds up until somebody asks. Pure.

What works counts into a ``Meter``; what knows Airflow drains it into Airflow's stats, every few seconds, so
that a message costs no call of its own. ``docs/reference/metrics.md`` is the same table for readers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

#: Head of every name; Airflow puts its own before it (``[metrics] statsd_prefix``).
PREFIX = "s3events."
#: What may stand in a tag: of StatsD's characters those that no backend reads as a separator.
_NOT_IN_TAGS = re.compile(r"[^a-zA-Z0-9_.-]")
_LONGEST_TAG = 100
#: Durations kept between two drains; of more, every second, fourth, ... one.
_MOST_DURATIONS = 100

Kind = Literal["counter", "gauge", "timing"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: ``meaning`` for readers, ``tags`` beside ``queue``, which all of them have."""

    kind: Kind
    meaning: str
    tags: tuple[str, ...] = ()


def _counters(**meanings: str) -> dict[str, Metric]:
    return {name.replace("__", "."): Metric("counter", text) for name, text in meanings.items()}


#: Every metric by its name without ``s3events.``.
METRICS: Mapping[str, Metric] = {
    **_counters(
        messages__received="Messages that receives returned, redeliveries included",
        messages__redelivered="Of those, ones that were held already",
        messages__acknowledged="Deletes that SQS confirmed",
        messages__released="Given back, to come again after a delay",
        messages__lapsed="Left to their visibility timeout",
    ),
    "messages.dead_lettered": Metric("counter", "Copies sent to the dead letter queue", ("reason",)),
    "messages.in_flight": Metric("gauge", "Received and not settled, now"),
    "messages.held": Metric("gauge", "Of those, on hold until their runs have ended"),
    **_counters(
        receive__calls="`ReceiveMessage` calls, those of the wake-up trigger included",
        receive__empty="Of those, ones that brought nothing",
        receive__failures="Of those, ones that AWS refused or did not answer",
        receive__foreign="Receives that the messages' own counts tell of and that were not ours",
        delete__calls="`DeleteMessageBatch` calls",
        delete__failures="Of those, ones that AWS refused or did not answer",
        delete__refused="Entries that SQS refused in calls that went through, each try counted",
        visibility__extensions="Calls that extended visibility, of up to ten messages",
        outages="Outages met: of AWS, of Airflow, of the ledger",
        audit__written="Audit records that their store has taken",
        audit__lost="Audit records that were given up: their store was away for too long",
        audit__failures="Writes of audit records that did not work, and are tried again",
    ),
    "breaker.open": Metric("gauge", "1 while nothing is tried because of an outage, else 0", ("breaker",)),
    "events.read": Metric("counter", "Object events read from bodies, those of redeliveries included"),
    "events.matched": Metric("counter", "Object events that a route took", ("dag_id",)),
    **_counters(
        events__started="Runs created",
        events__duplicate="Events whose run was there already",
        events__joined="Events whose run was there and is waited for",
        events__restarted="Runs started again",
        events__stale="Events of which a newer one of the same object had come",
        events__unmatched="Events that no route, or no watcher, takes",
        events__ignored="Events older than `ignore_before` or `max_age_seconds`",
        events__dropped="Events that the scorer dropped",
        events__malformed="Bodies and records that cannot be read",
        events__grouped="Events put into a group, which waits to be closed",
        events__waiting="Events that came again while their group waits to be closed",
        events__batched="Events in batch runs that were started",
        events__put_off="Events given back because their DAG is paused, full or refuses them",
        events__gave_up="Events dead-lettered after their DAG had refused them for too long",
        events__not_stored="Runs that Airflow took and did not have when they were read back",
        events__packed="Events handed to Airflow as asset events, by messages of all deliveries",
        events__owed="Events of which part is for a watcher of another triggerer",
        events__error="Events that the filter of a watcher failed on",
        events__rejected="Messages that a watcher refused for good",
        events__failed="Messages that a watcher had not stored when it ended",
        events__passed_on="Messages sent on to the watchers of other triggerers",
        runs__succeeded="Messages on hold whose runs have succeeded",
        runs__failed="Messages on hold whose run failed and is to be started again",
        runs__gave_up="Messages on hold that were dead-lettered",
        runs__vanished="Messages on hold whose run was deleted",
        runs__lapsed="Messages on hold that SQS shows to others again",
    ),
    "lag.event_to_receive": Metric("timing", "From the event's own time to its first receive"),
    "lag.receive_to_run": Metric("timing", "From the receive until Airflow has made the run"),
    "lag.event_to_run": Metric("timing", "From the event's own time until Airflow has made the run"),
    "lag.negative": Metric("counter", "Events from the future by more than a second: a clock is wrong"),
    "queue.waiting": Metric("gauge", "Messages to be received, as SQS estimates it"),
    "queue.in_flight": Metric("gauge", "Messages received by anybody and not settled, as SQS estimates it"),
    "queue.delayed": Metric("gauge", "Messages that are not to be received yet, as SQS estimates it"),
    "queue.oldest_seconds": Metric("gauge", "Age of the oldest message received since the last report"),
    "queue.failures": Metric("counter", "Questions about the queue that AWS refused or did not answer"),
    "scorer.failures": Metric(
        "counter", "Events that the scorer gave no use of, so that the routes decide", ("kind",)
    ),
    "anomalies": Metric("counter", "Anomalies that a DAG was told of", ("kind",)),
    "wake_ups": Metric("counter", "Times that a message had the trigger wake the task"),
    "finding": Metric("gauge", "1 while `s3events status --metrics` finds this wrong, else 0", ("finding",)),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One value to be sent: a counter's growth, a gauge's value, or seconds."""

    name: str
    kind: Kind
    value: float
    tags: Mapping[str, str]


class _Durations:
    """At most ``_MOST_DURATIONS`` of the durations noted, spread evenly over them."""

    __slots__ = ("_seen", "_step", "kept")

    def __init__(self) -> None:
        self.kept: list[float] = []
        self._seen = 0
        self._step = 1

    def note(self, seconds: float) -> None:
        if self._seen % self._step == 0:
            if len(self.kept) == _MOST_DURATIONS:
                self.kept = self.kept[::2]
                self._step *= 2
            self.kept.append(seconds)
        self._seen += 1


class Meter:
    """Adds up what happens with one queue, until it is drained.

    Names are those of ``METRICS``; labels are the values of a metric's own tags, in their order. Nothing is
    checked when something is counted: a wrong name or a label too many is a ``KeyError`` or ``ValueError`` of
    ``drain``.

    Args:
        queue: URL, ARN or name of the queue; its name is the tag ``queue``.
    """

    def __init__(self, queue: str = "") -> None:
        self._queue = tag_value(re.split("[/:]", queue)[-1])
        self._counts: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._totals: dict[tuple[str, tuple[str, ...]], int] = {}
        self._gauges: dict[tuple[str, tuple[str, ...]], float] = {}
        self._durations: dict[str, _Durations] = {}
        self._remarks: dict[str, str] = {}

    def count(self, name: str, *labels: str) -> None:
        """Count one."""
        self._counts[name, labels] += 1

    def total(self, name: str, value: int) -> None:
        """Say how many there have been in all: the growth since the last time is counted, also if it is 0."""
        before = self._totals.get((name, ()), 0)
        self._totals[name, ()] = value
        self._counts[name, ()] += value - before

    def gauge(self, name: str, value: float, *labels: str) -> None:
        """Say how much there is now."""
        self._gauges[name, labels] = value

    def peak(self, name: str, value: float) -> None:
        """As ``gauge``, but the greatest value until the next drain counts, after which it is 0."""
        self._gauges[name, ()] = max(value, self._gauges.get((name, ()), 0.0))

    def time(self, name: str, seconds: float) -> None:
        """Note a duration; a hundred of them between two drains are kept."""
        self._durations.setdefault(name, _Durations()).note(seconds)

    def remark(self, sign: str, reason: str) -> None:
        """Note what a figure does not tell: the name of a sign, and what was seen. The last one counts."""
        self._remarks[sign] = reason

    def remarks(self) -> dict[str, str]:
        """Return what was remarked since the last time."""
        found, self._remarks = self._remarks, {}
        return found

    def drain(self) -> list[Sample]:
        """Return what has come since the last time."""
        found = list(self._samples())
        self._counts.clear()
        self._durations.clear()
        if ("queue.oldest_seconds", ()) in self._gauges:
            self._gauges["queue.oldest_seconds", ()] = 0.0
        return found

    def _samples(self) -> Iterator[Sample]:
        for (name, labels), value in (*self._counts.items(), *self._gauges.items()):
            yield self._sample(name, value, labels)
        for name, durations in self._durations.items():
            for seconds in durations.kept:
                yield self._sample(name, seconds, ())

    def _sample(self, name: str, value: float, labels: tuple[str, ...]) -> Sample:
        metric = METRICS[name]
        tags = dict(zip(metric.tags, map(tag_value, labels), strict=True))
        return Sample(PREFIX + name, metric.kind, value, {"queue": self._queue, **tags})


def tag_value(text: str) -> str:
    """Return ``text`` as every backend takes it in a tag: other characters become ``_``, the rest is cut."""
    return _NOT_IN_TAGS.sub("_", text)[:_LONGEST_TAG] or "none"
