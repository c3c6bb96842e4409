"""Airflow's own stats (StatsD, DogStatsD, OpenTelemetry), as a task and as a trigger have them.

Airflow 3.2 and later have two copies of them, one in the task SDK for tasks and one in the core for the
triggerer; what is sent to the copy that the process has not set up is lost without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from airflow.configuration import conf

from airflow_s3events._compat import _AIRFLOW

if TYPE_CHECKING:
    from airflow_s3events.metrics import Sample

_SWITCHES = ("statsd_on", "statsd_datadog_enabled", "otel_on")


#: What kind of process asks. In a command nobody has set up Airflow's stats yet.
Process = Literal["task", "triggerer", "command"]


def emitter(process: Process) -> Callable[[Sequence[Sample]], None] | None:
    """Return what sends samples to Airflow's stats in such a process; None where metrics are switched off."""
    if not any(conf.getboolean("metrics", name, fallback=False) for name in _SWITCHES):
        return None
    stats = _stats(process)
    if process == "command" and _AIRFLOW >= (3, 2):
        _set_up(stats)

    def emit(samples: Sequence[Sample]) -> None:
        for sample in samples:
            _send(stats, sample)

    return emit


def _stats(process: Process) -> Any:
    module = "airflow.stats"
    if _AIRFLOW >= (3, 2):
        module = (
            "airflow.observability.stats" if process == "triggerer" else "airflow.sdk.observability.stats"
        )
    return import_module(module).Stats


def _set_up(stats: Any) -> None:
    """As a task's process does when it begins."""
    factories = import_module("airflow.sdk.observability.metrics.stats_utils")
    if _AIRFLOW >= (3, 3):
        legacy = conf.getboolean("metrics", "legacy_names_on", fallback=True)
        stats.initialize(factory=factories.get_stats_factory(), export_legacy_names=legacy)
    else:
        stats.initialize(factory=factories.get_stats_factory(stats))


def _send(stats: Any, sample: Sample) -> None:
    tags = dict(sample.tags)
    if sample.kind == "counter":
        stats.incr(sample.name, int(sample.value), tags=tags)
    elif sample.kind == "gauge":
        stats.gauge(sample.name, sample.value, tags=tags)
    else:
        # A plain number would be seconds on one line of Airflow and milliseconds on another.
        stats.timing(sample.name, timedelta(seconds=sample.value), tags=tags)
