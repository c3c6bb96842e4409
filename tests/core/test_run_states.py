"""States from counts: the right ones, in few questions, and never a success that was not counted as one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.run_states import CHUNK, Pace, Question, inquire
from airflow_s3events.settlement import RunState

_ENDED = {RunState.SUCCESS, RunState.FAILED, RunState.NONE}


def ask(run_ids: list[str], state_of: Callable[[str], RunState]) -> tuple[dict[str, RunState], int]:
    """Answer every question; return the states, and how many questions there were."""
    inquiry = inquire(run_ids)
    asked = 0
    try:
        question: Question = next(inquiry)
        while True:
            asked += 1
            assert len(question.run_ids) <= CHUNK
            question = inquiry.send(sum(state_of(run_id) in question.states for run_id in question.run_ids))
    except StopIteration as end:
        return end.value, asked


@given(st.lists(st.sampled_from(RunState), max_size=450))
def test_every_state_is_found(states: list[RunState]) -> None:
    truth = {f"run {number}": state for number, state in enumerate(states)}
    found, _ = ask(list(truth), truth.__getitem__)
    expected = {name: RunState.RUNNING if s is RunState.QUEUED else s for name, s in truth.items()}
    assert found == expected


def test_two_thousand_that_work_are_ten_questions() -> None:
    found, asked = ask([str(number) for number in range(2000)], lambda _: RunState.RUNNING)
    assert asked == 10
    assert len(found) == 2000


def test_one_that_ended_among_two_hundred_is_under_thirty_questions() -> None:
    _, asked = ask(
        [str(number) for number in range(200)],
        lambda name: RunState.SUCCESS if name == "77" else RunState.RUNNING,
    )
    assert asked <= 30


def test_no_runs_are_no_question() -> None:
    assert ask([], lambda _: RunState.NONE) == ({}, 0)


@given(st.lists(st.lists(st.sampled_from(RunState), min_size=60, max_size=60), min_size=2, max_size=9))
def test_a_run_that_never_succeeded_is_never_a_success_whatever_changes_meanwhile(
    moments: list[list[RunState]],
) -> None:
    moment = -1

    def state_of(name: str) -> RunState:
        nonlocal moment
        moment += 1
        state = moments[int(name)][moment % 60] if int(name) < len(moments) else RunState.SUCCESS
        return RunState.FAILED if state is RunState.SUCCESS and int(name) < len(moments) else state

    found, _ = ask([str(number) for number in range(len(moments) + 3)], state_of)
    assert all(found[str(number)] is not RunState.SUCCESS for number in range(len(moments)))


def test_rounds_come_ever_later_until_a_run_ends() -> None:
    pace = Pace()
    waits = [pace.seconds]
    for has_ended in (False, False, False, False, False, False, True):
        pace.round_ended(has_ended=has_ended)
        waits.append(pace.seconds)
    assert waits == pytest.approx([10, 15, 22.5, 33.75, 50.625, 60, 60, 10])
