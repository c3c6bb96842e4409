"""The page of faults names signs that there are, and leaves no fault without one."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_s3events.metrics import METRICS
from airflow_s3events.watchdog import FINDINGS

PAGE = Path(__file__).parents[2] / "docs/reference/signs.md"


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def named(cell: str) -> set[str]:
    return set(re.findall(r"`([a-z_.]+)`", cell)) - {"status"}


def test_there_are_fifteen_faults_each_with_a_sign() -> None:
    assert len({fault for fault, *_ in rows()}) == 15
    assert [fault for fault, metrics, *_ in rows() if not named(metrics)] == []


def test_every_sign_is_one_that_there_is() -> None:
    assert {name for _, metrics, *_ in rows() for name in named(metrics)} - set(METRICS) == set()
    assert {name for _, _, findings, *_ in rows() for name in named(findings)} - set(FINDINGS) == set()
