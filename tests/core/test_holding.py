"""``Holder``: what it does about what comes and goes while Airflow answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from airflow_s3events.holding import Holder, Waiting
from airflow_s3events.messages import Message
from airflow_s3events.settlement import RunState
from airflow_s3events.testing import run_in_virtual_time
from tests.core.dispatch_fakes import FakeInbox, FakeRuns


class SlowRuns(FakeRuns):
    """Airflow takes a second for each answer; every run has succeeded."""

    is_broken = False

    async def count(self, dag_id: str, run_ids: Sequence[str], states: Sequence[RunState]) -> int:
        await asyncio.sleep(1.0)
        if self.is_broken:
            raise ZeroDivisionError(dag_id)
        return len(run_ids) if RunState.SUCCESS in states else 0


def waiting(name: str) -> Waiting:
    message = Message(message_id=name, body="", receipt_handle="", receive_count=1)
    return Waiting(message, (("process", name),))


def test_what_comes_to_be_held_while_airflow_answers_is_settled_in_the_next_round() -> None:
    async def scenario() -> FakeInbox:
        inbox = FakeInbox()
        holder = Holder(inbox=inbox, runs=SlowRuns("process"))
        holder.hold(waiting("first"))
        asyncio.get_running_loop().call_later(0.5, holder.hold, waiting("second"))
        assert await holder.look()
        assert set(inbox.fates) == {"first"}
        assert await holder.look()
        return inbox

    assert set(run_in_virtual_time(scenario()).fates) == {"first", "second"}


def test_a_message_that_comes_again_while_airflow_answers_is_settled_once() -> None:
    async def scenario() -> FakeInbox:
        inbox = FakeInbox()
        holder = Holder(inbox=inbox, runs=SlowRuns("process"))
        holder.hold(waiting("a"))
        asyncio.get_running_loop().call_later(0.5, holder.hold, waiting("a"))
        assert not await holder.look()
        assert await holder.look()
        return inbox

    assert set(run_in_virtual_time(scenario()).fates) == {"a"}


def test_a_fault_in_one_round_is_told_and_leaves_the_next_to_settle(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> FakeInbox:
        inbox = FakeInbox()
        runs = SlowRuns("process")
        holder = Holder(inbox=inbox, runs=runs)
        holder.hold(waiting("a"))
        runs.is_broken = True
        watch = asyncio.ensure_future(holder.watch())
        await asyncio.sleep(15)
        assert not inbox.fates
        runs.is_broken = False
        await asyncio.sleep(120)
        watch.cancel()
        return inbox

    assert set(run_in_virtual_time(scenario()).fates) == {"a"}
    assert "stay held" in caplog.text
