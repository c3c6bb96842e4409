"""Airflow's own traces, as a task, a trigger and a listener have them.

Up to 3.1 Airflow keeps a tracer of its own; from 3.2 on it sets OpenTelemetry's global provider, as an agent
or a plugin of yours may on every line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf

from airflow_s3events._compat import _AIRFLOW

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_NAME = "airflow_s3events"


@dataclass(frozen=True, slots=True)
class Tracing:
    """What makes spans, and what has those on their way exported at the end of a task.

    ``flush`` takes milliseconds; None: Airflow does it at the end of each task.
    """

    tracer: Tracer
    flush: Callable[[int], object] | None


def has_traces() -> bool:
    """Return whether this Airflow makes spans: ``[traces] otel_on``."""
    return conf.getboolean("traces", "otel_on", fallback=False)


def links_runs_itself() -> bool:
    """Return whether Airflow links a run's span with the ``traceparent`` of its conf: Airflow 2 does."""
    return _AIRFLOW < (3, 0)


def tasks_have_spans() -> bool:
    """Return whether the current span of a task's process is the task's own.

    Before 3.2 the scheduler keeps that; what is current in a process forked by an executor of Airflow 3.0 is
    the scheduler's own span, or what is left of it.
    """
    return _AIRFLOW >= (3, 2)


def open_tracing() -> Tracing | None:
    """Return what makes spans in this process; None where nobody has switched tracing on.

    May ask for the name of the host.
    """
    if has_traces() and _AIRFLOW < (3, 2):
        return _own_tracing()
    # Who has not even loaded it has set no provider; from 3.2 on Airflow's set-up loads it.
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    provider: Any = trace.get_tracer_provider()
    if isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
        return None
    flush = getattr(provider, "force_flush", None)
    return Tracing(trace.get_tracer(_NAME), None if _AIRFLOW >= (3, 2) else flush)


def _own_tracing() -> Tracing | None:
    from opentelemetry.trace import Tracer

    tracer: Any = import_module("airflow.traces.tracer").Trace.get_tracer(_NAME)
    if not isinstance(tracer, Tracer):  # Airflow could not set it up, and has said so
        return None
    return Tracing(tracer, tracer.span_processor.force_flush if hasattr(tracer, "span_processor") else None)
