"""Taking turns: one active run for a key at a time, across dispatchers, by the ledger and Airflow's word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from airflow_s3events.ledger import Ledger
from airflow_s3events.ledger.ledger import Change
from airflow_s3events.ledger.turns import (
    Ask,
    Body,
    Busy,
    asked,
    left,
    passed_on,
    queued,
    started,
)
from airflow_s3events.settlement import RunState

#: Seconds: first delay of a message whose turn it is not.
TURN_SECONDS = 10.0
_WORKS = (RunState.QUEUED, RunState.RUNNING)
#: Ended runs that are passed over for one that asks: others may take the turn meanwhile, and end.
_MOST_PASSED = 3


class RunStates(Protocol):
    """What is asked of Airflow. OutageError when it does not answer."""

    async def state(self, dag_id: str, run_id: str) -> RunState:
        """State of one run; ``NONE`` when there is none of that id."""
        ...


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns that a ledger keeps.

    Where a process may be killed: after the turn was taken, and before or after the run was made. The turn
    stays taken until the message comes again, or its run is found to have ended.
    """

    ledger: Ledger

    async def ask(self, asks: Sequence[Ask]) -> list[Busy | None]:
        """Ask for turns in bulk; return for each who is busy, None where it is its turn.

        All are put in order before any is given its turn.

        Raises:
            OutageError: The ledger is away.
        """
        now = self.ledger.now()
        waits = [partial(_queued, ask=ask, now=now) for ask in asks]
        takes = [partial(_asked, ask=ask, now=now) for ask in asks]
        # Steps on one document are taken in this order: who waits first, then whose turn it is.
        answers = await self._change([*asks, *asks], [*waits, *takes])
        return answers[len(asks) :]

    async def wait(self, ask: Ask, busy: Busy | None, runs: RunStates) -> Busy | None:
        """Return who is busy once those whose runs have ended are passed over; None: it is his turn.

        Raises:
            OutageError: The ledger or Airflow is away.
        """
        for _ in range(_MOST_PASSED):
            if busy is None or not busy.run_id or await self._works(ask, busy, runs):
                return busy
            step = partial(_passed_on, over=busy.id, ask=ask, now=self.ledger.now())
            (busy,) = await self._change([ask], [step])
        return busy

    async def started(self, made: Sequence[tuple[Ask, str]]) -> None:
        """Note that runs were made of who had the turn."""
        steps = [partial(_started, ask=ask, run_id=run_id) for ask, run_id in made]
        await self._change([ask for ask, _ in made], steps)

    async def leave(self, asks: Sequence[Ask]) -> None:
        """Give turns up: no run will be made."""
        await self._change(asks, [partial(_left, ask=ask) for ask in asks])

    async def _works(self, ask: Ask, busy: Busy, runs: RunStates) -> bool:
        state = await runs.state(ask.dag_id, busy.run_id)
        if state is RunState.NONE and not busy.is_started:
            return self.ledger.now() < busy.gone_at
        return state in _WORKS

    async def _change(self, asks: Sequence[Ask], steps: Sequence[Any]) -> list[Any]:
        days = self.ledger.settings.retention_days
        return await self.ledger.change(
            [Change(ask.name, step, days=days) for ask, step in zip(asks, steps, strict=True)]
        )


def _queued(body: Body | None, *, ask: Ask, now: float) -> tuple[Body, None]:
    return queued(body, ask, now), None


def _asked(body: Body | None, *, ask: Ask, now: float) -> tuple[Body, Busy | None]:
    return asked(body, ask, now)


def _passed_on(body: Body | None, *, over: str, ask: Ask, now: float) -> tuple[Body, Busy | None]:
    return passed_on(body, over, ask, now)


def _started(body: Body | None, *, ask: Ask, run_id: str) -> tuple[Body | None, None]:
    return started(body, ask, run_id), None


def _left(body: Body | None, *, ask: Ask) -> tuple[Body | None, None]:
    return left(body, ask), None
