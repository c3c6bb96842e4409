"""``events_of``: what a task of the started run gets."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from hypothesis import given

from airflow_s3events import events_of
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import BodyError
from airflow_s3events.identity import event_id
from airflow_s3events.routing import Route
from tests.strategies import events, make_event


def context(conf: Any) -> dict[str, Any]:
    return {"dag_run": SimpleNamespace(conf=conf)}


@given(events)
def test_gives_the_event_that_the_dispatcher_put_into_conf(event: ObjectEvent) -> None:
    sent = Route(dag_id="process", extra={"a": 1}).conf({**event.serialize(), "event_id": event_id(event)})
    assert events_of(context(json.loads(json.dumps(sent)))) == [event]


def test_its_time_is_pendulum_s_and_in_utc() -> None:
    (event,) = events_of(context({"s3_event": make_event().serialize()}))
    assert isinstance(event.event_time, pendulum.DateTime)
    assert event.event_time.timezone_name == "UTC"


@pytest.mark.parametrize("conf", [None, {}, {"mine": 1}])
def test_a_run_started_by_hand_has_none(conf: Any) -> None:
    assert events_of(context(conf)) == []


def test_a_task_without_a_run_has_none() -> None:
    assert events_of({}) == []


@pytest.mark.parametrize("data", ["text", [], {"bucket": 1}, {"schema": 99, "bucket": "b", "key": "k"}])
def test_a_conf_with_something_else_in_its_place_is_an_error(data: Any) -> None:
    with pytest.raises(BodyError):
        events_of(context({"s3_event": data}))
