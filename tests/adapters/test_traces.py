"""Airflow's traces, as each line sets them up: with an OTLP receiver, in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace

from airflow_s3events import trace_links_of
from airflow_s3events._compat.traces import links_runs_itself, open_tracing
from airflow_s3events.listeners import traced_runs
from tests.lines import AIRFLOW
from tests.otlp import OtlpServer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def otlp() -> Iterator[OtlpServer]:
    server = OtlpServer()
    yield server
    server.close()


def _process(folder: Path, **settings: str) -> dict[str, Any]:
    environment = {**os.environ, "AIRFLOW_HOME": str(folder), "PYTHONPATH": str(ROOT), **settings}
    command = [sys.executable, "-m", "tests.adapters.tracing_process"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Airflow 2 logs there, too.
    (said,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return dict(json.loads(said))


def test_with_tracing_on_spans_of_ours_reach_airflows_collector(otlp: OtlpServer, tmp_path: Path) -> None:
    said = _process(tmp_path, **otlp.settings)
    assert said["tracer"]
    assert said["listeners"] == ["stranded_events"] + ["traced_runs"] * (not links_runs_itself())
    (span,) = [one for one in otlp.spans() if one.name == "a span of the test"]
    made = (f"{1:032x}", f"{2:016x}")
    links = [one for one in otlp.spans() if one.name == "s3events.link"]
    # Before 3.2 the current span of a task's process is none of the task's.
    assert span.links == ((made,) if AIRFLOW >= (3, 2) else ())
    assert len(links) == (1 if AIRFLOW >= (3, 2) else 2)
    for link in links:
        assert made in link.links
        assert (link.trace_id, link.parent_id) == (f"{3:032x}", f"{4:016x}")


def test_with_tracing_off_there_is_no_tracer_and_no_listener(tmp_path: Path) -> None:
    said = _process(tmp_path)
    assert not said["on"]
    assert not said["tracer"]
    assert said["listeners"] == ["stranded_events"]
    if AIRFLOW < (3, 2):
        assert not said["loaded"], "Airflow has not loaded OpenTelemetry's SDK, nor have we"


def test_a_provider_that_somebody_else_has_set_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    assert open_tracing() is None
    monkeypatch.setattr(trace, "get_tracer_provider", TracerProvider)
    tracing = open_tracing()
    assert tracing is not None
    assert (tracing.flush is None) == (AIRFLOW >= (3, 2))


def test_what_goes_wrong_with_a_link_does_not_reach_the_task(caplog: pytest.LogCaptureFixture) -> None:
    traced_runs.on_task_instance_running(None, object())
    assert "not linked" in caplog.text


def test_a_run_without_a_span_has_no_links() -> None:
    class Run:
        conf: dict[str, Any] = {}  # noqa: RUF012

    assert trace_links_of({"dag_run": Run()}) == []
    Run.conf = {"traceparent": f"00-{1:032x}-{2:016x}-01"}
    (link,) = trace_links_of({"dag_run": Run()})
    assert (link.context.trace_id, link.context.span_id) == (1, 2)
