"""The typed events that started a run, out of the context of one of its tasks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from airflow_s3events.events import EVENT_MEMBER, EVENTS_MEMBER, ObjectEvent
from airflow_s3events.exceptions import OutageError
from airflow_s3events.packs import AssetPack, own_events, read_pack
from airflow_s3events.trace_contexts import TraceContext, contexts_in

log = logging.getLogger(__name__)

#: ``earlier(asset, after, before)`` returns the asset events (``extra``, ``timestamp``, ``created_dagruns``)
#: stored between both, or raises ``OutageError``.
Earlier = Callable[[Any, datetime, datetime], Iterable[Any]]
#: How far the clocks of S3 and of Airflow may be apart; and may have been, when what comes again was stored.
_CLOCK_SECONDS = 60.0
_WRONG_CLOCK_SECONDS = 7_200.0
#: SQS keeps a message for so long at most, so no older one can be here again
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html).
_LONGEST_RETENTION = timedelta(days=14)
#: Begins the id of each run that assets have made.
MADE_BY_ASSETS = "asset_triggered__"


def events_of_run(context: Mapping[str, Any], earlier: Earlier) -> list[ObjectEvent]:
    """Return the object events that started the run of ``context``, each once, in order.

    Args:
        context: The task's context.
        earlier: Asked for asset events that may hold an object event before this run does.

    Raises:
        BodyError: The conf, or an asset event, holds something else where object events should be.
        OutageError: Airflow does not say what earlier runs had, and some events may have been in one.
    """
    dag_run = context.get("dag_run")
    conf = getattr(dag_run, "conf", None) or {}
    data = conf.get(EVENT_MEMBER)
    found = [] if data is None else [ObjectEvent.deserialize(data)]
    found += map(ObjectEvent.deserialize, conf.get(EVENTS_MEMBER, ()))
    for asset, asset_events in (context.get("triggering_asset_events") or {}).items():
        packs = list(_packs(asset_events))
        found += _own_events(asset, packs, earlier, dag_run)
    return [_at_airflow_edge(event) for event in found]


def contexts_of_run(context: Mapping[str, Any]) -> list[TraceContext]:
    """Return the spans that made the run of ``context``: of its event or batch, or of its asset events."""
    conf = getattr(context.get("dag_run"), "conf", None)
    asset_events = (context.get("triggering_asset_events") or {}).values()
    extras = [stored.extra for some in asset_events for stored in some]
    return contexts_in(conf, *(extra.get("payload") for extra in extras if isinstance(extra, Mapping)))


def _packs(asset_events: Iterable[Any]) -> Iterator[AssetPack]:
    for stored in asset_events:
        pack = read_pack(stored.extra, stored.timestamp)
        if pack is not None:
            yield pack


def _own_events(asset: Any, packs: list[AssetPack], earlier: Earlier, dag_run: Any) -> list[ObjectEvent]:
    """Return what of ``packs`` belongs to this run: no object event is in anything older than itself."""
    if not any(pack.events for pack in packs):
        return []
    first = min(pack.stored_at for pack in packs)
    stored = [(one, _runs_with(one, dag_run)) for one in _stored_until(asset, packs, earlier)]
    # A run that ends its window later was there before: Airflow makes an earlier one after it when two
    # triggerers store at the same moment, and gives it what it finds.
    taken = {
        one.timestamp for one, runs in stored if any(_is_later(run, dag_run.run_id) for run in runs or ())
    }
    return own_events(
        [pack for pack in packs if pack.stored_at not in taken],
        # What is in no run, though older than this one, has been passed by.
        _packs(one for one, runs in stored if one.timestamp < first and runs != []),
    )


def _stored_until(asset: Any, packs: list[AssetPack], earlier: Earlier) -> list[Any]:
    """Return the asset events that may hold what ``packs`` hold, with those that hold it for this run.

    Up to 3.3.2 Airflow fails here for as long as another DAG on the asset has not begun with one of its runs
    (apache/airflow issue 71360). Where everything has come for the first time, less will do.
    """
    first, last = min(pack.stored_at for pack in packs), max(pack.stored_at for pack in packs)
    since = min(_first_stored(event, pack) for pack in packs for event in pack.events.values())
    try:
        return list(earlier(asset, since, last))
    except OutageError as error:
        if any(pack.may_be_again for pack in packs):
            raise
        log.warning(
            "Airflow does not say what earlier runs had; these events came for the first time: %s", error
        )
    try:
        return list(earlier(asset, first, last))
    except OutageError:
        return []


def _runs_with(stored: Any, dag_run: Any) -> list[str] | None:
    """Return the ids of the runs of the DAG that have an asset event; None where Airflow does not tell."""
    runs, dag_id = getattr(stored, "created_dagruns", None), getattr(dag_run, "dag_id", None)
    return None if runs is None or dag_id is None else [run.run_id for run in runs if run.dag_id == dag_id]


def _is_later(run_id: str, than: str) -> bool:
    """Whether a run ends its window later: Airflow names the runs that assets make by that time."""
    return run_id.startswith(MADE_BY_ASSETS) and than.startswith(MADE_BY_ASSETS) and run_id > than


def _first_stored(event: ObjectEvent, pack: AssetPack) -> datetime:
    """Return since when this event can be stored; if its time does not tell, since SQS may have it."""
    if event.event_time is not None:
        apart = _WRONG_CLOCK_SECONDS if pack.may_be_again else _CLOCK_SECONDS
        since = event.event_time - timedelta(seconds=apart)
        if since <= pack.stored_at:
            return since
    return pack.stored_at - _LONGEST_RETENTION


def _at_airflow_edge(event: ObjectEvent) -> ObjectEvent:
    if event.event_time is None:
        return event
    import pendulum

    return replace(event, event_time=pendulum.instance(event.event_time))
