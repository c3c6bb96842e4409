"""The run of one event: made, found, or started again, as ``acknowledge`` has it.

Knows neither Airflow nor AWS: it works on the calls of ``Runs``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, Protocol

from airflow_s3events.dead_letters import DAG_ATTRIBUTE, RUN_ATTRIBUTE
from airflow_s3events.dispatch.gates import TargetState
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import RouteError
from airflow_s3events.failed_runs import ACKNOWLEDGE_MEMBER, attempts_around
from airflow_s3events.identity import event_id, run_id
from airflow_s3events.ledger import Naming
from airflow_s3events.messages import Message
from airflow_s3events.routing import Route
from airflow_s3events.settlement import (
    RUN_STORED,
    RUN_SUCCEEDED,
    Disposition,
    RunState,
    Start,
    may_start_again,
)
from airflow_s3events.tracing import carrier

#: Seconds: first delay of a message that waits for the end of a run.
_WAIT_SECONDS = 60.0
#: The same of one whose run Airflow took and does not have.
_UNSTORED_SECONDS = 30.0
#: Attempts before and behind that of a message that are looked at: with the first, what one call takes.
_REACH = 90


class Runs(TargetState, Protocol):
    """What dispatch asks of Airflow. All raise OutageError when Airflow does not answer."""

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
        """Create a run; False when the name is taken; RouteError when the DAG refuses it.

        ``note`` is put on the run where this Airflow takes one from us.
        """
        ...

    async def clear(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        """Start a run that is there again; RouteError when the DAG refuses it."""

    async def state(self, dag_id: str, run_id: str) -> RunState:
        """State of one run; ``NONE`` when there is none of that id."""
        ...

    async def count_stored(self, dag_id: str, run_ids: Sequence[str]) -> int:
        """How many of these run ids Airflow has."""
        ...

    async def count(self, dag_id: str, run_ids: Sequence[str], states: Sequence[RunState]) -> int:
        """How many of these run ids are in one of these states."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event for one route, and what that asks of its message."""

    what: str
    disposition: Disposition = Disposition.ACKNOWLEDGE
    reason: str = ""
    retry_seconds: float = 0.0
    #: DAG id and run id of a run just created, to be read back before the message is deleted.
    created: tuple[str, str] | None = None
    #: DAG id and run id that a message on hold waits for.
    run: tuple[str, str] | None = None
    #: Message attributes of a dead letter, beside the reason.
    about: Mapping[str, str] = field(default_factory=dict)
    #: The event; None of what cannot be read.
    event: ObjectEvent | None = None
    #: The DAG of its route; empty where no route takes it.
    dag_id: str = ""

    def of(self, event: ObjectEvent, route: Route | None) -> Outcome:
        """Return it with the event and the route that it is about."""
        return replace(self, event=event, dag_id="" if route is None else route.dag_id)

    def stored(self, missing: Collection[tuple[str, str]]) -> Outcome:
        """Return it, or what it comes to where its run is among those that Airflow took and does not have."""
        if self.created not in missing:
            return self
        reason = "Airflow took the run but does not have it"
        lost = Outcome("not_stored", Disposition.RELEASE, reason, _UNSTORED_SECONDS)
        return replace(lost, event=self.event, dag_id=self.dag_id)


class Starter(Protocol):
    """Sees to it that an event has its run."""

    async def ensure_run(self, route: Route, event: ObjectEvent, message: Message) -> Outcome:
        """Make, find or restart the run of an event; RouteError when the DAG refuses it."""
        ...


@dataclass(frozen=True, slots=True)
class StoredStarter:
    """``acknowledge="run_stored"``: done when Airflow has the run."""

    runs: Runs

    async def ensure_run(
        self, route: Route, event: ObjectEvent, message: Message, naming: Naming | None = None
    ) -> Outcome:
        """See ``Starter``; ``naming`` is what the run is named by, where that is not the event itself."""
        attempt = message.attempt
        name_at = partial(name_of, route, event, naming=naming)
        start = await self._decide(route.dag_id, attempt, name_at)
        if start is Start.NOTHING:
            return Outcome("duplicate")
        if start is Start.WAIT:
            reason = f"attempt {attempt} waits for the end of the run before it"
            return Outcome("put_off", Disposition.RELEASE, reason, _WAIT_SECONDS)
        name = name_at(attempt if start is Start.AGAIN else 0)
        conf = _conf(route, event, identity=naming.event_id if naming else "")
        if await self.runs.create(route.dag_id, name, conf, _note(route, event)):
            what = "started" if start is Start.CREATE else "restarted"
            return Outcome(what, created=(route.dag_id, name))
        await _read_back(self.runs, route, name)
        return Outcome("duplicate")

    async def _decide(self, dag_id: str, attempt: int, name_at: Callable[[int], str]) -> Start:
        """Look the event's runs up where the message carries an attempt; else creating tells."""
        if not attempt:
            return Start.CREATE
        if await self.runs.state(dag_id, name_at(attempt)) is not RunState.NONE:
            return Start.NOTHING
        others = [name_at(other) for other in attempts_around(attempt, _REACH)]
        return RUN_STORED[await self._state_of_any(dag_id, others), True]

    async def _state_of_any(self, dag_id: str, names: Sequence[str]) -> RunState:
        """Return what decides about several runs of one event: one that works, a success, or a failure."""
        for states in ((RunState.RUNNING, RunState.QUEUED), (RunState.SUCCESS,)):
            if await self.runs.count(dag_id, names, states):
                return states[0]
        return RunState.FAILED if await self.runs.count_stored(dag_id, names) else RunState.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class SucceededStarter:
    """``acknowledge="run_succeeded"``: done when the run has succeeded; a failed one is started again.

    Args:
        runs: Airflow's DAG runs.
        on_redelivery: ``"clear"`` starts a failed run again under its own name, ``"new_run"`` makes another,
            whose name ends in the attempt.
        max_receive_count: Of the queue's redrive policy; None where it has none.
        holds: Whether a message is still ours. SQS gives a message to one receiver at a time, which is what
            keeps a run from being cleared twice; so one whose visibility timeout has ended is left alone.
    """

    runs: Runs
    on_redelivery: Literal["clear", "new_run"]
    max_receive_count: int | None
    holds: Callable[[Message], bool]

    async def ensure_run(self, route: Route, event: ObjectEvent, message: Message) -> Outcome:
        """See ``Starter``."""
        name = name_of(route, event, 0)
        conf = _conf(route, event, acknowledge="run_succeeded")
        if await self.runs.create(route.dag_id, name, conf, _note(route, event)):
            return _held("started", route, name, created=True)
        state = await _read_back(self.runs, route, name)
        attempt = 0
        while state is RunState.FAILED:
            later = await self.runs.state(route.dag_id, name_of(route, event, attempt + 1))
            if later is RunState.NONE:
                break
            attempt, state = attempt + 1, later
        start, disposition = RUN_SUCCEEDED[state]
        if start is Start.AGAIN:
            return await self._start_again(route, event, message, attempt)
        run = (route.dag_id, name_of(route, event, attempt))
        return Outcome("joined" if disposition is Disposition.HOLD else "duplicate", disposition, run=run)

    async def _start_again(self, route: Route, event: ObjectEvent, message: Message, attempt: int) -> Outcome:
        name = name_of(route, event, attempt)
        if not may_start_again(message.receive_count, self.max_receive_count):
            reason = f"run {name} of DAG {route.dag_id!r} failed"
            reason = f"{reason}; the message was received {message.receive_count} times"
            about = {DAG_ATTRIBUTE: route.dag_id, RUN_ATTRIBUTE: name}
            return Outcome("gave_up", Disposition.DEAD_LETTER, reason, about=about)
        if not self.holds(message):
            return Outcome("put_off", Disposition.LAPSE, "its visibility timeout has ended")
        conf = _conf(route, event, acknowledge="run_succeeded")
        if self.on_redelivery == "clear":
            await self.runs.clear(route.dag_id, name, conf)
            return _held("restarted", route, name)
        name = name_of(route, event, attempt + 1)
        created = await self.runs.create(route.dag_id, name, conf, _note(route, event))
        return _held("restarted" if created else "joined", route, name, created=created)


def name_of(route: Route, event: ObjectEvent, attempt: int, naming: Naming | None = None) -> str:
    """Return the run id of an event's ``attempt`` (0: its first run) on a route.

    ``naming`` is what a ledger has it named by, since that came first; None: by the event itself.
    """
    return run_id(
        event,
        readable=route.run_id == "readable",
        attempt=attempt,
        identity=naming.event_id if naming else "",
        label=route.label_of(event, naming.members if naming else {}),
    )


def _held(what: str, route: Route, name: str, *, created: bool = False) -> Outcome:
    run = (route.dag_id, name)
    return Outcome(what, Disposition.HOLD, created=run if created else None, run=run)


def _conf(
    route: Route, event: ObjectEvent, acknowledge: str | None = None, identity: str = ""
) -> dict[str, Any]:
    data = {**event.serialize(), "event_id": identity or event_id(event)}
    if acknowledge is not None:
        data[ACKNOWLEDGE_MEMBER] = acknowledge
    return {**carrier(), **route.conf(data)}


def _note(route: Route, event: ObjectEvent) -> str:
    return route.note_of(event.serialize()) if route.note else ""


async def _read_back(runs: Runs, route: Route, name: str) -> RunState:
    """Return the state of the run that holds a taken name.

    Raises:
        RouteError: There is none: other unique keys of Airflow answer with the same error.
    """
    state = await runs.state(route.dag_id, name)
    if state is RunState.NONE:
        raise RouteError(f"another run of DAG {route.dag_id!r} holds a unique key of run {name!r}")
    return state
