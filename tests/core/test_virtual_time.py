"""The loop whose time jumps."""

from __future__ import annotations

import asyncio

import pytest

from airflow_s3events.testing import run_in_virtual_time


@pytest.mark.parametrize("nearly", [1e-15, 1e-12, 1e-9])
def test_those_who_wait_until_a_moment_get_there_however_near_it_is(nearly: float) -> None:
    async def wait(turns: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(turns):  # so that one of them has something to do whenever the other's timer is due
            await asyncio.sleep(0)
        while (left := nearly - loop.time()) > 0:
            never = asyncio.ensure_future(asyncio.Event().wait())
            await asyncio.wait({never}, timeout=left)
            never.cancel()

    async def scenario() -> float:
        await asyncio.gather(*(wait(turns) for turns in range(4)))
        return asyncio.get_running_loop().time()

    assert nearly <= run_in_virtual_time(scenario()) < 1e-3


def test_hours_pass_to_the_second() -> None:
    async def scenario() -> float:
        await asyncio.sleep(4 * 3600)
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(scenario()) == 4 * 3600
