"""Queues a run for asset events that Airflow has stored and then left without one.

Airflow's queue of asset runs keeps the time of the first event that was queued; the run takes the events up
to that time, the row goes, and what came in between waits for the next event, for ever if none comes. Events
stored while a DAG is paused are not queued at all. ``docs/explanation/assets.md`` has the whole story.

Airflow stores a watcher's events in the main process of the triggerer, where there is a database. There a
thread looks for events of our assets that are in no run and have nothing queued for them, and puts into
Airflow's queue what Airflow would have put there: it never makes a run itself, and none without events.

Which run takes an event is a matter of its time, by the clock of the triggerer that stored it. One that a
clock has dated back before a run that there was already would be in none: it gets the time at which it is
found.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from sqlalchemy.orm import Session
    from sqlalchemy.sql import Select

log = logging.getLogger(__name__)

_CLASSPATH = "airflow_s3events.triggers.s3_event_asset.S3EventAssetTrigger"
#: Seconds between two looks: while events come, for a while after the last one, and otherwise.
_BUSY_SECONDS = 2.0
_QUIET_SECONDS = 15.0
_BUSY_FOR_SECONDS = 60.0
#: Of the asset events stored last, so many are asked for their time.
_NEWEST = 2_000
#: The triggerer forks its other process right after its start: no thread of ours may hold a lock then.
_START_SECONDS = 5.0


class Sweeper:
    """A thread that looks for stranded events from time to time, sooner when events come."""

    def __init__(self) -> None:
        self._changed = threading.Event()
        self._changed_at = float("-inf")
        self._pid: int | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the thread, if this process has none."""
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                threading.Thread(target=self._run, name="s3events-stranded", daemon=True).start()

    def changed(self) -> None:
        """Look soon: an event has come. Called within Airflow's transaction, so it only leaves word."""
        self._changed_at = time.monotonic()
        self._changed.set()
        self.start()

    def _run(self) -> None:
        time.sleep(_START_SECONDS)
        try:
            import airflow.models.asset  # noqa: F401 - whether it is there
        except ImportError:  # Airflow 2, which has no watchers
            return
        while True:
            try:
                if queued := sweep():
                    log.info("Queued asset events that had no run: %s", queued)
            except Exception:
                # The database may be away; the next look is seconds off.
                log.warning("Could not look for stranded asset events", exc_info=True)
            is_busy = time.monotonic() - self._changed_at < _BUSY_FOR_SECONDS
            if is_busy:
                time.sleep(_BUSY_SECONDS)
            else:
                self._changed.clear()
                self._changed.wait(_QUIET_SECONDS)


def sweep() -> int:
    """Queue what is stranded now; return for how many pairs of an asset and a DAG that was."""
    from airflow.utils.session import create_session

    with create_session() as session:
        queued = queue_stranded(session)
        if redated := redate(session):
            log.warning("Asset events were stored with a time that was over (a clock is wrong): %d", redated)
            queued += queue_stranded(session)
        return queued


def redate(session: Session) -> int:
    """Give asset events that no run would ever take the time that it is now; return how many.

    In several statements, since few events are in no run, and no database guesses how few. MySQL, besides,
    updates no table from which it selects.
    """
    from airflow.models.asset import AssetEvent
    from sqlalchemy import func, select, update

    newest = session.scalar(select(func.max(AssetEvent.id))) or 0
    now = _now()
    if not (waiting := session.scalars(left_alone(newest - _NEWEST)).all()):
        return 0
    if late := session.scalars(dated_back(waiting, now)).all():
        session.execute(update(AssetEvent).where(AssetEvent.id.in_(late)).values(timestamp=now))
    return len(late)


def queue_stranded(session: Session) -> int:
    """Do the same in a session of the caller's."""
    names = ["asset_id", "target_dag_id", "created_at"]
    result: Any = session.execute(_insert(session.get_bind().dialect.name).from_select(names, stranded()))
    return int(result.rowcount)


def _insert(dialect: str) -> Any:
    """Insert what is not there: the scheduler or another triggerer may queue the same at the same moment."""
    from airflow.models.asset import AssetDagRunQueue

    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_postgresql

        return insert_postgresql(AssetDagRunQueue).on_conflict_do_nothing()
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as insert_sqlite

        return insert_sqlite(AssetDagRunQueue).on_conflict_do_nothing()
    from sqlalchemy import insert

    return insert(AssetDagRunQueue).prefix_with("IGNORE", dialect="mysql")


def stranded() -> Select[Any]:
    """Select asset, DAG and time of the newest event, where our events are in no run and nothing is queued.

    In one statement with the insert: what the scheduler has in hand is either still queued, or in its run.
    """
    from airflow.models.asset import AssetEvent, AssetModel, DagScheduleAssetReference
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.models.trigger import Trigger
    from sqlalchemy import false, func, select

    schedule = DagScheduleAssetReference
    wanted = [
        AssetModel.triggers.any(Trigger.classpath == _CLASSPATH),
        DagModel.is_paused == false(),
        # The window that Airflow itself leaves open for the next run.
        AssetEvent.timestamp > func.coalesce(_last_run_after(), schedule.created_at),
        ~AssetEvent.created_dagruns.any(DagRun.dag_id == schedule.dag_id),
        ~_is_queued(),
    ]
    if hasattr(DagModel, "timetable_partitioned"):
        # Their runs are made of partition keys, which events of a watcher do not have.
        wanted.append(DagModel.timetable_partitioned == false())
    return (
        select(schedule.asset_id, schedule.dag_id, func.max(AssetEvent.timestamp))
        .join(AssetEvent, AssetEvent.asset_id == schedule.asset_id)
        .join(DagModel, DagModel.dag_id == schedule.dag_id)
        .join(AssetModel, AssetModel.id == schedule.asset_id)
        .where(*wanted)
        .group_by(schedule.asset_id, schedule.dag_id)
    )


def left_alone(after: int) -> Select[Any]:
    """Select the ids above ``after`` of our asset events that are in no run, with nothing queued for them."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.models.trigger import Trigger
    from sqlalchemy import select

    return (
        select(AssetEvent.id)
        .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        .where(
            AssetEvent.id > after,
            AssetModel.triggers.any(Trigger.classpath == _CLASSPATH),
            *_is_left_alone(),
        )
    )


def dated_back(waiting: Sequence[int], now: datetime) -> Select[Any]:
    """Select which of these asset events came after a run that should have had them, by their time.

    Ids are given in the order of storing, whatever the clocks say. An event of a run that somebody deleted is
    none of these: the runs after it have later ones. What may be in a scheduler's hand by now is left out.

    Args:
        waiting: Ids of asset events.
        now: Runs whose time is later are left out.
    """
    from airflow.models.asset import AssetEvent, DagScheduleAssetReference
    from sqlalchemy import select

    return (
        select(AssetEvent.id)
        .distinct()
        .join(DagScheduleAssetReference, DagScheduleAssetReference.asset_id == AssetEvent.asset_id)
        .where(
            AssetEvent.id.in_(waiting),
            # Once more: a scheduler may have been at work since.
            *_is_left_alone(),
            _has_passed(now),
        )
    )


def _is_left_alone() -> tuple[Any, ...]:
    """Whether an asset event is in no run of any DAG, with nothing queued for its asset."""
    from airflow.models.asset import AssetDagRunQueue, AssetEvent
    from sqlalchemy import exists

    return (
        ~exists().where(_taken().c.event_id == AssetEvent.id),
        ~exists().where(AssetDagRunQueue.asset_id == AssetEvent.asset_id),
    )


def _has_passed(now: datetime) -> Any:
    """Whether a run of the DAG ends its window after the event's time and holds older events only."""
    from airflow.models.asset import AssetEvent
    from airflow.models.dagrun import DagRun
    from sqlalchemy import exists, func, select

    taken = _taken()
    newest = select(func.max(taken.c.event_id)).where(taken.c.dag_run_id == DagRun.id).scalar_subquery()
    return exists().where(*_runs(now), DagRun.run_after >= AssetEvent.timestamp, newest < AssetEvent.id)


def _taken() -> Any:
    """The table of which asset event is in which run."""
    from airflow.models.asset import AssetEvent

    return AssetEvent.created_dagruns.property.secondary


def _last_run_after() -> Any:
    from airflow.models.dagrun import DagRun
    from sqlalchemy import func, select

    return select(func.max(DagRun.run_after)).where(*_runs(_now())).scalar_subquery()


def _runs(now: datetime) -> tuple[Any, ...]:
    """Which runs assets have made of the DAG: not those whose time, by a clock that was ahead, is to come."""
    from airflow.models.asset import DagScheduleAssetReference
    from airflow.models.dagrun import DagRun
    from airflow.utils.types import DagRunType

    return (
        DagRun.dag_id == DagScheduleAssetReference.dag_id,
        DagRun.run_type == DagRunType.ASSET_TRIGGERED,
        DagRun.run_after <= now,
    )


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _is_queued() -> Any:
    from airflow.models.asset import AssetDagRunQueue, DagScheduleAssetReference
    from sqlalchemy import exists

    return exists().where(
        AssetDagRunQueue.asset_id == DagScheduleAssetReference.asset_id,
        AssetDagRunQueue.target_dag_id == DagScheduleAssetReference.dag_id,
    )


_sweeper = Sweeper()


@hookimpl
def on_starting(component: Any) -> None:  # noqa: ARG001 - named by Airflow
    """Look once a triggerer has started: its predecessor may have died before it could."""
    if "triggerer" in sys.argv:
        _sweeper.start()


@hookimpl
def on_asset_changed(asset: Any) -> None:  # noqa: ARG001 - named by Airflow
    """Look when an event has come, in the triggerer: it is where watchers' events are stored."""
    if "triggerer" in sys.argv:
        _sweeper.changed()
