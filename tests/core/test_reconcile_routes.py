"""Listing against ledger where an object has several DAGs: each gets its run, whatever others got."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import OutageError
from airflow_s3events.identity import run_id
from airflow_s3events.ledger import Decision
from airflow_s3events.ledger.entries import Body, write_name
from airflow_s3events.ledger.ledger import Change
from airflow_s3events.routing import Route, Routes
from tests.core.test_ledger_entries import listed, notice
from tests.core.test_reconcile import World

#: In this order: "archive" is the first.
BOTH = Routes([Route(dag_id="archive"), Route(dag_id="process")], mode="all")
OF_BOTH = ["archive", "process"]


class Airflow:
    """What the second DAG's Airflow does, and how it is mended."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._create = world.runs.create

    def pause(self) -> None:
        self._world.runs.paused.add("process")

    def refuse(self) -> None:
        self._world.runs.refusing.add("process")

    def forget(self) -> None:
        async def create(dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
            return dag_id == "process" or await self._create(dag_id, run_id, conf, note)

        self._world.runs.create = create  # type: ignore[method-assign]

    def go_away(self) -> None:
        async def create(dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
            if dag_id == "process":
                raise OutageError("Airflow is away")
            return await self._create(dag_id, run_id, conf, note)

        self._world.runs.create = create  # type: ignore[method-assign]

    def mend(self) -> None:
        self._world.runs.paused.clear()
        self._world.runs.refusing.clear()
        self._world.runs.create = self._create  # type: ignore[method-assign]


async def _try(world: World, **settings: Any) -> None:
    with suppress(OutageError):
        await world.reconciler(**settings).run()


@pytest.mark.parametrize("fault", [Airflow.pause, Airflow.refuse, Airflow.forget, Airflow.go_away])
@pytest.mark.parametrize("name", ["n", "another"])
async def test_a_dag_that_took_no_run_gets_it_another_time_and_nobody_twice(
    fault: Callable[[Airflow], None], name: str
) -> None:
    world = World(listed(key="a"), listed(key="b"), routes=BOTH)
    airflow = Airflow(world)
    fault(airflow)
    await _try(world)
    airflow.mend()
    await world.reconcile(name)
    assert sorted(dag_id for dag_id, _ in world.runs.stored) == sorted(2 * OF_BOTH)
    assert (await world.reconcile("last")) == {"listed": 2, "matched": 2}


async def test_a_limit_between_two_routes_leaves_the_second_for_the_next_round() -> None:
    world = World(listed(key="a"), routes=BOTH)
    assert (await world.reconcile(limit=1))["started"] == 1
    assert (await world.reconcile(limit=1))["started"] == 1
    assert sorted(dag_id for dag_id, _ in world.runs.stored) == OF_BOTH


async def test_what_was_started_before_the_page_was_through_is_counted_for_each_route() -> None:
    world = World(listed(key="a"), listed(key="b"), routes=BOTH)
    airflow = Airflow(world)
    airflow.pause()
    closed = await world.reconciler().run()
    assert closed is not None
    airflow.mend()
    report = await world.reconcile()
    assert (report["listed"], report["missing"], report["started"]) == (2, 2, 4)


async def test_what_another_reconciliation_has_started_is_not_counted_as_its_own() -> None:
    world = World(listed(key="a"), routes=BOTH)
    world.runs.refusing.add("process")
    await world.reconcile("one")
    world.runs.refusing.clear()
    report = await world.reconcile("two")
    assert (report["missing"], report["started"]) == (1, 1)


async def _notified(world: World, event: ObjectEvent, **what: str) -> None:
    await world.ledger.judge([(event, OF_BOTH)])
    await world.ledger.record(
        [
            Decision(
                event=event, what=fate, dag_id=dag_id, run_id=run_id(event) if fate == "started" else None
            )
            for dag_id, fate in what.items()
        ]
    )


async def test_a_message_that_outlived_the_queue_is_made_good_for_the_dag_that_was_paused() -> None:
    world = World(listed(key="a"), routes=BOTH)
    await _notified(world, notice(key="a"), archive="started", process="put_off")
    report = await world.reconcile()
    assert (report["late"], report["started"]) == (1, 1)
    assert list(world.runs.stored) == [("process", run_id(notice(key="a")))]


async def test_a_dag_that_no_notification_named_has_not_had_the_object() -> None:
    world = World(listed(key="a"), routes=BOTH)
    await _notified(world, notice(key="a"), process="started")
    assert (await world.reconcile())["started"] == 1
    assert list(world.runs.stored) == [("archive", run_id(notice(key="a")))]


@pytest.mark.parametrize("routes", [BOTH, Routes(["process"])])  # type: ignore[list-item]
@pytest.mark.parametrize("what", ["dropped", "ignored"])
async def test_what_was_to_start_nothing_starts_nothing_though_it_was_put_off_before(
    routes: Routes, what: str
) -> None:
    world = World(listed(key="a"), routes=routes)
    await _notified(world, notice(key="a"), process="put_off")
    await world.ledger.record([Decision(event=notice(key="a"), what=what)])
    assert await world.reconcile() == {"listed": 1, "matched": 1}


async def test_that_a_dispatcher_of_other_routes_did_not_take_it_settles_nothing_that_waits() -> None:
    world = World(listed(key="a"))
    await _notified(world, notice(key="a"), process="put_off")
    await world.ledger.record([Decision(event=notice(key="a"), what="unmatched")])
    assert (await world.reconcile())["started"] == 1


async def test_what_no_route_took_is_left_alone_though_one_would_now() -> None:
    world = World(listed(key="a"))
    await world.ledger.judge([(notice(key="a"), [])])
    await world.ledger.record([Decision(event=notice(key="a"), what="unmatched")])
    assert await world.reconcile() == {"listed": 1, "matched": 1}


async def test_of_routes_of_which_one_gets_the_event_what_one_has_had_is_enough() -> None:
    world = World(listed(key="a"), routes={"process": {"prefix": "x"}, "archive": None})
    await _notified(world, notice(key="a"), archive="put_off", process="started")
    assert await world.reconcile() == {"listed": 1, "matched": 1}
    world.routes = Routes.of("archive")
    assert (await world.reconcile("two"))["started"] == 1


def _of_before(body: Body | None) -> tuple[Body, None]:
    assert body is not None
    return {member: value for member, value in body.items() if member != "fates"}, None


async def test_a_write_that_an_earlier_version_noted_is_settled_for_every_dag() -> None:
    world = World(listed(key="a"), routes=BOTH)
    await _notified(world, notice(key="a"), process="started")
    name = write_name(notice(key="a"))
    assert name is not None
    await world.ledger.change([Change(name, _of_before)])
    assert await world.reconcile() == {"listed": 1, "matched": 1}
