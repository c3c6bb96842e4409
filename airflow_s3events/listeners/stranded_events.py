"""Queues a run for asset events that Airflow has stored and then left without one.

Airflow's queue of asset runs keeps the time of the first event that was queued; the run takes the events up
to that time, the row goes, and what came in between waits for the next event, for ever if none comes. Events
stored while a DAG is paused are not queued at all. ``docs/explanation/assets.md`` has the whole story.

Airflow stores a watcher's events in the main process of the triggerer, where there is a database. There a
thread looks for events of our assets that are in no run and have nothing queued for them, and puts into
Airflow's queue what Airflow would have put there: it never makes a run itself, and none without events.

Which run takes an event is a matter of its time, by the clock of the triggerer that stored it. One that was
not there yet when a run with its time was made, since its clock was wrong or its transaction ended late, is
passed by for good: it is stored once more, with the time at which it is found.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from airflow_s3events.packs import again

if TYPE_CHECKING:
    from sqlalchemy.orm import Session
    from sqlalchemy.sql import Select

log = logging.getLogger(__name__)

_CLASSPATH = "airflow_s3events.triggers.s3_event_asset.S3EventAssetTrigger"
#: Seconds between two looks: while events come, for a while after the last one, and otherwise.
_BUSY_SECONDS = 2.0
_QUIET_SECONDS = 15.0
_BUSY_FOR_SECONDS = 60.0
#: So many of our asset events are looked at, of so many that Airflow has stored last.
_NEWEST = 2_000
_NEWEST_OF_ALL = 20_000
#: A transaction of Airflow's that stores an asset event lasts no longer.
_TRANSACTION = timedelta(minutes=10)
#: Member of an asset event's ``extra`` that was passed by and has been stored once more.
_STORED_AGAIN = "s3_events_stored_again"
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
        if late := store_again(session):
            log.warning("Asset events that a run had passed by were stored once more: %d", late)
            queued += queue_stranded(session)
        return queued


def store_again(session: Session) -> int:
    """Store asset events that runs have passed by once more, with the time that it is; return how many.

    The new one comes to all DAGs of the asset; ``events_of`` gives each what it has not had. In several
    statements, since few events are in no run, and no database guesses how few.
    """
    from airflow.models.asset import AssetEvent
    from sqlalchemy import select

    now = _now(session)
    waiting = session.scalars(left_alone()).all()
    late = session.scalars(passed_by(waiting, now)).all() if waiting else []
    events = session.scalars(select(AssetEvent).where(AssetEvent.id.in_(late))).all() if late else []
    events = [event for event in events if _STORED_AGAIN not in event.extra]
    for event in events:
        session.add(AssetEvent(asset_id=event.asset_id, extra=again(event.extra), timestamp=now))
        event.extra = {**event.extra, _STORED_AGAIN: True}
    session.flush()
    return len(events)


def queue_stranded(session: Session) -> int:
    """Do the same in a session of the caller's."""
    names = ["asset_id", "target_dag_id", "created_at"]
    found = stranded(_now(session))
    result: Any = session.execute(_insert(session.get_bind().dialect.name).from_select(names, found))
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


def stranded(now: datetime) -> Select[Any]:
    """Select asset, DAG and time of the newest event, where our events are in no run and nothing is queued.

    In one statement with the insert: what the scheduler has in hand is either still queued, or in its run.
    """
    from airflow.models.asset import AssetEvent, AssetModel, DagScheduleAssetReference
    from airflow.models.dag import DagModel
    from airflow.models.trigger import Trigger
    from sqlalchemy import func, select

    schedule = DagScheduleAssetReference
    wanted = [
        AssetModel.triggers.any(Trigger.classpath == _CLASSPATH),
        *_takes_our_events(),
        # The window that Airflow itself leaves open for the next run.
        AssetEvent.timestamp > func.coalesce(_last_run_after(now), schedule.created_at),
        ~_is_in_a_run(),
        ~_is_queued(),
    ]
    return (
        select(schedule.asset_id, schedule.dag_id, func.max(AssetEvent.timestamp))
        .join(AssetEvent, AssetEvent.asset_id == schedule.asset_id)
        .join(DagModel, DagModel.dag_id == schedule.dag_id)
        .join(AssetModel, AssetModel.id == schedule.asset_id)
        .where(*wanted)
        .group_by(schedule.asset_id, schedule.dag_id)
    )


def left_alone() -> Select[Any]:
    """Select which of our newest asset events are in no run of one of the DAGs on their asset."""
    from airflow.models.asset import AssetEvent, AssetModel, DagScheduleAssetReference
    from airflow.models.dag import DagModel
    from airflow.models.trigger import Trigger
    from sqlalchemy import func, select

    after = select(func.max(AssetEvent.id) - _NEWEST_OF_ALL).scalar_subquery()
    newest = (
        select(AssetEvent.id)
        .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        .where(AssetEvent.id > after, AssetModel.triggers.any(Trigger.classpath == _CLASSPATH))
        .order_by(AssetEvent.id.desc())
        .limit(_NEWEST)
        .subquery()
    )
    schedule = DagScheduleAssetReference
    return (
        select(AssetEvent.id)
        .distinct()
        .join(newest, newest.c.id == AssetEvent.id)
        .join(schedule, schedule.asset_id == AssetEvent.asset_id)
        .join(DagModel, DagModel.dag_id == schedule.dag_id)
        .where(*_takes_our_events(), ~_is_in_a_run())
    )


def passed_by(waiting: Sequence[int], now: datetime) -> Select[Any]:
    """Select which of these asset events came after a run that should have had them, by their time.

    What may be in a scheduler's hand by now is left out.

    Args:
        waiting: Ids of asset events.
        now: Runs whose time is later are left out.
    """
    from airflow.models.asset import AssetEvent, DagScheduleAssetReference
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    schedule = DagScheduleAssetReference
    return (
        select(AssetEvent.id)
        .distinct()
        .join(schedule, schedule.asset_id == AssetEvent.asset_id)
        .join(DagModel, DagModel.dag_id == schedule.dag_id)
        .where(AssetEvent.id.in_(waiting), *_takes_our_events(), _has_been_passed(now))
        # Once more: a scheduler may have been at work since.
        .where(~_is_in_a_run(), ~_is_queued())
    )


def _takes_our_events() -> tuple[Any, ...]:
    """Whether a DAG gets runs of a watcher's events: unpaused, and not by partition keys, which they lack."""
    from airflow.models.dag import DagModel
    from sqlalchemy import false

    names = [name for name in ("is_paused", "timetable_partitioned") if hasattr(DagModel, name)]
    return tuple(getattr(DagModel, name) == false() for name in names)


def _is_in_a_run() -> Any:
    """Whether an asset event is in a run of the DAG."""
    from airflow.models.asset import AssetEvent, DagScheduleAssetReference
    from airflow.models.dagrun import DagRun

    return AssetEvent.created_dagruns.any(DagRun.dag_id == DagScheduleAssetReference.dag_id)


def _has_been_passed(now: datetime) -> Any:
    """Whether a run of the DAG ends its window after the event's time, and was made before it was there.

    Of old ones only where it holds nothing newer of the asset: ids are given in the order of storing,
    whatever the clocks say. A run that somebody deleted leaves events behind, but the runs after it have
    later ones.
    """
    from airflow.models.asset import AssetEvent, DagScheduleAssetReference
    from airflow.models.dagrun import DagRun
    from sqlalchemy import and_, exists, func, or_, select
    from sqlalchemy.orm import aliased

    taken, other = _taken(), aliased(AssetEvent)
    newest = (
        select(func.max(other.id))
        .join(taken, taken.c.event_id == other.id)
        .where(taken.c.dag_run_id == DagRun.id, other.asset_id == AssetEvent.asset_id)
        .correlate(DagRun, AssetEvent)
        .scalar_subquery()
    )
    since = DagScheduleAssetReference.created_at
    is_new = and_(AssetEvent.timestamp > now - _TRANSACTION, AssetEvent.timestamp > since)
    return exists().where(
        *_runs(now), DagRun.run_after >= AssetEvent.timestamp, or_(newest < AssetEvent.id, is_new)
    )


def _taken() -> Any:
    """The table of which asset event is in which run."""
    from airflow.models.asset import AssetEvent

    return AssetEvent.created_dagruns.property.secondary


def _last_run_after(now: datetime) -> Any:
    from airflow.models.dagrun import DagRun
    from sqlalchemy import func, select

    return select(func.max(DagRun.run_after)).where(*_runs(now)).scalar_subquery()


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


def _now(session: Session) -> datetime:
    """Return the time by the database's clock, since that of a triggerer may be the wrong one."""
    from sqlalchemy import func, select

    dialect = session.get_bind().dialect.name
    if dialect == "sqlite":  # a file of this machine
        return datetime.now(timezone.utc)
    found: datetime = session.execute(
        select(func.utc_timestamp(6) if dialect == "mysql" else func.now())
    ).scalar_one()
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


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
