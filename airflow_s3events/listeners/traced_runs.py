"""Links the spans of a run's tasks with the span that made the run: of its message, batch or asset event.

Airflow 3 has no way to give a run a parent when it is made, so the run is linked when its tasks start, by the
``traceparent`` in its conf or in its asset events. Airflow 2 does so itself.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import Any

from airflow.listeners import hookimpl

from airflow_s3events._compat.traces import open_tracing, tasks_have_spans
from airflow_s3events.context import contexts_of_run

log = logging.getLogger(__name__)

_FLUSH_SECONDS = 1.0
_flushing: list[threading.Thread] = []


@hookimpl
def on_task_instance_running(previous_state: Any, task_instance: Any) -> None:  # noqa: ARG001 - named by Airflow
    """Link the task's span; nothing of what may go wrong with that reaches the task."""
    try:
        link_task(task_instance)
    except Exception as error:
        log.warning("The task's span is not linked with its message: %s: %s", type(error).__name__, error)


@hookimpl
def before_stopping(component: Any) -> None:  # noqa: ARG001 - named by Airflow
    """Give the link a second to go out, where Airflow does not see to that."""
    while _flushing:
        _flushing.pop().join(_FLUSH_SECONDS)


def link_task(task_instance: Any) -> None:
    """Link the current span with what made the task's run; where there is none, a short span of our own."""
    contexts = contexts_of_run(task_instance.get_template_context())
    if not contexts:
        return
    from opentelemetry.trace import get_current_span

    from airflow_s3events.tracing import links_to

    links, current = links_to(contexts), get_current_span()
    if not (tasks_have_spans() and current.is_recording()):
        _make_span(task_instance, links)
        return
    for link in links:
        current.add_link(link.context)


def _make_span(task_instance: Any, links: list[Any]) -> None:
    """Make a span below the task's own, which up to 3.1 the scheduler keeps."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    tracing = open_tracing()
    if tracing is None:
        return
    parent = TraceContextTextMapPropagator().extract(getattr(task_instance, "context_carrier", None) or {})
    tracing.tracer.start_span("s3events.link", context=parent, links=links).end()
    if tracing.flush is not None:
        thread = threading.Thread(target=_flush, args=(tracing.flush,), name="s3events spans", daemon=True)
        _flushing.append(thread)
        thread.start()


def _flush(flush: Any) -> None:
    with suppress(Exception):
        flush(int(_FLUSH_SECONDS * 1000))
