"""``S3EventRetryFailedRunsOperator`` over an Airflow that goes on while the operator works."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from airflow_s3events import S3EventRetryFailedRunsOperator
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.hooks.airflow_rest import Answer
from airflow_s3events.identity import event_id, run_id
from airflow_s3events.testing.bodies import object_created_body


@cache
def event_of(key: str) -> ObjectEvent:
    """The one event of an object: each body has a sequencer of its own."""
    (event,) = parse_body(object_created_body("landing", key), message_id="m").events
    return event


def run_of(key: str, attempt: int = 0) -> tuple[str, dict[str, Any]]:
    """Run id and conf of the run that a dispatcher starts for an object."""
    event = event_of(key)
    return run_id(event, attempt=attempt), {"s3_event": {**event.serialize(), "event_id": event_id(event)}}


class Airflow:
    """Runs of one DAG; ``meanwhile`` is called before each answer, ``statuses`` are those of single runs."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.confs: dict[str, dict[str, Any]] = {}
        self.notes: dict[str, str] = {}
        self.statuses: dict[str, int] = {}
        self.done: list[tuple[str, str]] = []
        self.meanwhile: Callable[[str], None] = lambda _: None

    def add(self, key: str, state: str = "failed", attempt: int = 0) -> str:
        name, conf = run_of(key, attempt)
        self.states[name], self.confs[name] = state, conf
        return name

    def call(self, method: str, path: str, *, query: Any = None, body: Any = None) -> Answer:
        self.meanwhile(f"{method} {path}")
        name = path.partition("/dagRuns")[2].strip("/")
        if method == "GET" and not name:
            return Answer(200, {"dag_runs": [self._run(one) for one in self._failed()[query["offset"] :]]})
        if method == "GET":
            status = self.statuses.get(name, 200 if name in self.states else 404)
            return Answer(status, self._run(name) if status == 200 else None)
        if name.endswith("/clear"):
            name = name.removesuffix("/clear")
            self.done.append(("clear", name))
        else:
            name = body["dag_run_id"]
            self.done.append(("new_run", name))
        self.states[name] = "queued"
        return Answer(200, {})

    def _failed(self) -> list[str]:
        return [name for name, state in self.states.items() if state == "failed"]

    def _run(self, name: str) -> dict[str, Any]:
        return {
            "dag_run_id": name,
            "conf": self.confs[name],
            "note": self.notes.get(name),
            "state": self.states[name],
        }


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow:
    api = Airflow()
    monkeypatch.setattr(S3EventRetryFailedRunsOperator, "_api", lambda _: api)
    return api


def retry(**settings: Any) -> dict[str, Any]:
    operator = S3EventRetryFailedRunsOperator(task_id="retry", failed_dag_id="process", **settings)
    report: dict[str, Any] = operator.execute({})
    return report


@pytest.mark.parametrize(("action", "following"), [("clear", 0), ("new_run", 1)])
def test_a_failed_run_is_started_again(airflow: Airflow, action: str, following: int) -> None:
    airflow.add("a")
    assert retry(action=action)["done"] == 1
    assert airflow.done == [(action, run_of("a", following)[0])]


@pytest.mark.parametrize("state", ["queued", "running", "success"])
def test_a_run_that_was_started_again_meanwhile_is_left_alone(airflow: Airflow, state: str) -> None:
    first, last = airflow.add("a"), airflow.add("b")

    def meanwhile(call: str) -> None:
        if call.endswith(f"{first}/clear"):
            airflow.states[last] = state

    airflow.meanwhile = meanwhile
    assert retry()["runs"] == [first]
    assert airflow.done == [("clear", first)]


def test_a_run_that_was_deleted_or_parked_meanwhile_is_left_alone(airflow: Airflow) -> None:
    first, second, third = (airflow.add(key) for key in "abc")

    def meanwhile(call: str) -> None:
        if call.endswith(f"{first}/clear"):
            airflow.states.pop(second, None)
            airflow.notes[third] = "s3events: parked"

    airflow.meanwhile = meanwhile
    retry()
    assert airflow.done == [("clear", first)]


@pytest.mark.parametrize("attempt", [1, 2, 5])
@pytest.mark.parametrize("state", ["running", "failed", "success"])
def test_a_run_that_a_later_attempt_has_followed_is_left_alone(
    airflow: Airflow, attempt: int, state: str
) -> None:
    airflow.add("a")
    later = airflow.add("a", state, attempt)
    retry()
    assert [name for _, name in airflow.done] == ([later] if state == "failed" else [])


@pytest.mark.parametrize("state", ["queued", "running", "success"])
def test_a_run_of_which_an_earlier_attempt_works_or_has_succeeded_is_left_alone(
    airflow: Airflow, state: str
) -> None:
    airflow.add("a", state)
    airflow.add("a", "failed", 7)
    retry()
    assert airflow.done == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_airflow_that_throttles_or_is_broken_is_an_outage_and_no_run_that_is_not_there(
    airflow: Airflow, status: int
) -> None:
    airflow.add("a")
    airflow.statuses[airflow.add("a", "running", 1)] = status
    with pytest.raises(OutageError, match=str(status)):
        retry()
    assert airflow.done == []


def test_any_other_refusal_is_no_run_that_is_not_there_either(airflow: Airflow) -> None:
    airflow.add("a")
    airflow.statuses[airflow.add("a", "running", 1)] = 400
    with pytest.raises(ConfigurationError, match="400"):
        retry()
    assert airflow.done == []


def test_a_dry_run_reports_what_would_be_done_and_does_nothing(airflow: Airflow) -> None:
    first = airflow.add("a")
    airflow.add("b", "failed")
    airflow.add("b", "running", 2)
    assert retry(dry_run=True)["runs"] == [first]
    assert airflow.done == []
