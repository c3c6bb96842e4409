"""What a task's process does with tracing: run by itself, since a process sets tracing up once."""

from __future__ import annotations

import asyncio
import json
import sys

import airflow  # noqa: F401 - its set-up is what is tried

from airflow_s3events._compat.traces import has_traces, open_tracing
from airflow_s3events.plugins.s3_events import S3EventsPlugin


class _Run:
    conf = {"traceparent": f"00-{1:032x}-{2:016x}-01"}  # noqa: RUF012


class _Task:
    """What a listener is given, as far as it looks at it."""

    context_carrier = {"traceparent": f"00-{3:032x}-{4:016x}-01"}  # noqa: RUF012

    def get_template_context(self) -> dict[str, object]:
        return {"dag_run": _Run()}


def main() -> None:
    """Make a span, link another, export both, and say what there is."""
    tracing = open_tracing()
    if tracing is not None:
        from airflow_s3events.listeners import traced_runs
        from airflow_s3events.tracing import Traces

        with tracing.tracer.start_as_current_span("a span of the test") as span:
            traced_runs.on_task_instance_running(None, _Task())
        del span
        traced_runs.on_task_instance_running(None, _Task())
        traced_runs.before_stopping(None)
        asyncio.run(Traces(tracer=tracing.tracer, flush=tracing.flush).finish())
        if tracing.flush is None:  # Airflow does it then
            from opentelemetry.trace import get_tracer_provider

            get_tracer_provider().force_flush()  # type: ignore[attr-defined]
    names = [module.__name__.rpartition(".")[2] for module in S3EventsPlugin.listeners]
    loaded = "opentelemetry.sdk.trace" in sys.modules
    print(
        json.dumps({"on": has_traces(), "tracer": tracing is not None, "listeners": names, "loaded": loaded})
    )


main()
