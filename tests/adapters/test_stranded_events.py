"""Stranded asset events: what is found and queued, on a database of Airflow's own models."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.dialects import registry
from sqlalchemy.orm import Session

from airflow_s3events.listeners.stranded_events import _CLASSPATH, _insert, queue_stranded, store_again
from airflow_s3events.triggers.s3_event_asset import S3EventAssetTrigger
from tests.lines import AIRFLOW

START = datetime(2026, 11, 25, tzinfo=timezone.utc)
_numbers = itertools.count(1)

pytestmark = pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2 has no asset watchers")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class World:
    """An asset that our trigger watches and a DAG scheduled on it, since ``START``."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.asset = self.add_asset("landing", _CLASSPATH)
        self.add_dag("process", self.asset)

    def add_asset(self, name: str, classpath: str) -> int:
        from airflow.models.asset import AssetModel
        from airflow.models.trigger import Trigger

        asset = AssetModel(name=name, uri=name, group="asset", extra={})
        trigger = Trigger(classpath=classpath, kwargs={})
        self.session.add_all([asset, trigger])
        self.session.flush()
        if hasattr(asset, "add_trigger"):
            asset.add_trigger(trigger, name)
        else:  # before 3.2
            asset.triggers.append(trigger)
        self.session.flush()
        number: int = asset.id
        return number

    def add_dag(self, dag_id: str, asset_id: int, **members: Any) -> None:
        from airflow.models.asset import DagScheduleAssetReference
        from airflow.models.dag import DagModel

        if hasattr(DagModel, "bundle_name"):
            members["bundle_name"] = "bundle"
        self.session.add(DagModel(dag_id=dag_id, is_paused=False, **members))
        self.session.flush()
        reference = DagScheduleAssetReference(dag_id=dag_id, asset_id=asset_id, created_at=START)
        self.session.add(reference)
        self.session.flush()

    def also(self, dag_id: str, asset_id: int) -> None:
        """Have the DAG scheduled by this asset as well."""
        from airflow.models.asset import DagScheduleAssetReference

        self.session.add(DagScheduleAssetReference(dag_id=dag_id, asset_id=asset_id, created_at=START))
        self.session.flush()

    def store(self, seconds: float, asset_id: int | None = None) -> Any:
        from airflow.models.asset import AssetEvent

        extra = {"from_trigger": True, "payload": {"s3_events": []}}
        event = AssetEvent(asset_id=asset_id or self.asset, timestamp=at(seconds), extra=extra)
        self.session.add(event)
        self.session.flush()
        return event

    def queue(self, seconds: float, dag_id: str = "process") -> None:
        from airflow.models.asset import AssetDagRunQueue

        row = AssetDagRunQueue(asset_id=self.asset, target_dag_id=dag_id, created_at=at(seconds))
        self.session.add(row)
        self.session.flush()

    def run(self, seconds: float, *events: Any, dag_id: str = "process") -> Any:
        from airflow.models.dagrun import DagRun
        from airflow.utils.types import DagRunTriggeredByType, DagRunType

        run = DagRun(
            dag_id=dag_id,
            run_id=f"asset_triggered__{next(_numbers)}",
            run_type=DagRunType.ASSET_TRIGGERED,
            run_after=at(seconds),
            triggered_by=DagRunTriggeredByType.ASSET,
        )
        run.consumed_asset_events.extend(events)
        self.session.add(run)
        self.session.flush()
        return run

    def now(self) -> float:
        """The seconds since ``START``."""
        return (datetime.now(timezone.utc) - START).total_seconds()

    def newest(self) -> Any:
        from airflow.models.asset import AssetEvent

        return self.session.scalars(select(AssetEvent).order_by(AssetEvent.id.desc())).first()

    def queued(self) -> list[tuple[str, datetime]]:
        from airflow.models.asset import AssetDagRunQueue

        self.session.flush()
        queue_stranded(self.session)
        rows = self.session.scalars(select(AssetDagRunQueue)).all()
        return [(row.target_dag_id, row.created_at) for row in rows]


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    from airflow.models import import_all_models
    from airflow.models.base import Base

    import_all_models()
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def world(engine: Any) -> Iterator[World]:
    with engine.connect() as connection, connection.begin() as transaction:
        with Session(bind=connection) as session:
            yield World(session)
        transaction.rollback()


def test_the_trigger_is_known_by_the_path_that_it_is_stored_under() -> None:
    assert S3EventAssetTrigger(sqs_queue="q").serialize()[0] == _CLASSPATH


def test_an_event_left_between_a_run_and_the_next_is_queued_up_to_its_own_time(world: World) -> None:
    first = world.store(1)
    world.store(2)
    world.store(3)
    world.run(1, first)
    assert world.queued() == [("process", at(3))]


def test_an_event_that_has_no_run_at_all_is_queued(world: World) -> None:
    world.store(1)
    assert world.queued() == [("process", at(1))]


def test_what_is_queued_already_is_airflow_s_to_run(world: World) -> None:
    world.store(1)
    world.store(2)
    world.queue(1)
    assert world.queued() == [("process", at(1))]


def test_events_that_are_in_a_run_start_no_empty_one(world: World) -> None:
    world.run(2, world.store(1), world.store(2))
    assert world.queued() == []


def test_looking_twice_queues_once(world: World) -> None:
    world.store(1)
    assert world.queued() == world.queued() == [("process", at(1))]


def test_what_somebody_else_queues_at_the_same_moment_is_left_as_it_is(world: World) -> None:
    from airflow.models.asset import AssetDagRunQueue as Queue

    world.queue(5)
    same = select(Queue.asset_id, Queue.target_dag_id, Queue.created_at).where(Queue.asset_id == world.asset)
    names = ["asset_id", "target_dag_id", "created_at"]
    result: Any = world.session.execute(_insert("sqlite").from_select(names, same))
    assert result.rowcount == 0
    for dialect in ("postgresql", "mysql"):
        statement = _insert(dialect).from_select(names, same)
        text = str(statement.compile(dialect=registry.load(dialect)()))
        assert "ON CONFLICT DO NOTHING" in text or "INSERT IGNORE" in text


def test_a_paused_dag_gets_its_events_when_it_is_unpaused(world: World) -> None:
    from airflow.models.dag import DagModel

    world.run(1, world.store(1))
    dag = world.session.get(DagModel, "process")
    assert dag is not None
    dag.is_paused = True
    world.store(2)
    assert world.queued() == []
    dag.is_paused = False
    assert world.queued() == [("process", at(2))]


def test_events_older_than_the_schedule_are_not_for_it(world: World) -> None:
    world.store(-1)
    assert world.queued() == []


def test_what_airflow_s_next_run_would_not_take_is_left_alone(world: World) -> None:
    world.run(1, world.store(1))
    world.store(2)
    world.run(3, world.store(3))
    assert world.queued() == []


def test_each_dag_is_looked_at_by_itself(world: World) -> None:
    world.add_dag("archive", world.asset)
    event = world.store(1)
    world.run(1, event)
    assert world.queued() == [("archive", at(1))]


def test_assets_of_other_triggers_are_left_as_airflow_has_them(world: World) -> None:
    other = world.add_asset("other", "somebody.else.Trigger")
    world.add_dag("theirs", other)
    world.store(1, other)
    assert world.queued() == []


@pytest.mark.skipif(AIRFLOW < (3, 2), reason="partitions came with 3.2")
def test_a_dag_that_runs_by_partition_is_not_queued(world: World) -> None:
    world.add_dag("partitioned", world.asset, timetable_partitioned=True)
    world.run(1, world.store(1))
    world.store(2)
    assert [dag_id for dag_id, _ in world.queued()] == ["process"]


def test_an_event_that_a_clock_has_dated_back_before_a_run_is_stored_once_more(world: World) -> None:
    world.run(3_600, world.store(3_600))
    late = world.store(1)
    before = datetime.now(timezone.utc)
    assert world.queued() == []
    assert store_again(world.session) == 1
    new = world.newest()
    assert before <= new.timestamp <= datetime.now(timezone.utc)
    assert (new.asset_id, late.timestamp) == (world.asset, at(1))
    assert new.extra == {"from_trigger": True, "payload": {"s3_events": [], "s3_events_again": True}}
    assert world.queued() == [("process", new.timestamp)]
    assert store_again(world.session) == 0


def test_a_key_that_spells_our_mark_keeps_no_event_from_being_stored_once_more(world: World) -> None:
    world.run(3_600, world.store(3_600))
    event = world.store(1)
    event.extra = {"payload": {"s3_events": [{"key": 'in/"s3_events_stored_again": true'}]}}
    world.session.flush()
    assert store_again(world.session) == 1
    assert store_again(world.session) == 0


def test_what_came_after_a_run_that_ended_its_window_later_is_found_whatever_ran_since(world: World) -> None:
    world.run(3_600, world.store(3_600))
    world.store(1)
    world.run(3_601, world.store(3_601))
    assert store_again(world.session) == 1


def test_the_events_of_a_run_that_somebody_has_deleted_are_left_as_they_are(world: World) -> None:
    world.run(1, world.store(1))
    deleted = world.run(2, world.store(2))
    world.run(3, world.store(3))
    world.session.delete(deleted)
    world.session.flush()
    assert store_again(world.session) == 0


def test_an_event_that_another_dag_has_had_is_stored_once_more_for_the_one_that_missed_it(
    world: World,
) -> None:
    world.add_dag("archive", world.asset)
    world.run(3_600, world.store(3_600))
    event = world.store(1)
    world.run(1, event, dag_id="archive")
    world.run(3_600, dag_id="archive")
    assert store_again(world.session) == 1
    assert sorted(dag_id for dag_id, _ in world.queued()) == ["archive", "process"]
    world.run(3_700, world.newest())
    assert store_again(world.session) == 0


def test_what_waits_for_another_dag_keeps_nobody_from_it(world: World) -> None:
    world.add_dag("archive", world.asset)
    world.run(3_600, world.store(3_600))
    world.store(1)
    world.queue(1, "archive")
    assert store_again(world.session) == 1


def test_an_event_that_a_scheduler_may_have_in_hand_is_left_as_it_is(world: World) -> None:
    now = world.now()
    world.run(now - 1, world.store(now - 1))
    world.store(now - 2)
    world.queue(now - 2)
    assert store_again(world.session) == 0


def test_what_has_been_queued_for_long_keeps_nothing_from_its_dag(world: World) -> None:
    """As for a daily asset, or behind a DAG that has as many runs as it may."""
    now = world.now()
    world.run(now - 1, world.store(now - 1))
    world.store(now - 2)
    world.queue(now - 120)
    assert store_again(world.session) == 1


def test_what_a_clock_has_dated_back_before_the_dag_s_first_run_is_stored_once_more(world: World) -> None:
    """Older than the schedule, and in truth not: another event that was there before tells the time."""
    other = world.add_asset("other", "somebody.else.Trigger")
    world.store(5, other)
    late = world.store(-3_590)
    world.run(20, world.store(20))
    assert store_again(world.session) == 1
    assert world.newest().id > late.id


def test_what_came_before_a_dag_was_scheduled_is_not_for_it(world: World) -> None:
    world.run(-50, world.store(-50))
    world.store(-100)
    world.run(20, world.store(20))
    assert store_again(world.session) == 0


def test_what_was_not_there_yet_when_an_event_of_another_asset_got_its_run_is_stored_once_more(
    world: World,
) -> None:
    """The transaction that stores it ends after that of a later event, and no clock is wrong."""
    now = world.now()
    other = world.add_asset("other", "somebody.else.Trigger")
    world.add_dag("both", other)
    world.also("both", world.asset)
    world.store(now - 2)
    theirs = world.store(now - 1, other)
    world.run(now - 1, theirs, dag_id="both")
    assert store_again(world.session) == 1
    assert [dag_id for dag_id, _ in world.queued() if dag_id == "both"] == ["both"]


def test_a_dag_that_runs_by_partition_is_given_nothing_again(world: World) -> None:
    if AIRFLOW < (3, 2):
        pytest.skip("partitions came with 3.2")
    now = world.now()
    world.add_dag("partitioned", world.asset, timetable_partitioned=True)
    event = world.store(now - 2)
    world.run(now - 2, event)
    world.run(now - 1, dag_id="partitioned")
    assert store_again(world.session) == 0


def test_a_run_that_a_clock_ahead_has_put_into_the_future_hides_nobody(world: World) -> None:
    world.run(1, world.store(1))
    ahead = world.now() + 3_600
    world.run(ahead, world.store(ahead))
    world.store(2)
    assert store_again(world.session) == 0
    assert world.queued() == [("process", at(2))]


def test_what_a_run_out_of_the_future_has_passed_when_its_time_came_gets_a_time_of_its_own(
    world: World,
) -> None:
    now = world.now()
    world.run(now - 1, world.store(now - 1))
    world.store(now - 30)
    world.store(now - 400)
    assert store_again(world.session) == 2
