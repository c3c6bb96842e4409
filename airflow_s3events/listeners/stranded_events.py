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
#: Of the asset events that Airflow has stored last, so many are asked for their time.
_NEWEST = 20_000
#: A transaction of Airflow's that stores an asset event lasts no longer.
_TRANSACTION = timedelta(minutes=10)
#: A scheduler makes the runs of what is queued sooner, unless they have to wait for something.
_LOOP = timedelta(minutes=1)
#: One that is older by so much than another before it was dated back by a clock.
_DATED_BACK = timedelta(minutes=1)
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

    The new one comes to all DAGs of the asset; ``events_of`` gives each what it has not had.
    """
    from airflow.models.asset import AssetEvent
    from sqlalchemy import select

    now = _now(session)
    late = set(session.scalars(passed_by(now)))
    late |= {number for number, at, before in session.execute(dated_back(now)) if before - at > _DATED_BACK}
    events = session.scalars(select(AssetEvent).where(AssetEvent.id.in_(late))).all() if late else []
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
    from airflow.models.asset import AssetEvent, DagScheduleAssetReference
    from sqlalchemy import func, select

    schedule = DagScheduleAssetReference
    found = select(schedule.asset_id, schedule.dag_id, func.max(AssetEvent.timestamp)).select_from(AssetEvent)
    # The window that Airflow itself leaves open for the next run.
    is_open = AssetEvent.timestamp > func.coalesce(_last_run_after(now), schedule.created_at)
    return _not_in_a_run(found).where(is_open, ~_is_queued()).group_by(schedule.asset_id, schedule.dag_id)


def passed_by(now: datetime) -> Select[Any]:
    """Select the ids of new asset events that are in no run of a DAG, though it has a run with their time.

    Not while something has just been queued for the DAG: that run may have them. An event of a run that
    somebody has just deleted is one, too.
    """
    from airflow.models.asset import AssetEvent, DagScheduleAssetReference
    from airflow.models.dagrun import DagRun
    from sqlalchemy import exists, select

    return _not_in_a_run(select(AssetEvent.id).distinct()).where(
        ~_is_queued(now - _LOOP),
        ~_is_stored_again(),
        _is_among_the_newest(),
        AssetEvent.timestamp > now - _TRANSACTION,
        AssetEvent.timestamp > DagScheduleAssetReference.created_at,
        exists().where(*_runs(now), DagRun.run_after >= AssetEvent.timestamp),
    )


def dated_back(now: datetime) -> Select[Any]:
    """Select id and time of asset events that are older than a DAG's next run, and the time before them.

    That is the latest time of all that have been stored before, by their ids, which no clock makes: an event
    that is older than it by much has a wrong time. What came before the DAG was scheduled by the asset is
    none of these, nor is an event of a run that somebody has deleted.
    """
    from airflow.models.asset import AssetEvent, DagScheduleAssetReference
    from sqlalchemy import case, func, select

    # What a clock that was ahead has dated into the future tells no time.
    until_now = case((AssetEvent.timestamp <= now, AssetEvent.timestamp))
    before = func.max(until_now).over(order_by=AssetEvent.id, rows=(None, -1)).label("before")
    times = select(AssetEvent.id, before).where(_is_among_the_newest()).subquery()
    since = DagScheduleAssetReference.created_at
    found = select(AssetEvent.id, AssetEvent.timestamp, times.c.before).select_from(AssetEvent)
    return _not_in_a_run(found.join(times, times.c.id == AssetEvent.id)).where(
        ~_is_stored_again(),
        times.c.before > AssetEvent.timestamp,
        times.c.before > since,
        AssetEvent.timestamp <= func.coalesce(_last_run_after(now), since),
    )


def _is_among_the_newest() -> Any:
    from airflow.models.asset import AssetEvent
    from sqlalchemy import func, select

    return AssetEvent.id > select(func.max(AssetEvent.id) - _NEWEST).scalar_subquery()


def _is_stored_again() -> Any:
    """Whether an asset event has been: asked of the text, since no two databases look into JSON alike.

    The quotes are the member's own: in a key or another text they would have a backslash before them.
    """
    from airflow.models.asset import AssetEvent
    from sqlalchemy import Text, cast

    return cast(AssetEvent.extra, Text).contains(f'"{_STORED_AGAIN}"', autoescape=True)


def _not_in_a_run(found: Select[Any]) -> Select[Any]:
    """Join asset events of ours with each DAG that should have a run with them, and has none."""
    from airflow.models.asset import AssetEvent, AssetModel, DagScheduleAssetReference
    from airflow.models.dag import DagModel
    from airflow.models.trigger import Trigger

    schedule = DagScheduleAssetReference
    return (
        found.join(schedule, schedule.asset_id == AssetEvent.asset_id)
        .join(DagModel, DagModel.dag_id == schedule.dag_id)
        .join(AssetModel, AssetModel.id == schedule.asset_id)
        .where(
            AssetModel.triggers.any(Trigger.classpath == _CLASSPATH),
            *_takes_our_events(),
            ~_is_in_a_run(),
        )
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


def _is_queued(since: datetime | None = None) -> Any:
    """Whether something is queued for the DAG and its asset, or has been since then."""
    from airflow.models.asset import AssetDagRunQueue, DagScheduleAssetReference
    from sqlalchemy import exists

    rows = [
        AssetDagRunQueue.asset_id == DagScheduleAssetReference.asset_id,
        AssetDagRunQueue.target_dag_id == DagScheduleAssetReference.dag_id,
    ]
    return exists().where(*rows, *(() if since is None else (AssetDagRunQueue.created_at > since,)))


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
