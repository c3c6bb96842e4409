"""AwsClock: a wrong clock is told by the Date of an answer, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from airflow_s3events.aws_clock import AwsClock
from airflow_s3events.exceptions import SkewedClockError

TRUE_TIME = 1_795_600_000.0


class Machine:
    """A machine whose clock may be wrong, a client, and AWS, whose clock is right."""

    def __init__(self) -> None:
        self.meta = self
        self.events = self
        self.wrong_by = 0.0
        self.passed = 1_000.0
        self.clock = AwsClock(now=self.now, elapsed=lambda: self.passed)
        self.clock.listen(self)

    def register(self, event: str, handler: Callable[..., None]) -> None:
        assert event == "after-call"
        self.handler = handler

    def now(self) -> float:
        return self.true_time() + self.wrong_by

    def true_time(self) -> float:
        return TRUE_TIME + self.passed - 1_000.0

    def answer(self, headers: dict[str, str] | None = None, *, read_late_seconds: float = 0.0) -> None:
        date = {"date": formatdate(self.true_time(), usegmt=True)} if headers is None else headers
        self.passed += read_late_seconds
        parsed: dict[str, Any] = {"ResponseMetadata": {"HTTPHeaders": date}}
        self.handler(http_response=None, parsed=parsed, model=None, context={})


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a_clock_that_agrees_with_the_date_of_an_answer_is_right(machine: Machine) -> None:
    machine.answer()
    assert abs(machine.clock.ahead_seconds()) <= 1.0
    machine.clock.check()


@pytest.mark.parametrize(
    ("seconds", "text"), [(3_600.0, "3,600 s ahead of that of AWS"), (-420.0, "420 s behind that of AWS")]
)
def test_a_clock_that_is_wrong_is_said_with_how_far_and_which_way(
    machine: Machine, seconds: float, text: str
) -> None:
    machine.wrong_by = seconds
    machine.answer()
    with pytest.raises(SkewedClockError, match=text):
        machine.clock.check()


def test_a_jump_is_seen_before_the_next_answer(machine: Machine) -> None:
    machine.answer()
    machine.passed += 20.0
    assert machine.clock.is_right()
    machine.wrong_by = -3_600.0
    assert not machine.clock.is_right()


def test_what_was_set_right_is_right_again(machine: Machine) -> None:
    machine.wrong_by = 3_600.0
    machine.answer()
    machine.wrong_by = 0.0
    assert machine.clock.is_right()


def test_an_answer_that_was_read_late_is_put_right_by_the_next_one(machine: Machine) -> None:
    machine.answer(read_late_seconds=60.0)
    assert not machine.clock.is_right()
    machine.answer()
    assert machine.clock.is_right()


def test_before_any_answer_nothing_is_suspected(machine: Machine) -> None:
    machine.wrong_by = 3_600.0
    assert machine.clock.ahead_seconds() == 0.0


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}, {"date": ""}])
def test_an_answer_without_a_date_tells_nothing(machine: Machine, headers: dict[str, str]) -> None:
    machine.answer()
    machine.answer(headers)
    assert machine.clock.is_right()
