"""Whether a DAG takes runs just now: paused, full or refusing, looked up seldom and remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from airflow_s3events.exceptions import RouteError, RunRefusedError
from airflow_s3events.routing import Routes

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
_MINUTE = 60.0
#: As good as any number.
_ANY = 1_000_000_000
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

    async def count_active(self, dag_id: str) -> int:
        """How many of its runs are queued or running."""


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


@dataclass(slots=True)
class Pace:
    """So many starts in a minute, counted from the first of them; None: any number.

    A token for each start would let one through every second, and cost a start of the dispatcher's task each.
    """

    most: int | None
    _since: float = float("-inf")
    _count: int = 0

    def started(self, now: float) -> None:
        """Note a start; ``now`` is monotonic seconds."""
        if now - self._since >= _MINUTE:
            self._since, self._count = now, 0
        self._count += 1

    def room(self, now: float) -> int:
        """Return how many more may be started in this minute."""
        if self.most is None:
            return _ANY
        return self.most if now - self._since >= _MINUTE else max(0, self.most - self._count)

    def wait_seconds(self, now: float) -> float:
        """Return how long it takes until one more may be started."""
        return 0.0 if self.room(now) else self._since + _MINUTE - now


class Gate:
    """One DAG's door: says ``None`` while it is open, else why it is closed.

    Args:
        dag_id: The DAG behind the gate.
        max_queued: The gate closes while so many runs of the DAG wait in state queued,
        max_active: or are queued or running,
        max_per_minute: or were started here in the minute that began with the first of them.
        target: Answers for the DAG.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        dag_id: str,
        *,
        max_queued: int,
        target: TargetState,
        clock: Callable[[], float],
        max_active: int | None = None,
        max_per_minute: int | None = None,
    ) -> None:
        self.dag_id = dag_id
        self._max_queued = max_queued
        self._max_active = max_active
        self._pace = Pace(max_per_minute)
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
        most = self._max_queued if self._ask_at == float("-inf") else max(0, self._room)
        return min(most, self._pace.room(self._clock()))

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
        return self._closed or self._paced()

    def _paced(self) -> Closed | None:
        seconds = self._pace.wait_seconds(self._clock())
        if not seconds:
            return None
        reason = (
            f"as many runs of DAG {self.dag_id!r} were started as a minute may have (max_runs_per_minute)"
        )
        return Closed(reason, seconds)

    def started(self) -> None:
        """Note a run that was created: one place less, and the DAG is in good health."""
        self._room -= 1
        self._pace.started(self._clock())
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
        return None if self._max_active is None else await self._ask_active(self._max_active)

    async def _ask_active(self, most: int) -> Closed | None:
        active = await self._target.count_active(self.dag_id)
        self._room = min(self._room, most - active)
        if active and active >= most * (1.0 if self._closed is None else _REOPEN_SHARE):
            reason = f"{active} runs of DAG {self.dag_id!r} are active (max_active_runs={most})"
            return Closed(reason, retry_seconds=30.0)
        return None


def gates_of(routes: Routes, target: TargetState, clock: Callable[[], float]) -> dict[str, Gate]:
    """Return the door of each DAG that has a route, nothing asked of Airflow yet."""
    return {
        route.dag_id: Gate(
            route.dag_id,
            max_queued=route.max_queued_runs,
            max_active=route.max_active_runs,
            max_per_minute=route.max_runs_per_minute,
            target=target,
            clock=clock,
        )
        for route in routes
    }


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
