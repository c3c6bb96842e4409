"""What Airflow 3 has of assets, as a trigger and as a task may ask for it; on Airflow 2 there is nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow_s3events.exceptions import OutageError


def asset_events_between(asset: Any, after: datetime, before: datetime) -> list[Any]:
    """Return the events of ``asset`` stored between two moments, both included, as a task may ask for them.

    By what ``inlet_events`` of a task's context asks for, without its being an inlet of the task. It is no
    public API. Before 3.2 Airflow gives all events that the asset ever had.

    Raises:
        OutageError: Airflow did not answer, or not sensibly. Up to 3.3.2 it answers with a server error while
            a run with one of these events has not begun, be it one of another DAG
            (https://github.com/apache/airflow/issues/71360).
    """
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.comms import GetAssetEventByAsset

    from airflow_s3events._compat.supervisor_runs import outage_of, send

    known = GetAssetEventByAsset.model_fields
    both = (("after", after), ("before", before))
    window: dict[str, Any] = {name: at for name, at in both if name in known}
    try:
        answer = send(GetAssetEventByAsset(name=asset.name, uri=asset.uri, **window))
    except AirflowRuntimeError as error:
        raise OutageError(f"asset events of {asset.name!r}: {outage_of(error)}") from error
    return [event for event in answer.asset_events if after <= event.timestamp <= before]


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
