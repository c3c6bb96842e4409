"""``S3EventFailureNotifier`` against an emulated SQS: with a task's whole context and a DAG's scant one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_s3events import S3EventFailureNotifier
from airflow_s3events.envelopes import parse_body
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.identity import event_id, run_id
from airflow_s3events.testing.bodies import object_created_body
from tests.adapters.queues import attributes, dead_letters_of, messages

EVENT = parse_body(object_created_body("landing", "in/a.csv"), message_id="m1").events[0]


def context(attempt: int = 0, **event: Any) -> dict[str, Any]:
    conf = {"s3_event": {**EVENT.serialize(), "event_id": event_id(EVENT), **event}}
    name = run_id(EVENT, attempt=attempt)
    return {
        "dag": SimpleNamespace(dag_id="load"),
        "run_id": name,
        "dag_run": SimpleNamespace(dag_id="load", run_id=name, conf=conf),
    }


def of_a_task(attempt: int = 0) -> dict[str, Any]:
    ti = SimpleNamespace(task_id="parse", try_number=2, log_url="http://airflow/log")
    return {**context(attempt), "task_instance": ti, "exception": ValueError("no such column")}


@pytest.fixture
def dlq(sqs: Any, queue: str) -> str:
    return dead_letters_of(sqs, queue)


def test_a_failed_run_goes_back_under_the_next_attempt(sqs: Any, queue: str) -> None:
    S3EventFailureNotifier(sqs_queue=queue, delay_seconds=0).notify(context(attempt=1))

    (message,) = messages(sqs, queue)
    assert attributes(message)["attempt"] == "2"
    assert parse_body(message["Body"], message_id="x").events == (EVENT,)


def test_it_waits_before_it_comes_back(sqs: Any, queue: str) -> None:
    S3EventFailureNotifier(sqs_queue=queue, delay_seconds=300).notify(context())
    assert messages(sqs, queue) == []
    names = ["ApproximateNumberOfMessagesDelayed"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    assert found[names[0]] == "1"


def test_after_the_last_attempt_it_is_a_dead_letter_with_all_that_is_known(
    sqs: Any, queue: str, dlq: str
) -> None:
    notifier = S3EventFailureNotifier(sqs_queue=queue, dead_letter_queue=dlq, max_attempts=2)
    notifier.notify(of_a_task(attempt=2))

    assert messages(sqs, queue) == []
    (letter,) = messages(sqs, dlq)
    assert attributes(letter) == {
        "reason": "ValueError: no such column",
        "dag_id": "load",
        "run_id": run_id(EVENT, attempt=2),
        "task_id": "parse",
        "try_number": "2",
        "log_url": "http://airflow/log",
        "attempt": "2",
    }


def test_a_dead_letter_of_a_dag_has_the_reason_that_airflow_gives(sqs: Any, dlq: str) -> None:
    S3EventFailureNotifier(dead_letter_queue=dlq).notify({**context(), "reason": "task_failure"})
    assert [attributes(letter)["reason"] for letter in messages(sqs, dlq)] == ["task_failure"]


def test_after_the_last_attempt_nothing_is_sent_where_there_is_no_dead_letter_queue(
    sqs: Any, queue: str
) -> None:
    S3EventFailureNotifier(sqs_queue=queue, max_attempts=1, delay_seconds=0).notify(context(attempt=1))
    assert messages(sqs, queue) == []


@pytest.mark.parametrize("missing", ["dag_run", "run_id"])
def test_a_context_that_does_not_say_what_failed_sends_nothing(sqs: Any, queue: str, missing: str) -> None:
    scant = {**context(), missing: None}
    if missing == "run_id":
        scant["dag_run"].run_id = "manual__2026"
    S3EventFailureNotifier(sqs_queue=queue, delay_seconds=0).notify(scant)
    assert messages(sqs, queue) == []


def test_sending_back_and_run_succeeded_exclude_each_other(sqs: Any, queue: str, dlq: str) -> None:
    held = context(acknowledge="run_succeeded")
    with pytest.raises(ConfigurationError, match="acknowledge='run_succeeded'"):
        S3EventFailureNotifier(sqs_queue=queue, dead_letter_queue=dlq).notify(held)
    assert messages(sqs, queue) == messages(sqs, dlq) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, "sqs_queue, dead_letter_queue"),
        ({"sqs_queue": "q", "max_attempts": 0}, "max_attempts"),
        ({"sqs_queue": "q", "delay_seconds": 901}, "delay_seconds"),
    ],
)
def test_a_setting_that_cannot_work_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        S3EventFailureNotifier(**arguments)
