"""The loop whose time jumps."""

from __future__ import annotations

import asyncio

import pytest

from airflow_s3events.testing import run_in_virtual_time


@pytest.mark.parametrize("nearly", [1e-15, 1e-12, 1e-9])
def test_who_waits_until_a_moment_gets_there_however_near_it_is(nearly: float) -> None:
    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        while (left := nearly - loop.time()) > 0:  # noqa: ASYNC110 - the moment is what is waited for
            await asyncio.sleep(left)
        return loop.time()

    assert nearly <= run_in_virtual_time(scenario()) < 1e-3


def test_hours_pass_to_the_second() -> None:
    async def scenario() -> float:
        await asyncio.sleep(4 * 3600)
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(scenario()) == 4 * 3600
