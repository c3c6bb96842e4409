"""A receive is under way while the keeper gives a message back: SQS may answer either of the two first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from airflow_s3events.settlement import RunState
from airflow_s3events.testing import run_in_virtual_time
from tests.core.consumer_fakes import LateQueue
from tests.core.dispatch_fakes import FakeRuns
from tests.core.test_keeping import World

#: Seconds: long enough for a second receive to begin meanwhile.
_COUNT_SECONDS = 0.02
_TASK_SECONDS = 8.0


class AskedRuns(FakeRuns):
    """An Airflow that takes its time."""

    async def count(self, dag_id: str, run_ids: Sequence[str], states: Sequence[RunState]) -> int:
        await asyncio.sleep(_COUNT_SECONDS)
        return await super().count(dag_id, run_ids, states)


class LateWorld(World):
    """A queue whose answers come late, and tasks that take a while to start."""

    def __init__(self, receive_seconds: float, change_seconds: float) -> None:
        super().__init__(max_receive_count=20)
        self.queue = LateQueue(dead_letters=self.dead_letters, max_receive_count=self.limit)
        self.queue.receive_seconds = receive_seconds
        self.queue.change_seconds = change_seconds
        self.runs = AskedRuns("process")

    async def task(self, held: int = 0) -> None:
        await asyncio.sleep(_TASK_SECONDS)
        await super().task(held)

    def receives(self) -> list[int]:
        return [message.receive_count for message in self.queue.peek()]


@pytest.mark.parametrize(
    ("receive_seconds", "change_seconds"),
    [
        pytest.param(0.005, 0.010, id="the message first"),
        pytest.param(0.010, 0.005, id="the release first"),
    ],
)
@pytest.mark.parametrize("count", [6, 10])
def test_what_is_received_while_it_is_given_back_has_its_run_within_a_minute(
    receive_seconds: float, change_seconds: float, count: int
) -> None:
    async def scenario() -> None:
        world = LateWorld(receive_seconds, change_seconds)
        keys = [f"key {number}" for number in range(count)]
        world.put(*keys)
        await world.keep(60)
        assert [world.states(key) for key in keys] == [["queued"]] * count
        assert max(world.receives()) <= 4
        assert world.tasks == 1

    run_in_virtual_time(scenario())


def test_a_release_that_every_receive_crosses_does_not_use_up_the_receives() -> None:
    async def scenario() -> None:
        world = LateWorld(receive_seconds=0.005, change_seconds=0.010)
        world.put("a")
        # Its run is deleted while the keeper receives: given back at once, it would be received at once.
        asyncio.get_running_loop().call_later(100, world.runs.stored.clear)
        await world.keep(300)
        assert len(world.dead_letters) == 0
        assert world.states("a") == ["queued"]
        assert max(world.receives()) <= 8

    run_in_virtual_time(scenario())
