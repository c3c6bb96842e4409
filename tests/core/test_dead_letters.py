"""Dead letters: what they say, which are meant, and what a replay of one is."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from airflow_s3events.dead_letters import (
    Criteria,
    DeadLetter,
    attribute_text,
    dead_letter_attributes,
    replay_of,
)
from airflow_s3events.envelopes import parse_body
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.identity import event_id
from airflow_s3events.messages import Message
from airflow_s3events.testing.bodies import object_created_body, object_record, records_body

NOW = 1_800_000_000.0


def letter(body: str | None = None, sent_at: float | None = NOW - 100, **attributes: str) -> DeadLetter:
    named = {f"s3events.{name}": value for name, value in attributes.items()}
    text = object_created_body("landing", "in/a.csv") if body is None else body
    message = Message(message_id="m1", receipt_handle="secret", body=text, sent_at=sent_at, attributes=named)
    return DeadLetter.of(message)


def test_a_letter_says_reason_dag_run_and_objects_and_neither_body_nor_handle() -> None:
    told = letter(reason="no such DAG", dag_id="load", run_id="s3_x", attempt="2").serialize()

    names = ("reason", "dag_id", "run_id", "attempt")
    assert [told[name] for name in names] == ["no such DAG", "load", "s3_x", 2]
    assert [(event["bucket"], event["key"]) for event in told["events"]] == [("landing", "in/a.csv")]
    assert told["sent_at"] == "2027-01-15T07:58:20.000Z"
    assert "secret" not in json.dumps(told)
    assert "Records" not in json.dumps(told)


def test_a_letter_that_cannot_be_read_says_why() -> None:
    told = letter("not JSON", sent_at=None).serialize()

    assert told["events"] == []
    assert told["problem"].startswith("the body is not JSON")
    assert told["sent_at"] is None


def test_a_letter_with_some_bad_records_names_them() -> None:
    assert letter(records_body(object_record("landing", "a"), {})).problem.startswith("record 1: ")


def test_a_letter_without_a_reason_was_moved_by_a_redrive_policy() -> None:
    assert "redrive policy" in letter().reason


@pytest.mark.parametrize(
    "criteria",
    [
        {},
        {"reason": "NO SUCH"},
        {"dag_id": "load"},
        {"key": "in/*.csv"},
        {"older_than_seconds": 100},
        {"younger_than_seconds": 101},
        {"message_ids": ["m1"]},
    ],
)
def test_what_is_meant(criteria: dict[str, Any]) -> None:
    assert Criteria(**criteria).match(letter(reason="no such DAG", dag_id="load"), NOW)


@pytest.mark.parametrize(
    "criteria",
    [
        {"reason": "paused"},
        {"dag_id": "loa"},
        {"key": "in"},
        {"older_than_seconds": 101},
        {"younger_than_seconds": 100},
        {"message_ids": ["m2"]},
        {"dag_id": "load", "key": "out/*"},
    ],
)
def test_what_is_not_meant(criteria: dict[str, Any]) -> None:
    assert not Criteria(**criteria).match(letter(reason="no such DAG", dag_id="load"), NOW)


@pytest.mark.parametrize("name", ["older_than_seconds", "younger_than_seconds"])
def test_a_letter_without_a_time_has_no_age(name: str) -> None:
    at_once: dict[str, Any] = {name: 0}
    assert not Criteria(**at_once).match(letter(sent_at=None), NOW)


@pytest.mark.parametrize("name", ["older_than_seconds", "younger_than_seconds"])
@pytest.mark.parametrize("value", [-1, "soon"])
def test_an_age_that_is_none_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Criteria(**{name: value})


def test_a_replay_has_the_body_the_next_attempt_and_nothing_of_the_reason() -> None:
    old = letter(reason="no such DAG", receives="5", dag_id="load", attempt="2", colour="blue")
    replay = replay_of(old)

    assert replay.body == old.message.body
    assert replay.attributes == {
        "s3events.attempt": "3",
        "s3events.message_id": "m1",
        "s3events.colour": "blue",
    }


def test_a_letter_replayed_twice_carries_the_same_attempt() -> None:
    assert replay_of(letter()) != replay_of(letter(attempt="1"))
    one = letter(attempt="4")
    assert replay_of(one) == replay_of(one)


def test_the_largest_attempt_stays_the_largest() -> None:
    assert replay_of(letter(attempt="999999999")).attributes["s3events.attempt"] == "999999999"


def test_a_lambda_destination_record_is_replayed_as_its_inner_event() -> None:
    inner = json.loads(object_created_body("landing", "a"))
    outer = {"version": "1.0", "requestContext": {"condition": "RetriesExhausted"}, "requestPayload": inner}

    assert json.loads(replay_of(letter(json.dumps(outer))).body) == inner


@pytest.mark.parametrize("payload", ["text", {"no": "event"}, None])
def test_a_destination_record_of_something_else_is_replayed_as_it_is(payload: Any) -> None:
    body = json.dumps({"version": "1.0", "requestPayload": payload})
    assert replay_of(letter(body)).body == body


@pytest.mark.parametrize("body", ["no JSON", "[1]", "3"])
def test_what_is_no_record_is_replayed_as_it_is(body: str) -> None:
    assert replay_of(letter(body)).body == body


def test_an_event_named_by_its_delivery_keeps_its_name_as_a_dead_letter_and_as_a_replay() -> None:
    record = object_record("landing", "a")
    del record["s3"]["object"]["sequencer"], record["responseElements"]
    first = Message(message_id="first", receipt_handle="h", body=records_body(record))
    names = {event_id(DeadLetter.of(first).events[0])}

    copy = Message(
        message_id="second",
        receipt_handle="h",
        body=first.body,
        attributes=dead_letter_attributes(first, "why"),
    )
    names.add(event_id(DeadLetter.of(copy).events[0]))
    replay = replay_of(DeadLetter.of(copy))
    again = Message(message_id="third", receipt_handle="h", body=replay.body, attributes=replay.attributes)
    names.add(event_id(DeadLetter.of(again).events[0]))

    assert len(names) == 1
    assert names != {event_id(parse_body(first.body, message_id="third").events[0])}


def test_what_else_is_known_goes_along_and_an_older_past_does_not() -> None:
    message = Message(
        message_id="m", receipt_handle="h", body="b", attributes={"s3events.log_url": "old", "mine": "x"}
    )
    attributes = dead_letter_attributes(message, "why", {"s3events.dag_id": "load"})
    assert attributes["s3events.dag_id"] == "load"
    assert attributes["mine"] == "x"
    assert "s3events.log_url" not in attributes


def test_what_does_not_fit_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    own = {f"a{number}": "x" for number in range(10)}
    message = dataclasses.replace(letter().message, attributes=own)
    assert len(dead_letter_attributes(message, "why")) == 10
    assert "lacks attributes ['a7', 'a8', 'a9']" in caplog.text


def test_text_is_cut_to_what_sqs_takes() -> None:
    assert attribute_text("a\x00b" * 200) == ("a\N{REPLACEMENT CHARACTER}b" * 200)[:256]
    assert attribute_text("") == "no reason given"
