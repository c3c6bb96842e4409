"""A message that carries an attempt, and all the runs that its event may have had: never two at once."""

from __future__ import annotations

import pytest

from airflow_s3events.dispatch.starting import StoredStarter, name_of
from airflow_s3events.envelopes import parse_body
from airflow_s3events.messages import ATTEMPT_ATTRIBUTE, Message
from airflow_s3events.routing import Routes
from airflow_s3events.settlement import RunState
from airflow_s3events.testing import InMemoryRuns
from airflow_s3events.testing.bodies import object_created_body

FAILED, RUNNING, QUEUED, SUCCESS = RunState.FAILED, RunState.RUNNING, RunState.QUEUED, RunState.SUCCESS
(ROUTE,) = Routes.of("process")
BODY = object_created_body("landing", "in/a.csv")
(EVENT,) = parse_body(BODY, message_id="m").events


async def decide(states: dict[int, RunState], attempt: int) -> tuple[str, list[int]]:
    """What becomes of a message with that attempt, and the attempts whose runs are new."""
    runs = InMemoryRuns()
    for earlier, state in states.items():
        name = name_of(ROUTE, EVENT, earlier)
        await runs.create("process", name, {})
        runs.started["process", name].state = state
    message = Message(
        message_id="m", receipt_handle="h", body=BODY, attributes={ATTEMPT_ATTRIBUTE: str(attempt)}
    )
    outcome = await StoredStarter(runs).ensure_run(ROUTE, EVENT, message)
    names = {name_of(ROUTE, EVENT, one): one for one in range(attempt + 100)}
    new = [names[name] for _, name in runs.started if names[name] not in states]
    return outcome.what, new


@pytest.mark.parametrize("works", [RUNNING, QUEUED])
@pytest.mark.parametrize(
    ("others", "working", "attempt"),
    [([0], 2, 1), ([0], 1, 3), ([1], 0, 2), ([0, 2], 1, 4), ([0], 60, 1), ([], 0, 1)],
)
async def test_while_any_run_of_the_event_works_another_attempt_waits(
    others: list[int], working: int, attempt: int, works: RunState
) -> None:
    states = {**dict.fromkeys(others, FAILED), working: works}
    assert await decide(states, attempt) == ("put_off", [])


@pytest.mark.parametrize(
    ("states", "attempt"),
    [({0: SUCCESS, 1: FAILED}, 2), ({0: FAILED, 1: SUCCESS}, 3), ({0: FAILED, 2: SUCCESS}, 1)],
)
async def test_where_any_run_of_the_event_has_succeeded_no_other_is_made(
    states: dict[int, RunState], attempt: int
) -> None:
    assert await decide(states, attempt) == ("duplicate", [])


@pytest.mark.parametrize(
    ("failed", "attempt"), [([0], 1), ([0, 1], 2), ([0], 3), ([0, 3], 2), ([1], 2), ([0], 95)]
)
async def test_where_all_have_failed_the_attempt_of_the_message_is_made(
    failed: list[int], attempt: int
) -> None:
    assert await decide(dict.fromkeys(failed, FAILED), attempt) == ("restarted", [attempt])


@pytest.mark.parametrize("state", [FAILED, RUNNING, QUEUED, SUCCESS])
async def test_an_attempt_whose_own_run_is_there_is_done(state: RunState) -> None:
    assert await decide({0: FAILED, 1: state}, 1) == ("duplicate", [])


async def test_where_there_is_no_run_at_all_it_is_the_first() -> None:
    assert await decide({}, 3) == ("started", [0])
