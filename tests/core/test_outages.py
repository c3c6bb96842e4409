"""Trying again for as long as AWS is away."""

from __future__ import annotations

import time

import pytest

from airflow_s3events.exceptions import OutageError
from airflow_s3events.outages import through_outages
from airflow_s3events.testing import run_in_virtual_time


class Attempts:
    """Meets an outage so many times, then answers."""

    def __init__(self, outages: int) -> None:
        self.outages = outages
        self.made = 0

    async def __call__(self) -> str:
        self.made += 1
        if self.made <= self.outages:
            raise OutageError("away")
        return "answer"


def test_an_attempt_is_made_anew_after_each_outage() -> None:
    attempts = Attempts(outages=3000)
    assert run_in_virtual_time(through_outages(attempts, until=time.time() + 1e6)) == "answer"
    assert attempts.made == 3001


def test_when_time_is_up_nothing_is_attempted() -> None:
    attempts = Attempts(outages=0)
    assert run_in_virtual_time(through_outages(attempts, until=0.0)) is None
    assert attempts.made == 0


async def test_it_does_not_sleep_past_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 20:
            monkeypatch.setattr("time.time", lambda: 2e9)

    monkeypatch.setattr("airflow_s3events.outages.asyncio.sleep", sleep)
    assert await through_outages(Attempts(outages=30), until=time.time() + 5) is None
    assert 0 < max(slept) <= 5
