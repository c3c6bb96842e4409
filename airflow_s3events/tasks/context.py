"""``events_of(context)``: the typed events that started a run, inside one of its tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_s3events._compat.asset_events import events_in
from airflow_s3events.events import ObjectEvent


def events_of(context: Mapping[str, Any]) -> list[ObjectEvent]:
    """Return the object events that started the run of ``context``, in order.

    A run that the dispatcher started has one, a run that an asset started has those of all its asset events,
    each once. A run that somebody started by hand has none, unless the conf given by hand holds an
    ``s3_event`` in the same form.

    After a kill Airflow may store an object event a second time, in another asset event, and start another
    run with it: the event belongs to the first, and the other run does not see it. So a run may have none.

    Args:
        context: The task's context, as ``execute`` receives it or ``get_current_context()`` returns it.

    Returns:
        The events; ``event_time`` is a ``pendulum.DateTime`` in UTC, as everywhere in Airflow. Runs that the
        dispatcher or an asset starts have no logical date on Airflow 3, so use ``event_time`` where ``ds``
        was used.

    Raises:
        BodyError: The conf, or an asset event, holds something else where object events should be.
        OutageError: Airflow does not say what earlier runs of an asset had, and the messages of some of these
            events had been received before. Give the task retries.
        ConfigurationError: The DAG names its assets by ``Asset.ref`` alone, and is given no asset events.
    """
    return events_in(context)
