"""Airflow's DAG runs in memory, as the dispatcher sees them."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from airflow_s3events.events import EVENT_MEMBER, EVENTS_MEMBER, ObjectEvent
from airflow_s3events.exceptions import RouteError
from airflow_s3events.settlement import RunState


@dataclass(slots=True)
class StartedRun:
    """A run that was started.

    Attributes:
        dag_id: Of the DAG.
        run_id: Of the run, made from the event.
        conf: As the run has it.
        note: As the run has it, where Airflow takes one.
        state: ``queued`` until a test sets another.
    """

    dag_id: str
    run_id: str
    conf: dict[str, Any]
    note: str = ""
    state: RunState = RunState.QUEUED

    @property
    def event(self) -> ObjectEvent:
        """The event that started it."""
        return ObjectEvent.deserialize(self.conf[EVENT_MEMBER])

    @property
    def events(self) -> list[ObjectEvent]:
        """The events that started it: all of a batch run's, or the one."""
        data = self.conf.get(EVENTS_MEMBER) or [self.conf[EVENT_MEMBER]]
        return [ObjectEvent.deserialize(one) for one in data]

    def context(self) -> dict[str, Any]:
        """What ``events_of`` needs of a task's context, to call a task's function without Airflow."""
        return {"dag_run": SimpleNamespace(conf=self.conf, run_id=self.run_id, dag_id=self.dag_id)}


class InMemoryRuns:
    """DAG runs kept in a dict. It knows every DAG, except those that a test says are missing."""

    def __init__(self) -> None:
        self.started: dict[tuple[str, str], StartedRun] = {}
        #: DAG ids that take no run, because they are paused,
        self.paused: set[str] = set()
        #: and those that Airflow does not know.
        self.missing: set[str] = set()

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
        """See ``starting.Runs``."""
        self._check(dag_id)
        if (dag_id, run_id) in self.started:
            return False
        self.started[dag_id, run_id] = StartedRun(dag_id, run_id, conf, note)
        return True

    async def clear(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        """See ``starting.Runs``."""
        self._check(dag_id)
        self.started[dag_id, run_id] = StartedRun(dag_id, run_id, conf)

    async def state(self, dag_id: str, run_id: str) -> RunState:
        """See ``starting.Runs``."""
        run = self.started.get((dag_id, run_id))
        return RunState.NONE if run is None else run.state

    async def count_stored(self, dag_id: str, run_ids: Sequence[str]) -> int:
        """See ``starting.Runs``."""
        return sum((dag_id, run_id) in self.started for run_id in run_ids)

    async def count(self, dag_id: str, run_ids: Sequence[str], states: Sequence[RunState]) -> int:
        """See ``starting.Runs``."""
        return [await self.state(dag_id, run_id) in states for run_id in run_ids].count(True)

    async def is_paused(self, dag_id: str) -> bool:
        """See ``gates.TargetState``."""
        self._check(dag_id)
        return dag_id in self.paused

    async def count_queued(self, dag_id: str) -> int:
        """See ``gates.TargetState``."""
        return self._count(dag_id, {RunState.QUEUED})

    async def count_active(self, dag_id: str) -> int:
        """See ``gates.TargetState``."""
        return self._count(dag_id, {RunState.QUEUED, RunState.RUNNING})

    def _count(self, dag_id: str, states: AbstractSet[RunState]) -> int:
        runs = [run for run in self.started.values() if run.dag_id == dag_id]
        return sum(run.state in states for run in runs)

    def _check(self, dag_id: str) -> None:
        if dag_id in self.missing:
            raise RouteError(f"DAG {dag_id!r} not found")
