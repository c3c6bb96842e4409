"""What ``_compat`` answers for the installed Airflow."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from airflow_s3events._compat import airflow_runs, earliest_resume_seconds, sigterm_calls
from tests.lines import AIRFLOW


def test_a_task_is_not_woken_before_its_supervisor_has_noticed_the_deferral() -> None:
    from airflow.configuration import conf

    assert earliest_resume_seconds() > conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0)


def test_the_runs_are_those_of_the_installed_airflow() -> None:
    wanted = "DatabaseRuns" if AIRFLOW < (3, 0) else "SupervisorRuns"
    assert type(airflow_runs()).__name__ == wanted


@pytest.mark.skipif(AIRFLOW >= (3, 0), reason="Airflow 3 only calls on_kill by itself")
def test_a_sigterm_is_told_at_once_and_ends_the_task_after_its_work() -> None:
    seen: list[str] = []

    def airflow_s_own(_signum: int, _frame: Any) -> None:
        seen.append("ended")
        raise InterruptedError

    before = signal.signal(signal.SIGTERM, airflow_s_own)
    try:
        with pytest.raises(InterruptedError):
            _work_through_a_sigterm(seen)
        assert signal.getsignal(signal.SIGTERM) is airflow_s_own
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == ["told", "worked on", "ended"]


def _work_through_a_sigterm(seen: list[str]) -> None:
    with sigterm_calls(lambda: seen.append("told")):
        os.kill(os.getpid(), signal.SIGTERM)
        seen.append("worked on")
