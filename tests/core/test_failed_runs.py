"""What a failed run says of itself, and what of it goes back to a queue."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_s3events.dead_letters import DeadLetter
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.failed_runs import FailedRun, attempts_around, name_of, resend_delay_seconds
from airflow_s3events.identity import event_id, run_id
from airflow_s3events.messages import Message
from airflow_s3events.testing.bodies import object_created_body

EVENT = parse_body(object_created_body("landing", "in/a.csv"), message_id="m1").events[0]


def conf(event: ObjectEvent = EVENT, **more: Any) -> dict[str, Any]:
    return {"s3_event": {**event.serialize(), "event_id": event_id(event), **more}}


def failed(attempt: int = 0, **more: Any) -> FailedRun:
    run = FailedRun.of("load", run_id(EVENT, attempt=attempt), conf(**more))
    assert run is not None
    return run


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("attempt", [0, 1, 999_999_999])
def test_a_run_id_says_event_and_attempt(attempt: int, readable: bool) -> None:
    assert name_of(run_id(EVENT, readable=readable, attempt=attempt)) == (event_id(EVENT), attempt)


@pytest.mark.parametrize("other", ["manual__2026", "s3_abc", "s3_" + "g" * 40, "s3_" + "a" * 40 + "_a0"])
def test_another_run_id_says_nothing(other: str) -> None:
    assert name_of(other) is None


@pytest.mark.parametrize("other", [None, {}, {"s3_event": None}, {"s3_event": {"key": 3}}])
def test_a_run_whose_conf_holds_no_event_is_not_ours(other: Any) -> None:
    assert FailedRun.of("load", run_id(EVENT), other) is None


def test_a_run_named_by_hand_is_not_ours() -> None:
    assert FailedRun.of("load", "manual__2026", conf()) is None


def test_a_run_with_the_conf_of_another_event_is_not_ours() -> None:
    other = parse_body(object_created_body("landing", "b"), message_id="m2").events[0]
    assert FailedRun.of("load", run_id(other), conf()) is None


def test_a_run_that_a_ledger_has_named_otherwise_is_ours_by_the_event_id_in_its_conf() -> None:
    other = parse_body(object_created_body("landing", "b"), message_id="m2").events[0]
    run = FailedRun.of("load", run_id(EVENT, identity=event_id(other)), conf(event_id=event_id(other)))
    assert run is not None
    assert (run.event, run.next_run_id) == (EVENT, run_id(EVENT, identity=event_id(other), attempt=1))


@pytest.mark.parametrize(
    ("attempt", "others"),
    [(0, (1, 2)), (1, (0, 2, 3)), (9, (0, 7, 8, 10, 11)), (999_999_999, (0, 999_999_997, 999_999_998))],
)
def test_the_other_attempts_are_the_first_and_those_near(attempt: int, others: tuple[int, ...]) -> None:
    assert attempts_around(attempt, 2) == others


def test_every_attempt_of_an_event_has_the_run_id_that_a_dispatcher_gives_it() -> None:
    for attempt in (0, 1, 12):
        assert failed(3).run_id_of(attempt) == run_id(EVENT, attempt=attempt)


def test_a_run_says_when_its_message_is_deleted() -> None:
    assert failed().acknowledge is None
    assert failed(acknowledge="run_succeeded").acknowledge == "run_succeeded"


@pytest.mark.parametrize(("attempt", "following"), [(0, 1), (1, 2), (9, 10), (999_999_999, 999_999_999)])
def test_the_run_that_repeats_it_is_named_as_a_dispatcher_names_it(attempt: int, following: int) -> None:
    assert failed(attempt).next_run_id == run_id(EVENT, attempt=following)
    assert failed(attempt).conf["s3_event"]["key"] == "in/a.csv"


@pytest.mark.parametrize("attempt", [0, 1, 7])
def test_what_is_sent_back_is_the_same_event_under_the_next_attempt(attempt: int) -> None:
    message = failed(attempt).resend()

    (event,) = parse_body(message.body, message_id="another").events
    assert event == EVENT
    assert message.attributes == {"s3events.attempt": str(attempt + 1)}


def test_the_largest_attempt_stays_the_largest() -> None:
    assert failed(999_999_999).resend().attributes == {"s3events.attempt": "999999999"}


def test_a_dead_letter_says_what_failed_and_holds_the_event() -> None:
    copy = failed(2).dead_letter("ValueError: no such column", {"s3events.task_id": "load"})
    message = Message(message_id="m", receipt_handle="h", body=copy.body, attributes=copy.attributes)
    letter = DeadLetter.of(message)

    assert letter.events == (EVENT,)
    assert (letter.reason, letter.dag_id) == ("ValueError: no such column", "load")
    assert message.attempt == 2
    assert message.attributes["s3events.run_id"] == run_id(EVENT, attempt=2)


def test_a_dead_letter_of_the_first_run_carries_no_attempt() -> None:
    assert "s3events.attempt" not in failed().dead_letter("why").attributes


def test_delays_double_to_what_sqs_takes() -> None:
    delays = [resend_delay_seconds(attempt, 60.0) for attempt in (0, 1, 2, 9, 10**9)]
    assert delays == [60, 120, 240, 900, 900]
