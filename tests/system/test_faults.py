"""A small run of the fault harness: two kills and an SQS that throttles, and no object is lost or twice.

It has an Airflow and a PostgreSQL of its own, with short time-outs (``SHORT`` in ``faults/stage.py``): with
Airflow's own, a dead worker is noticed after five minutes. It takes two to three minutes;
``S3EVENTS_TEST_FAULTS=no`` leaves it out. ``python -m tests.system.faults`` plays the long ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.system.postgres import PostgresMissingError, find_binaries

ROOT = Path(__file__).parents[2]
_OBJECTS = 200
_FAULTS = ("worker", "triggerer", "sqs-throttles")


def _missing() -> str:
    if os.environ.get("S3EVENTS_TEST_FAULTS") == "no":
        return "S3EVENTS_TEST_FAULTS=no leaves the kills out"
    if os.environ.get("S3EVENTS_TEST_DATABASE") == "sqlite":
        return "kills are played on PostgreSQL, and S3EVENTS_TEST_DATABASE asks for SQLite"
    try:
        find_binaries()
    except PostgresMissingError as missing:
        if os.environ.get("S3EVENTS_TEST_DATABASE") is None:
            return f"kills are played on PostgreSQL: {missing}"
    return ""


@pytest.mark.timeout(900)
@pytest.mark.skipif(bool(_missing()), reason=_missing())
def test_kills_and_throttling_neither_lose_nor_double_a_run(tmp_path: Path) -> None:
    report = _play("--objects", str(_OBJECTS), "--kills", ",".join(_FAULTS), "--short", folder=tmp_path)
    assert report["audit"]["clean"], report
    assert report["audit"]["runs"] == _OBJECTS
    assert [fault["in_flight_at_kill"]["in_flight"] > 0 for fault in report["faults"]] == [True] * len(
        _FAULTS
    )
    assert all(fault["met"] > 0 for fault in report["faults"])
    assert report["audit"]["malformed"] == _OBJECTS // 100
    assert report["repeated"] == _OBJECTS // 10


def _play(*options: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.system.faults", *options, "--folder", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr[-4000:]
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report
