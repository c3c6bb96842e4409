"""Whether a DAG takes runs just now: paused, full or refusing, looked up seldom and remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from airflow_s3events.exceptions import RouteError, RunRefusedError

#: Seconds that Airflow's answer about pause and queue length is trusted, while the gate is open and while
#: not.
_TRUST_OPEN_SECONDS = 5.0
_TRUST_CLOSED_SECONDS = 15.0
#: What must be left of that time after an event, so that those of a trickle do not wait for it.
_SPARE_SECONDS = 2.5
#: A full DAG takes runs again when its queue has shrunk to this share of its limit: without the gap between
#: the two, every round would receive messages only to give most of them back.
_REOPEN_SHARE = 0.9
_FIRST_PARK_SECONDS = 30.0
_LONGEST_PARK_SECONDS = 600.0
#: Runs refused one after the other, none created between them, that make a fault of the DAG likelier than one
#: of the events: each refusal can cost half a minute of Airflow's own retries.
_REFUSED_RUNS_IN_A_ROW = 3


class TargetState(Protocol):
    """What a gate asks of Airflow. Both raise RouteError for an unknown DAG, OutageError for no answer."""

    async def is_paused(self, dag_id: str) -> bool:
        """Whether the DAG is paused."""

    async def count_queued(self, dag_id: str) -> int:
        """How many of its runs wait in state queued."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Why a DAG takes no run now.

    Attributes:
        reason: For people and for the dead letter's reason attribute.
        retry_seconds: Ask again after so long.
        refused: True when Airflow refused a run (the event counts an attempt and may be dead-lettered);
            False when the DAG only waits (paused or full), which is nobody's fault and never counts.
    """

    reason: str
    retry_seconds: float
    refused: bool = False


class Gate:
    """One DAG's door: says ``None`` while it is open, else why it is closed.

    Args:
        dag_id: The DAG behind the gate.
        max_queued: The gate closes while so many runs of the DAG wait in state queued.
        target: Answers for the DAG.
        clock: Monotonic seconds.
    """

    def __init__(
        self, dag_id: str, *, max_queued: int, target: TargetState, clock: Callable[[], float]
    ) -> None:
        self.dag_id = dag_id
        self._max_queued = max_queued
        self._target = target
        self._clock = clock
        self._closed: Closed | None = None
        self._ask_at = float("-inf")
        self._room = 0
        self._refusals = 0
        self._refused_runs = 0

    @property
    def room(self) -> int:
        """How many runs the DAG may still take, as far as is known.

        All of ``max_queued`` while it refuses, since its events must go on being received.
        """
        if self._closed is not None:
            return self._max_queued if self._closed.refused else 0
        return self._max_queued if self._ask_at == float("-inf") else max(0, self._room)

    async def check(self, *, spare_seconds: float = 0.0) -> Closed | None:
        """Return None while the DAG takes a run, else why not; the answer is good for ``spare_seconds`` more.

        Raises:
            OutageError: Airflow did not answer.
        """
        spare = spare_seconds if self._closed is None else 0.0
        if self._clock() + spare >= self._ask_at or (self._closed is None and self._room <= 0):
            try:
                self._answer(await self._ask())
            except RouteError as error:
                self.refuse(error)
        return self._closed

    def started(self) -> None:
        """Note a run that was created: one place less, and the DAG is in good health."""
        self._room -= 1
        self._refusals = self._refused_runs = 0

    def refuse(self, error: RouteError) -> Closed:
        """Note a refusal, and return for how long to put its event off: 30 s, doubling to 10 min.

        The gate closes for as long; not for one event that Airflow cannot make a run of, since one strange
        object must not keep all others waiting, but for several of those in a row.
        """
        if isinstance(error, RunRefusedError):
            self._refused_runs += 1
            if self._refused_runs < _REFUSED_RUNS_IN_A_ROW:
                return Closed(str(error), _FIRST_PARK_SECONDS, refused=True)
        seconds = min(_FIRST_PARK_SECONDS * 2.0 ** min(self._refusals, 10), _LONGEST_PARK_SECONDS)
        self._refusals += 1
        self._ask_at = self._clock() + seconds
        self._closed = Closed(str(error), seconds, refused=True)
        return self._closed

    def _answer(self, closed: Closed | None) -> None:
        self._closed = closed
        self._ask_at = self._clock() + (_TRUST_OPEN_SECONDS if closed is None else _TRUST_CLOSED_SECONDS)

    async def _ask(self) -> Closed | None:
        if await self._target.is_paused(self.dag_id):
            return Closed(f"DAG {self.dag_id!r} is paused", retry_seconds=60.0)
        queued = await self._target.count_queued(self.dag_id)
        self._room = self._max_queued - queued
        limit = self._max_queued * (1.0 if self._closed is None else _REOPEN_SHARE)
        if queued and queued >= limit:
            reason = f"{queued} runs of DAG {self.dag_id!r} wait (max_queued_runs={self._max_queued})"
            return Closed(reason, retry_seconds=30.0)
        return None


async def all_waiting(gates: Iterable[Gate]) -> Closed | None:
    """Return why nothing can be started now when every gate waits (is paused or full), else None.

    Stops at the first gate that is not waiting, so that a healthy dispatcher asks little. A gate that refuses
    does not count as waiting: its events must go on being received, or they would never be dead-lettered.
    Asked between events, so it renews answers that will soon be too old.
    """
    waiting: list[Closed] = []
    for gate in gates:
        closed = await gate.check(spare_seconds=_SPARE_SECONDS)
        if closed is None or closed.refused:
            return None
        waiting.append(closed)
    return min(waiting, key=lambda closed: closed.retry_seconds, default=None)
