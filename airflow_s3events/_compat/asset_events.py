"""What Airflow 3 has of assets, as a trigger and as a task may ask for it; on Airflow 2 there is nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_s3events.context import MADE_BY_ASSETS, events_of_run
from airflow_s3events.exceptions import ConfigurationError, OutageError

if TYPE_CHECKING:
    from airflow_s3events.events import ObjectEvent

#: Asset events in one answer: some megabytes at most, for which Airflow's client waits five seconds.
_PAGE = 100


def events_in(context: Mapping[str, Any]) -> list[ObjectEvent]:
    """Return the object events that started the run of ``context``: ``events_of_run``, asking this Airflow.

    Raises:
        BodyError, OutageError: See ``events_of_run``.
        ConfigurationError: The DAG names its assets by reference alone.
    """
    found = events_of_run(context, asset_events_between)
    run_id = str(getattr(context.get("dag_run"), "run_id", ""))
    if not found and run_id.startswith(MADE_BY_ASSETS) and not context.get("triggering_asset_events"):
        _check_schedule(context.get("dag"))
    return found


def _check_schedule(dag: Any) -> None:
    """Refuse a schedule that only refers to assets: Airflow makes its runs, without asset events."""
    from airflow.sdk.definitions.asset import AssetRef

    assets = list(_leaves(getattr(getattr(dag, "timetable", None), "asset_condition", None)))
    if assets and all(isinstance(asset, AssetRef) for asset in assets):
        raise ConfigurationError(
            f"schedule of DAG {dag.dag_id!r}: Airflow gives a run that Asset.ref() has started no asset"
            " events, so it has no objects; schedule it by the asset itself, which another file can export"
        )


def _leaves(condition: Any) -> Iterator[Any]:
    """Yield what a schedule of assets is made of."""
    inner = getattr(condition, "objects", None)
    if inner is None:
        yield from () if condition is None else (condition,)
    else:
        for each in inner:
            yield from _leaves(each)


def asset_events_between(asset: Any, after: datetime, before: datetime) -> list[Any]:
    """Return the events of ``asset`` stored between two moments, both included, as a task may ask for them.

    By what ``inlet_events`` of a task's context asks for, without its being an inlet of the task. It is no
    public API. Before 3.2 Airflow gives all events that the asset ever had, in one answer.

    Raises:
        OutageError: Airflow did not answer, or not sensibly. Up to 3.3.2 it answers with a server error while
            a run with one of these events has not begun, be it one of another DAG
            (https://github.com/apache/airflow/issues/71360).
    """
    from airflow.sdk.execution_time.comms import GetAssetEventByAsset

    if "limit" not in GetAssetEventByAsset.model_fields:
        return [event for event in _asset_events(asset) if after <= event.timestamp <= before]
    found: dict[int, Any] = {}
    limit = _PAGE
    while True:
        page = _asset_events(asset, after=after, before=before, limit=limit)
        found |= {event.id: event for event in page}
        if len(page) < limit:
            return list(found.values())
        # Where a whole page has one time, a longer one is needed to get beyond it.
        limit = _PAGE if page[-1].timestamp > after else 2 * limit
        after = page[-1].timestamp


def _asset_events(asset: Any, **window: Any) -> list[Any]:
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.comms import GetAssetEventByAsset

    from airflow_s3events._compat.supervisor_runs import outage_of, send

    try:
        answer = send(GetAssetEventByAsset(name=asset.name, uri=asset.uri, **window))
    except AirflowRuntimeError as error:
        raise OutageError(f"asset events of {asset.name!r}: {outage_of(error)}") from error
    return list(answer.asset_events)


async def read_variable(key: str) -> str | None:
    """Return an Airflow variable, as a trigger may ask for it; None where there is none."""
    from airflow.sdk import Variable
    from asgiref.sync import sync_to_async

    # Before 3.3 the way back to the triggerer's loop is asgiref's.
    value = await sync_to_async(Variable.get)(key, default=None)
    return None if value is None else str(value)


def stored_variable(key: str) -> str | None:
    """Return an Airflow variable, as a server of Airflow's UI may read it; None where there is none."""
    from airflow.models import Variable

    value = Variable.get(key, default_var=None)
    return None if value is None else str(value)


async def write_variable(key: str, value: str, description: str) -> None:
    """Store an Airflow variable, as a trigger may."""
    from airflow.sdk import Variable
    from asgiref.sync import sync_to_async

    await sync_to_async(Variable.set)(key, value, description)
