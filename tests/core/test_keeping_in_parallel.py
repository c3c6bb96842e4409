"""Two dispatchers on one queue, each with its keeper and its tasks: no event is worked on twice at once."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from airflow_s3events.settlement import RunState
from airflow_s3events.testing import run_in_virtual_time
from tests.core.dispatch_fakes import FakeRuns
from tests.core.test_keeping import World

_ACTIVE = {RunState.QUEUED, RunState.RUNNING}


class WorkingRuns(FakeRuns):
    """Runs end by themselves, as many at a time as Airflow lets; some fail once, some always."""

    def __init__(self) -> None:
        super().__init__("process")
        self.failing: dict[str, int] = {}
        self.active_twice: list[str] = []
        self._chance = random.Random(1)

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
        key = conf["s3_event"]["key"]
        others = [name for name, kept in self.confs.items() if kept["s3_event"]["key"] == key]
        self._look(key, others if (dag_id, run_id) not in self.stored else [])
        return await super().create(dag_id, run_id, conf, note)

    async def clear(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        self._look(conf["s3_event"]["key"], [(dag_id, run_id)])
        await super().clear(dag_id, run_id, conf)

    def _look(self, key: str, names: list[tuple[str, str]]) -> None:
        if any(self.stored[name] in _ACTIVE for name in names):
            self.active_twice.append(key)

    async def work(self) -> None:
        """End some of the active runs each second."""
        while True:
            await asyncio.sleep(1.0)
            active = [name for name, state in self.stored.items() if state in _ACTIVE]
            for name in self._chance.sample(active, min(2, len(active))):
                key = self.confs[name]["s3_event"]["key"]
                left = self.failing.get(key, 0)
                self.failing[key] = left - 1
                self.stored[name] = RunState.FAILED if left > 0 else RunState.SUCCESS


@pytest.mark.parametrize("on_redelivery", ["clear", "new_run"])
def test_all_succeed_once_and_what_always_fails_is_a_dead_letter_with_its_reason(on_redelivery: str) -> None:
    async def scenario() -> World:
        world = World(max_receive_count=20, on_redelivery=on_redelivery, max_held=500)
        world.dispatchers = 2
        world.runs = runs = WorkingRuns()
        keys = [f"once/{n}" for n in range(50)] + [f"always/{n}" for n in range(10)]
        keys += [f"good/{n}" for n in range(440)]
        runs.failing = dict.fromkeys(keys[:50], 1) | dict.fromkeys(keys[50:60], 1_000)
        world.put(*keys)
        working = asyncio.ensure_future(runs.work())
        await asyncio.gather(world.keep(4 * 3600), world.keep(4 * 3600))
        working.cancel()
        return world

    world = run_in_virtual_time(scenario())
    assert isinstance(world.runs, WorkingRuns)
    assert world.runs.active_twice == []
    succeeded = {
        world.runs.confs[n]["s3_event"]["key"] for n, s in world.runs.stored.items() if s == "success"
    }
    assert len(succeeded) == 490
    assert len(world.queue) == 0
    letters = world.dead_letters.peek()
    assert (
        sorted("failed" in letter.attributes.get("s3events.reason", "") for letter in letters) == [True] * 10
    )
