"""Airflow and a consumer as dispatch sees them, in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow_s3events.exceptions import (
    ChannelError,
    ConfigurationError,
    OutageError,
    RouteError,
    RunRefusedError,
)
from airflow_s3events.messages import Message
from airflow_s3events.settlement import RunState


class FakeRuns:
    """DAG runs kept in a dict; DAGs can be missing, paused or refusing, and the server away."""

    def __init__(self, *dag_ids: str) -> None:
        self.dag_ids = set(dag_ids)
        self.paused: set[str] = set()
        self.refusing: set[str] = set()
        self.stored: dict[tuple[str, str], RunState] = {}
        self.confs: dict[tuple[str, str], dict[str, Any]] = {}
        self.notes: dict[str, str] = {}
        self.broken_by = ""
        self.unstorable: set[str] = set()
        self.taken_elsewhere: set[str] = set()
        self.forgetful = False
        self.is_gone = False
        self.dies_after_create = False
        self.calls: list[str] = []
        self.outages: list[str] = []

    def _called(self, name: str, dag_id: str) -> None:
        self.calls.append(name)
        if self.is_gone:
            raise ChannelError("the supervisor of this task is gone")
        if self.outages:
            raise OutageError(self.outages.pop(0))
        if dag_id not in self.dag_ids:
            raise RouteError(f"DAG {dag_id!r} not found")

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
        self._called("create", dag_id)
        if dag_id in self.refusing:
            raise RouteError(f"DAG {dag_id!r} has import errors")
        if conf["s3_event"]["key"] == self.broken_by:
            raise ZeroDivisionError(self.broken_by)
        if conf["s3_event"]["key"] in self.unstorable:
            raise RunRefusedError(f"conf of {run_id} cannot be stored")
        if (dag_id, run_id) in self.stored or dag_id in self.taken_elsewhere:
            return False
        if not self.forgetful:
            self.stored[dag_id, run_id] = RunState.QUEUED
        self.confs[dag_id, run_id] = conf
        self.notes[run_id] = note
        if self.dies_after_create:
            self.dag_ids.discard(dag_id)
            self.stored.clear()
        return True

    async def state(self, dag_id: str, run_id: str) -> RunState:
        try:
            self._called("state", dag_id)
        except RouteError:
            return RunState.NONE
        return self.stored.get((dag_id, run_id), RunState.NONE)

    async def count_stored(self, dag_id: str, run_ids: Sequence[str]) -> int:
        self._called("count_stored", dag_id)
        return sum((dag_id, run_id) in self.stored for run_id in run_ids)

    async def clear(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        self._called("clear", dag_id)
        if dag_id in self.refusing:
            raise RouteError(f"DAG {dag_id!r} has import errors")
        assert conf["s3_event"]["acknowledge"] == "run_succeeded"
        self.stored[dag_id, run_id] = RunState.QUEUED

    async def count(self, dag_id: str, run_ids: Sequence[str], states: Sequence[RunState]) -> int:
        self._called("count", dag_id)
        return sum(self.stored.get((dag_id, run_id)) in states for run_id in run_ids)

    async def count_queued(self, dag_id: str) -> int:
        self._called("count_queued", dag_id)
        return sum(state is RunState.QUEUED for (dag, _), state in self.stored.items() if dag == dag_id)

    async def count_active(self, dag_id: str) -> int:
        self._called("count_active", dag_id)
        active = (RunState.QUEUED, RunState.RUNNING)
        return sum(state in active for (dag, _), state in self.stored.items() if dag == dag_id)

    async def is_paused(self, dag_id: str) -> bool:
        self._called("is_paused", dag_id)
        return dag_id in self.paused


class FakeInbox:
    """Notes what happened to each message; waits out an outage at once."""

    def __init__(self) -> None:
        self.fates: dict[str, tuple[str, str, float]] = {}
        self.stopping = False
        self.waits = 0
        self.stop_after_waits: int | None = None
        self.dead_letters_refused = ""
        self.about: dict[str, str] = {}
        self.lapsed: set[str] = set()

    def acknowledge(self, message: Message) -> None:
        self._settle(message, "acknowledged", "", 0.0)

    def release(self, message: Message, *, delay_seconds: float, reason: str, outcome: str) -> None:
        assert outcome, "why it is given back is told in one word"
        self._settle(message, "released", reason, delay_seconds)

    def lapse(self, message: Message, *, reason: str, outcome: str) -> None:
        assert outcome, "why it is left is told in one word"
        self._settle(message, "lapsed", reason, 0.0)

    async def dead_letter(
        self, message: Message, reason: str, about: dict[str, str], *, outcome: str
    ) -> None:
        assert outcome, "why it is a dead letter is told in one word"
        if self.dead_letters_refused:
            raise ConfigurationError(self.dead_letters_refused)
        self.about = about
        self._settle(message, "dead-lettered", reason, 0.0)

    def holds(self, message: Message) -> bool:
        return message.message_id not in self.lapsed

    async def wait_out(self, outage: OutageError) -> None:
        assert str(outage), "an outage says what is away"
        self.waits += 1
        self.stopping = self.waits == self.stop_after_waits

    def resume(self) -> None:
        """Receiving goes on."""

    def wake_in(self, seconds: float | None) -> None:
        """Nobody waits here."""

    def limit(self, count: int) -> None:
        """Nothing is received here."""

    async def batches(self) -> AsyncIterator[list[Message]]:
        """Messages are handed to ``dispatch`` by the test."""
        nothing: list[list[Message]] = []
        for batch in nothing:
            yield batch

    def _settle(self, message: Message, fate: str, reason: str, delay_seconds: float) -> None:
        assert message.message_id not in self.fates, "a message is settled once"
        self.fates[message.message_id] = (fate, reason, delay_seconds)
