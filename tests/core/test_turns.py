"""Whose turn it is: the steps of one document, and a dispatcher that keeps to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.ledger import turns
from airflow_s3events.ledger.turns import Ask, Busy, asked, left, passed_on, queued, started
from airflow_s3events.messages import ATTEMPT_ATTRIBUTE, QueueAttributes
from airflow_s3events.ordering import Place
from airflow_s3events.routing import Route, Routes
from airflow_s3events.settlement import RunState, check_turns
from tests.core.test_dispatch import message, record
from tests.core.test_journal import World
from tests.core.test_ledger_entries import notice

DAY = 86_400.0


def ask(position: str | None, who: str | None = None, **members: Any) -> Ask:
    place = None if position is None else Place("lane", position)
    standard: dict[str, Any] = {"event": notice(key="a"), "dag_id": "process", "attempt": 0}
    return Ask(**standard | members, who=who or f"e{position}", run_id=f"run {who or position}", place=place)


def waiting(body: Any) -> list[str]:
    return [one["id"].partition("/")[0] for one in body["waiting"]]


def test_the_first_that_asks_has_the_turn_and_keeps_it_when_it_asks_again() -> None:
    body, busy = asked(None, ask("1"), 0.0)
    assert busy is None
    assert asked(body, ask("1"), 5.0) == ({**body, "running": {**body["running"], "gone_at": DAY + 5}}, None)


def test_others_wait_and_are_told_for_what() -> None:
    body, _ = asked(None, ask("1"), 0.0)
    body, busy = asked(body, ask("2"), 1.0)
    assert busy == Busy("e1/0", "run 1", False, DAY)
    assert asked(started(body, ask("1"), "run 1b"), ask("2"), 1.0)[1] == Busy("e1/0", "run 1b", True, DAY)


def test_those_that_wait_stand_in_their_order_and_the_first_is_next() -> None:
    body, _ = asked(None, ask("1"), 0.0)
    for position in ("4", "2", "3", "2"):
        body, _ = asked(body, ask(position), 0.0)
    assert waiting(body) == ["e2", "e3", "e4"]
    after, busy = passed_on(body, "e1/0", ask("3"), 0.0)
    assert busy == Busy("e2/0", "", False, DAY)
    after, busy = asked(after, ask("2"), 0.0)
    assert (busy, waiting(after)) == (None, ["e3", "e4"])


def test_what_has_no_place_waits_behind_those_that_came_before() -> None:
    body, _ = asked(None, ask("1"), 0.0)
    for one in (ask("3"), ask(None, "x"), ask("2")):
        body = queued(body, one, 0.0)
    assert waiting(body) == ["e2", "e3", "x"]


def test_all_of_a_batch_are_in_order_before_one_has_its_turn() -> None:
    body = None
    for position in ("2", "1"):
        body = queued(body, ask(position), 0.0)
    assert asked(body, ask("2"), 0.0)[1] == Busy("e1/0", "", False, DAY)
    assert asked(body, ask("1"), 0.0)[1] is None


def test_who_was_not_seen_for_a_day_is_passed_over() -> None:
    body, _ = asked(None, ask("2"), 0.0)
    body = queued(body, ask("1"), 0.0)
    body, busy = passed_on(body, "e2/0", ask("3"), DAY)
    assert busy is None


def test_who_is_dead_lettered_gives_the_turn_or_the_place_up() -> None:
    body, _ = asked(None, ask("1"), 0.0)
    body = queued(body, ask("2"), 0.0)
    assert asked(left(body, ask("1")), ask("2"), 0.0)[1] is None
    assert waiting(left(body, ask("2"))) == []
    assert left(None, ask("1")) is None


def test_only_who_has_the_turn_can_have_started() -> None:
    body, _ = asked(None, ask("1"), 0.0)
    assert started(body, ask("2"), "run") == body
    assert started(None, ask("1"), "run") is None
    assert started({"running": None, "waiting": []}, ask("1"), "run") == {"running": None, "waiting": []}


def test_an_older_end_passes_nothing_on() -> None:
    body, _ = asked(None, ask("1"), 0.0)
    assert passed_on(body, "e0/0", ask("2"), 0.0)[1] == Busy("e1/0", "run 1", False, DAY)


def test_a_reconciliation_waits_on_no_list_and_holds_a_turn_for_a_quarter_of_an_hour() -> None:
    listed = ask(None, "l", is_listed=True)
    body, busy = asked(None, listed, 0.0)
    assert (busy, body["running"]["gone_at"]) == (None, 900.0)
    body, _ = asked(None, ask("1"), 0.0)
    body, busy = asked(body, listed, 0.0)
    assert (waiting(body), busy is None) == ([], False)
    body = queued(body, ask("2"), 0.0)
    assert passed_on(body, "e1/0", replace(listed, who="e2"), 0.0)[1] is None


def test_no_more_wait_than_a_document_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST_WAITING", 2)
    body, _ = asked(None, ask("1"), 0.0)
    for position in ("4", "3", "2"):
        body, busy = asked(body, ask(position), 0.0)
        assert busy is not None
    assert waiting(body) == ["e2", "e3"]


OLDER, NEWER = record(sequencer="0066A1B2C3D4E5F601"), record(sequencer="0066A1B2C3D4E5F602")


def fates(world: World) -> dict[str, str]:
    return {name: fate for name, (fate, _, _) in world.inbox.fates.items()}


async def test_the_second_of_a_key_starts_when_the_first_has_ended() -> None:
    world = World("per_key")
    await world.dispatch(message(NEWER, number=2), message(OLDER, number=1))
    assert fates(world) == {"m1": "acknowledged", "m2": "released"}
    await world.dispatch(message(NEWER, number=2, receive_count=2))
    fate, reason, delay = world.inbox.fates["m2"]
    assert fate == "released"
    assert "of the same key works" in reason
    assert delay > 0
    world.runs.stored = dict.fromkeys(world.runs.stored, RunState.FAILED)
    assert await world.dispatch(message(NEWER, number=2, receive_count=3)) == {"started": 1}


async def test_other_keys_and_other_dags_are_not_affected() -> None:
    world = World("per_key", Routes([Route(dag_id="process"), Route(dag_id="archive")], mode="all"))
    assert await world.dispatch(message(OLDER, number=1)) == {"started": 2}
    assert await world.dispatch(message(record("b.csv"), number=2)) == {"started": 2}
    archived = next(name for name in world.runs.stored if name[0] == "archive")
    world.runs.stored[archived] = RunState.SUCCESS
    assert await world.dispatch(message(NEWER, number=3)) == {"started": 1, "put_off": 1}


async def test_a_copy_of_the_event_whose_run_works_is_settled_at_once() -> None:
    world = World("per_key")
    await world.dispatch(message(OLDER))
    assert await world.dispatch(message(OLDER, number=2)) == {"duplicate": 1}
    assert fates(world) == {"m2": "acknowledged"}


async def test_a_run_that_airflow_has_forgotten_holds_nobody_back() -> None:
    world = World("per_key")
    await world.dispatch(message(OLDER))
    world.runs.stored.clear()
    assert await world.dispatch(message(NEWER, number=2)) == {"started": 1}


async def test_one_whose_run_was_not_made_yet_is_waited_for() -> None:
    world = World("per_key")
    world.runs.forgetful = True
    await world.dispatch(message(OLDER))
    world.runs.forgetful = False
    assert await world.dispatch(message(NEWER, number=2)) == {"put_off": 1}
    assert await world.dispatch(message(OLDER, receive_count=2)) == {"started": 1}


async def test_what_goes_to_the_dead_letter_queue_holds_nobody_back() -> None:
    world = World("per_key")
    world.runs.refusing.add("process")
    assert await world.dispatch(message(OLDER, receive_count=5), max_receive_count=5) == {"gave_up": 1}
    world.runs.refusing.clear()
    assert await world.dispatch(message(NEWER, number=2)) == {"started": 1}


async def test_what_is_older_than_the_dispatcher_wants_holds_nobody_back() -> None:
    world = World("per_key")
    old = notice().event_time
    assert old is not None
    await world.dispatch(message(OLDER), ignore_before=old.replace(year=2100))
    assert await world.dispatch(message(NEWER, number=2)) == {"started": 1}


async def test_a_replay_waits_for_its_turn_too() -> None:
    world = World("per_key")
    await world.dispatch(message(OLDER))
    world.runs.stored = dict.fromkeys(world.runs.stored, RunState.FAILED)
    await world.dispatch(message(NEWER, number=2))
    replay = message(OLDER, number=3, attributes={ATTEMPT_ATTRIBUTE: "1"})
    assert await world.dispatch(replay) == {"put_off": 1}
    world.runs.stored |= {name: RunState.SUCCESS for name in world.runs.stored if name[1].find("_a1") < 0}
    (failed, _) = world.runs.stored
    world.runs.stored[failed] = RunState.FAILED
    assert await world.dispatch(replay) == {"restarted": 1}


async def test_what_waits_on_its_last_receive_is_dead_lettered_with_the_reason() -> None:
    world = World("per_key")
    await world.dispatch(message(OLDER))
    await world.dispatch(message(NEWER, number=2, receive_count=20), max_receive_count=20)
    fate, reason, _ = world.inbox.fates["m2"]
    assert fate == "dead-lettered"
    assert "of the same key works; received 20 times" in reason


@pytest.mark.parametrize(
    ("dispatchers", "limit", "is_enough"), [(1, 9, False), (1, 10, True), (2, 10, False)]
)
def test_a_redrive_policy_must_leave_room_for_waiting(dispatchers: int, limit: int, is_enough: bool) -> None:
    attributes = QueueAttributes(
        arn="arn:aws:sqs:eu-west-1:1:q",
        visibility_seconds=30,
        retention_seconds=3600,
        max_receive_count=limit,
    )
    if is_enough:
        check_turns(attributes, dispatchers=dispatchers)
        check_turns(replace(attributes, max_receive_count=None))
        return
    with pytest.raises(ConfigurationError, match="maxReceiveCount"):
        check_turns(attributes, dispatchers=dispatchers)
