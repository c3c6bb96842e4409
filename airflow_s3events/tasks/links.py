"""``trace_links_of(context)``: OpenTelemetry links to what started a run, inside one of its tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_s3events.context import contexts_of_run

if TYPE_CHECKING:
    from opentelemetry.trace import Link


def trace_links_of(context: Mapping[str, Any]) -> list[Link]:
    """Return links to the spans that started the run of ``context``, for a span of your own.

    ``tracer.start_as_current_span("work", links=trace_links_of(context))``. With ``[traces] otel_on`` the
    run's own span (Airflow 2), or that of each of its tasks (Airflow 3), has the links without it.

    Args:
        context: The task's context, as ``execute`` receives it or ``get_current_context()`` returns it.

    Returns:
        One link for a run of one event or of a batch, one for each asset event of a run that an asset
        started; none where tracing was off when the run was made. The spans travel as ``traceparent``
        (https://www.w3.org/TR/trace-context/) in the run's conf, or in the payload of its asset events.
    """
    contexts = contexts_of_run(context)
    if not contexts:
        return []
    from airflow_s3events.tracing import links_to

    return links_to(contexts)
