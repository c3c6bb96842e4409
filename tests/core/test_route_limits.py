"""Caps of a DAG that leave the rest in SQS, and routes that come first."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.gates import Pace
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import prefix
from airflow_s3events.routing import Route, Routes
from airflow_s3events.settlement import RunState
from tests.core.dispatch_fakes import FakeInbox, FakeRuns
from tests.core.test_enrich import message


class World:
    """A dispatcher over fakes, and its clock."""

    def __init__(self, routes: Any) -> None:
        self.runs, self.inbox, self.seconds = FakeRuns("process", "archive"), FakeInbox(), 1000.0
        self.dispatcher = Dispatcher(
            inbox=self.inbox,
            routes=Routes.of(routes),
            runs=self.runs,
            settings=DispatchSettings(),
            now=lambda: 1_800_000_000.0,
            clock=lambda: self.seconds,
        )

    async def dispatch(self, *keys: str) -> None:
        await self.dispatcher.dispatch([message(key, number) for number, key in enumerate(keys)])

    def fates(self) -> list[str]:
        return [fate for fate, _, _ in self.inbox.fates.values()]


async def test_no_more_than_max_active_runs_are_queued_or_running() -> None:
    world = World(Route(dag_id="process", max_active_runs=2))
    await world.dispatch("a", "b", "c")
    assert len(world.runs.stored) == 2
    assert sorted(world.fates()) == ["acknowledged", "acknowledged", "released"]
    world.runs.stored = dict.fromkeys(world.runs.stored, RunState.RUNNING)
    world.seconds += 60
    closed = await world.dispatcher.waiting()
    assert closed is not None
    assert "max_active_runs=2" in closed.reason
    world.runs.stored = dict.fromkeys(world.runs.stored, RunState.SUCCESS)
    world.seconds += 60
    assert await world.dispatcher.waiting() is None


async def test_no_more_than_max_runs_per_minute_are_started_in_a_minute() -> None:
    world = World(Route(dag_id="process", max_runs_per_minute=2))
    await world.dispatch("a", "b", "c")
    assert len(world.runs.stored) == 2
    ((_, reason, delay),) = [fate for fate in world.inbox.fates.values() if fate[0] == "released"]
    assert "max_runs_per_minute" in reason
    assert 30 <= delay <= 60
    world.seconds += 59
    assert await world.dispatcher.waiting() is not None
    world.seconds += 1
    assert await world.dispatcher.waiting() is None


async def test_a_full_dag_does_not_hold_up_the_others() -> None:
    routes = {"process": prefix("in/"), "archive": prefix("out/")}
    world = World([Route(dag_id=dag_id, when=when, max_runs_per_minute=1) for dag_id, when in routes.items()])
    await world.dispatch("in/a", "in/b", "out/c")
    assert sorted(dag_id for dag_id, _ in world.runs.stored) == ["archive", "process"]


async def test_urgent_routes_of_a_batch_come_first_and_the_others_keep_their_order() -> None:
    world = World(
        [
            Route(dag_id="process", when=prefix("slow/")),
            Route(dag_id="archive", when=prefix("urgent/"), priority=10),
        ]
    )
    await world.dispatch("slow/1", "urgent/1", "none", "slow/2", "urgent/2")
    keys = [conf["s3_event"]["key"] for conf in world.runs.confs.values()]
    assert keys == ["urgent/1", "urgent/2", "slow/1", "slow/2"]


async def test_a_body_that_is_no_event_has_no_rank_and_its_own_fate() -> None:
    from dataclasses import replace

    world = World([Route(dag_id="process", when=prefix("a"), priority=1), Route(dag_id="archive")])
    await world.dispatcher.dispatch([replace(message("x"), body="no event"), message("a", 1)])
    assert sorted(world.fates()) == ["acknowledged", "dead-lettered"]


def test_a_minute_begins_with_its_first_start() -> None:
    pace = Pace(2)
    assert pace.room(0.0) == 2
    pace.started(100.0)
    pace.started(159.0)
    assert (pace.room(159.0), pace.wait_seconds(159.0)) == (0, 1.0)
    assert pace.room(160.0) == 2
    assert Pace(None).room(0.0) > 1_000_000


@pytest.mark.parametrize("name", ["max_queued_runs", "max_active_runs", "max_runs_per_minute"])
def test_routes_to_one_dag_have_the_same_caps(name: str) -> None:
    caps: dict[str, Any] = {name: 5}
    with pytest.raises(ConfigurationError, match=name):
        Routes([Route(dag_id="a", name="x", when=prefix("x")), Route(dag_id="a", when=prefix("y"), **caps)])
