"""``events_of(context)``: the typed events that started a run, inside one of its tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_s3events.events import EVENT_MEMBER, ObjectEvent


def events_of(context: Mapping[str, Any]) -> list[ObjectEvent]:
    """Return the object events that started the run of ``context``, in order.

    A run that the dispatcher started has one. A run that somebody started by hand has none, unless the conf
    given by hand holds an ``s3_event`` in the same form.

    Args:
        context: The task's context, as ``execute`` receives it or ``get_current_context()`` returns it.

    Returns:
        The events; ``event_time`` is a ``pendulum.DateTime`` in UTC, as everywhere in Airflow. Runs that the
        dispatcher starts have no logical date on Airflow 3, so use ``event_time`` where ``ds`` was used.

    Raises:
        BodyError: The conf holds an ``s3_event`` that is not one.
    """
    conf = getattr(context.get("dag_run"), "conf", None) or {}
    data = conf.get(EVENT_MEMBER)
    return [] if data is None else [_at_airflow_edge(ObjectEvent.deserialize(data))]


def _at_airflow_edge(event: ObjectEvent) -> ObjectEvent:
    if event.event_time is None:
        return event
    import pendulum

    return replace(event, event_time=pendulum.instance(event.event_time))
