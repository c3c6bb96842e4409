"""What is odd about a bucket's events, held against the bucket's own past: spikes, and strangers.

Time is that of the events, so a dispatcher that was away for a night sees no spike in what waited. Counts of
windows of equal length are compared with the median of the windows before them; how far is far is told by the
median deviation from it, which a few spikes in the past do not move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address, ip_network
from statistics import median
from typing import Any
from zlib import crc32

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError

COUNTED = ("deletions", "overwrites", "uploads")
STRANGERS = ("principals", "networks")
#: The standard deviation of a normal distribution in median absolute deviations.
_SIGMA_OF_MAD = 1.4826
#: A share of a normal distribution, how many standard deviations above the median it ends, and what a tail
#: may add to sigma: 6 sigma are never more than 7.8 of the median deviation alone.
_HIGH, _SIGMAS_OF_HIGH, _MOST_TAIL = 0.99, 2.326, 1.3
#: Keys by which an overwrite is known, strangers that are remembered, examples in the evidence.
_KEYS, _KNOWN, _EXAMPLES = 1_000, 500, 5
_NETWORK_BITS = {4: 24, 6: 48}
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyWatch:
    """What is watched, and which DAG is told. For the setting ``anomaly`` of a dispatcher.

    Args:
        dag_id: The DAG that gets a run for each anomaly, with the evidence in its conf under ``s3_anomaly``.
        watched: Of ``"deletions"`` (those by request), ``"overwrites"`` (of the last 1,000 keys),
            ``"uploads"``, ``"principals"`` and ``"networks"`` (/24 or /48) that were never seen before.
            Default: all but the last.
        window_seconds: Length of a window of event time. Default 900.
        history_days: Days that a window is compared with. Default 7: a week has its own rhythm.
        warm_up_days: Nothing is told of a bucket for so long after its first event. Default 7.
        sigmas: A count so many robust standard deviations above the median is a spike. Default 6.
        floor: Fewer events in a window than this are never one. Default 20.

    Raises:
        ConfigurationError: One of them cannot work; names it.
    """

    dag_id: str
    watched: tuple[str, ...] = ("deletions", "overwrites", "uploads", "principals")
    window_seconds: int = 900
    history_days: float = 7.0
    warm_up_days: float = 7.0
    sigmas: float = 6.0
    floor: int = 20

    def __post_init__(self) -> None:
        if not self.watched or not set(self.watched) <= {*COUNTED, *STRANGERS}:
            known = ", ".join((*COUNTED, *STRANGERS))
            raise ConfigurationError(f"watched: {self.watched!r} is not a list of {known}")
        for name, least in {
            "window_seconds": 60,
            "history_days": 0.25,
            "warm_up_days": 0.25,
            "floor": 1,
        }.items():
            if not getattr(self, name) >= least:
                raise ConfigurationError(f"{name}: {getattr(self, name)!r} is not a number from {least}")
        if not self.sigmas > 0:
            raise ConfigurationError(f"sigmas: {self.sigmas!r} is not a number above 0")

    def windows(self, days: float) -> int:
        """Return how many windows so many days are."""
        return max(1, round(days * _DAY_SECONDS / self.window_seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """Something odd, and the evidence for it."""

    kind: str
    bucket: str
    #: Seconds since the epoch: the beginning of the window.
    window_start: int
    window_seconds: int
    #: Events in the window so far, what is usual, and how far apart the two are.
    count: int | None = None
    usual: float | None = None
    sigma: float | None = None
    #: Who or what was never seen before.
    stranger: str | None = None
    #: Keys of the latest events of this kind, and who made them.
    examples: tuple[str, ...] = ()
    principals: tuple[str, ...] = ()

    def serialize(self) -> dict[str, Any]:
        """Return plain data (JSON types only): what is in the conf under ``s3_anomaly``."""
        data: dict[str, Any] = {member.name: getattr(self, member.name) for member in fields(self)}
        return {**data, "examples": list(self.examples), "principals": list(self.principals)}

    @staticmethod
    def deserialize(data: Mapping[str, Any]) -> Anomaly:
        """Read back what ``serialize`` gave."""
        lists = {name: tuple(data[name]) for name in ("examples", "principals")}
        return Anomaly(**{**data, **lists})


@dataclass(slots=True)
class Series:
    """Counts of one kind of event in one window after the other."""

    watch: AnomalyWatch
    #: Number of the window that is counted now, what it has so far, and the windows before it.
    window: int
    count: int = 0
    past: list[int] = field(default_factory=list)
    #: The latest window that was a spike.
    spiked: int = -1
    _usual: tuple[float, float] | None = None

    def add(self, window: int, number: int = 1) -> tuple[float, float] | None:
        """Count events of a window; return what is usual and sigma when they make it a spike, once for each.

        A spike that goes on into the next window is the same one.
        """
        if window < self.window:
            self._add_late(window, number)
            return None
        if window > self.window:
            self._move(window)
        self.count += number
        if len(self.past) < self.watch.windows(self.watch.warm_up_days) or self.count < self.watch.floor:
            return None
        usual, sigma = self._usual = self._usual or _usual(self._history())
        if self.count - usual < self.watch.sigmas * sigma:
            return None
        goes_on, self.spiked = self.spiked >= window - 1, window
        return None if goes_on else (usual, sigma)

    def _history(self) -> list[int]:
        return self.past[-self.watch.windows(self.watch.history_days) :]

    def _move(self, window: int) -> None:
        kept = self.watch.windows(max(self.watch.history_days, self.watch.warm_up_days))
        self.past.append(self.count)
        self.past += [0] * min(window - self.window - 1, kept)
        del self.past[:-kept]
        self.window, self.count, self._usual = window, 0, None

    def _add_late(self, window: int, number: int) -> None:
        place = len(self.past) - (self.window - window)
        if place >= 0:
            self.past[place] += number
            self._usual = None

    def serialize(self) -> dict[str, Any]:
        """Return plain data."""
        return {"window": self.window, "count": self.count, "past": self.past, "spiked": self.spiked}


def _usual(history: list[int]) -> tuple[float, float]:
    """Return median and robust sigma; never less than chance alone would make it.

    Counts have a longer tail above than below, which the median deviation does not see. Where the highest
    hundredth tells of one, sigma is greater, by 30 % at most.
    """
    middle = median(history)
    deviation = _SIGMA_OF_MAD * median([abs(count - middle) for count in history])
    sigma = max(deviation, middle**0.5, 1.0)
    high = sorted(history)[int(len(history) * _HIGH)]
    return float(middle), max(sigma, min((high - middle) / _SIGMAS_OF_HIGH, _MOST_TAIL * sigma))


class BucketWatch:
    """One bucket's past, and what is odd about its next event.

    Args:
        watch: What is watched.
        bucket: Its name.
        state: What ``serialize`` gave, to go on from there.
    """

    def __init__(self, watch: AnomalyWatch, bucket: str, state: Mapping[str, Any] | None = None) -> None:
        self._watch, self._bucket = watch, bucket
        state = state or {}
        self._began: int | None = state.get("began")
        self._series = {kind: Series(watch, **data) for kind, data in state.get("series", {}).items()}
        self._keys: dict[int, None] = dict.fromkeys(state.get("keys", ()))
        known = state.get("known", {})
        self._known: dict[str, dict[str, None]] = {
            kind: dict.fromkeys(known.get(kind, ())) for kind in STRANGERS
        }
        self._latest: dict[str, list[tuple[str, str]]] = {}

    def observe(self, event: ObjectEvent) -> list[Anomaly]:
        """Count one event; return what is odd now. An event without a time tells nothing."""
        if event.event_time is None:
            return []
        window = int(event.event_time.timestamp()) // self._watch.window_seconds
        if self._began is None:
            self._began = window
        spikes = [self._count(kind, window, event) for kind in self._kinds(event)]
        strangers = [
            self._stranger(kind, name, window, event)
            for kind, name in (("principals", _principal(event)), ("networks", _network(event)))
        ]
        return [found for found in (*spikes, *strangers) if found is not None]

    def serialize(self) -> dict[str, Any]:
        """Return plain data: the past as far as it is needed."""
        return {
            "began": self._began,
            "series": {kind: series.serialize() for kind, series in self._series.items()},
            "keys": list(self._keys),
            "known": {kind: list(names) for kind, names in self._known.items()},
        }

    def _kinds(self, event: ObjectEvent) -> list[str]:
        kinds = []
        if event.event_type.startswith("ObjectRemoved:"):
            kinds.append("deletions")
        elif event.is_created:
            kinds.append("uploads")
            if self._was_there(crc32(event.key.encode())):
                kinds.append("overwrites")
        return [kind for kind in kinds if kind in self._watch.watched]

    def _was_there(self, key: int) -> bool:
        if "overwrites" not in self._watch.watched:
            return False
        was_there = key in self._keys
        _remember(self._keys, key, _KEYS)
        return was_there

    def _count(self, kind: str, window: int, event: ObjectEvent) -> Anomaly | None:
        series = self._series.get(kind)
        if series is None:
            # As if it had been counted since the bucket's first event: none came.
            began = window if self._began is None else min(self._began, window)
            series = self._series[kind] = Series(self._watch, began)
        latest = self._latest.setdefault(kind, [])
        latest.append((event.key, _principal(event) or ""))
        del latest[:-_EXAMPLES]
        spike = series.add(window)
        if spike is None:
            return None
        usual, sigma = spike
        return self._anomaly(kind, window, count=series.count, usual=usual, sigma=sigma)

    def _stranger(self, kind: str, name: str | None, window: int, event: ObjectEvent) -> Anomaly | None:
        if name is None or kind not in self._watch.watched:
            return None
        known = self._known[kind]
        is_new = name not in known
        _remember(known, name, _KNOWN)
        if not is_new or window - (self._began or 0) < self._watch.windows(self._watch.warm_up_days):
            return None
        self._latest[kind] = [(event.key, _principal(event) or "")]
        return self._anomaly(kind, window, stranger=name)

    def _anomaly(self, kind: str, window: int, **evidence: Any) -> Anomaly:
        latest = self._latest[kind]
        return Anomaly(
            kind=kind,
            bucket=self._bucket,
            window_start=window * self._watch.window_seconds,
            window_seconds=self._watch.window_seconds,
            examples=tuple(key for key, _ in latest),
            principals=tuple(sorted({principal for _, principal in latest if principal})),
            **evidence,
        )


def _remember(known: dict[Any, None], item: Any, most: int) -> None:
    known.pop(item, None)
    known[item] = None
    if len(known) > most:
        del known[next(iter(known))]


def _principal(event: ObjectEvent) -> str | None:
    """Return who it was, without the session of a role: each start of a job has another."""
    return None if not event.principal_id else ":".join(event.principal_id.split(":")[:2])


def _network(event: ObjectEvent) -> str | None:
    try:
        address = ip_address(event.source_ip or "")
    except ValueError:
        return None
    return str(ip_network(f"{address}/{_NETWORK_BITS[address.version]}", strict=False))


def buckets_of(events: Iterable[ObjectEvent]) -> list[str]:
    """Return the names of the buckets that events are about, each once."""
    return list(dict.fromkeys(event.bucket for event in events))
