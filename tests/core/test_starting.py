"""``acknowledge="run_succeeded"``: what is done about the run of an event, row by row."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from airflow_s3events.routing import Routes
from airflow_s3events.settlement import RunState
from tests.core.test_dispatch import NOW, World, message, record


class HoldingWorld(World):
    """A dispatcher that holds; its run is the only one of DAG ``process``."""

    def __init__(self, on_redelivery: Literal["clear", "new_run"] = "clear", **settings: Any) -> None:
        super().__init__(max_receive_count=9, **settings)
        self.dispatcher.hold_runs(on_redelivery, 60.0)

    async def redeliver(self, **kwargs: Any) -> None:
        await self.dispatch(message(record(), **kwargs))

    @property
    def held(self) -> int:
        assert self.dispatcher.holder is not None
        return len(self.dispatcher.holder)

    def states(self) -> list[str]:
        return [state.value for state in self.runs.stored.values()]


@pytest.mark.parametrize("on_redelivery", ["clear", "new_run"])
async def test_no_run_is_created_and_its_message_held(on_redelivery: Any) -> None:
    world = HoldingWorld(on_redelivery)
    await world.redeliver()
    assert world.states() == ["queued"]
    assert world.held == 1
    assert world.inbox.fates == {}


async def test_the_conf_says_who_retries_the_run() -> None:
    world = HoldingWorld()
    await world.redeliver()
    assert [conf["s3_event"]["acknowledge"] for conf in world.runs.confs.values()] == ["run_succeeded"]


@pytest.mark.parametrize("attributes", [{}, {"s3events.attempt": "1"}])
@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING])
async def test_a_run_that_works_is_joined(state: RunState, attributes: dict[str, str]) -> None:
    world = HoldingWorld()
    await world.redeliver()
    world.set_state(state)
    await world.redeliver(number=2, attributes=attributes)
    assert world.states() == [state.value]
    assert world.held == 2
    assert world.dispatcher.counts["joined"] == 1


@pytest.mark.parametrize("attributes", [{}, {"s3events.attempt": "1"}])
async def test_a_run_that_has_succeeded_is_acknowledged(attributes: dict[str, str]) -> None:
    world = HoldingWorld()
    await world.redeliver()
    world.set_state(RunState.SUCCESS)
    await world.redeliver(number=2, attributes=attributes)
    assert world.fate(2) == ("acknowledged", "")
    assert world.states() == ["success"]


@pytest.mark.parametrize("attributes", [{}, {"s3events.attempt": "1"}])
async def test_a_failed_run_is_cleared_under_its_own_name(attributes: dict[str, str]) -> None:
    world = HoldingWorld("clear")
    await world.redeliver()
    world.set_state(RunState.FAILED)
    await world.redeliver(attributes=attributes)
    assert world.states() == ["queued"]
    assert world.runs.calls.count("clear") == 1


async def test_a_failed_run_is_followed_by_a_new_one() -> None:
    world = HoldingWorld("new_run")
    await world.redeliver()
    for _ in range(2):
        world.set_state(RunState.FAILED)
        await world.redeliver()
    base = world.run_ids()[0]
    assert world.run_ids() == [base, f"{base}_a1", f"{base}_a2"]
    assert world.states() == ["failed", "failed", "queued"]


async def test_only_the_latest_run_counts() -> None:
    world = HoldingWorld("new_run")
    await world.redeliver()
    world.set_state(RunState.FAILED)
    await world.redeliver()
    last = list(world.runs.stored)[-1]
    world.runs.stored[last] = RunState.SUCCESS
    await world.redeliver()
    assert world.fate() == ("acknowledged", "")


async def test_a_message_that_lapsed_meanwhile_starts_nothing_again() -> None:
    world = HoldingWorld()
    await world.redeliver()
    world.set_state(RunState.FAILED)
    world.inbox.lapsed.add("m1")
    await world.redeliver()
    assert world.states() == ["failed"]
    assert world.fate() == ("lapsed", "its visibility timeout has ended")


async def test_a_failed_run_at_the_last_receive_is_a_dead_letter_with_the_run() -> None:
    world = HoldingWorld()
    await world.redeliver()
    world.set_state(RunState.FAILED)
    await world.redeliver(receive_count=9)
    fate, reason = world.fate()
    assert fate == "dead-lettered"
    assert reason.endswith("failed; the message was received 9 times")
    assert world.inbox.about == {"s3events.dag_id": "process", "s3events.run_id": world.run_ids()[0]}


async def test_a_dag_that_refuses_to_start_again_puts_the_event_off() -> None:
    world = HoldingWorld()
    await world.redeliver()
    world.set_state(RunState.FAILED)
    world.runs.refusing.add("process")
    await world.redeliver()
    assert world.fate()[0] == "released"
    assert world.states() == ["failed"]


async def test_a_name_that_another_unique_key_refuses_is_no_run_to_wait_for() -> None:
    world = HoldingWorld()
    world.runs.taken_elsewhere.add("process")
    await world.redeliver()
    assert world.fate()[0] == "released"
    assert world.held == 0


async def test_a_message_of_several_dags_waits_for_all_its_runs() -> None:
    routes = Routes.of({"routes": [{"dag_id": "process"}, {"dag_id": "archive"}], "mode": "all"})
    world = HoldingWorld(routes=routes)
    await world.redeliver()
    holder = world.dispatcher.holder
    assert holder is not None
    first, second = world.runs.stored
    world.runs.stored[first] = RunState.SUCCESS
    assert not await holder.look()
    world.runs.stored[second] = RunState.SUCCESS
    assert await holder.look()
    assert world.fate() == ("acknowledged", "")


async def test_a_bad_record_beside_a_good_one_is_a_dead_letter_when_the_run_has_succeeded() -> None:
    world = HoldingWorld()
    await world.dispatch(message(record(), {}))
    holder = world.dispatcher.holder
    assert holder is not None
    assert holder.counts == {}
    world.set_state(RunState.SUCCESS)
    await holder.look()
    assert world.fate()[0] == "dead-lettered"
    assert world.fate()[1].startswith("record 1: ")


async def test_a_run_that_airflow_took_and_does_not_have_is_not_waited_for() -> None:
    world = HoldingWorld()
    world.runs.forgetful = True
    await world.redeliver(sent_at=NOW)
    assert world.fate()[0] == "released"
    assert world.held == 0
