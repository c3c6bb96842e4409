"""The one file that asks for Airflow's version, and the one that touches what Airflow does not promise.

Everything that differs between Airflow's lines is answered here, so that the rest of the package reads as if
there were only one Airflow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf
from airflow.sdk import DAG, BaseOperator, Context
from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from airflow_s3events.exceptions import ChannelError, OutageError, RouteError, RunRefusedError
from airflow_s3events.settlement import RunState

if TYPE_CHECKING:
    from airflow.sdk.exceptions import AirflowRuntimeError

__all__ = [
    "DAG",
    "BaseEventTrigger",
    "BaseOperator",
    "BaseTrigger",
    "Context",
    "SupervisorRuns",
    "TriggerEvent",
    "asset_events_between",
    "earliest_resume_seconds",
    "read_variable",
    "write_variable",
]

#: Answers of the API server that are about the one request; every other error is about the server.
_REFUSALS = frozenset({400, 404, 409, 422})
#: What the channel raises when it has no form for something in a conf, before anything is sent.
_UNSENDABLE = (NotImplementedError, OverflowError, RecursionError, TypeError, ValueError)
#: Reasons of a refusal that hold for every run of the DAG; any other reason is this one run's.
_DAG_REFUSALS = frozenset({"not_found", "import_errors", "denied_run_type"})


def asset_events_between(asset: Any, after: datetime, before: datetime) -> list[Any]:
    """Return the events of ``asset`` stored between two moments, both included, as a task may ask for them.

    By the class behind ``inlet_events`` of a task's context, without its being an inlet of the task.
    """
    from airflow.sdk.execution_time.context import InletEventsAccessor

    events = InletEventsAccessor(asset_name=asset.name, asset_uri=asset.uri)
    return list(events.after(after.isoformat()).before(before.isoformat()))


async def read_variable(key: str) -> str | None:
    """Return an Airflow variable, as a trigger may ask for it; None where there is none."""
    from airflow.sdk import Variable
    from asgiref.sync import sync_to_async

    # Before 3.3 the way back to the triggerer's loop is asgiref's.
    value = await sync_to_async(Variable.get)(key, default=None)
    return None if value is None else str(value)


async def write_variable(key: str, value: str, description: str) -> None:
    """Store an Airflow variable, as a trigger may."""
    from airflow.sdk import Variable
    from asgiref.sync import sync_to_async

    await sync_to_async(Variable.set)(key, value, description)


def earliest_resume_seconds() -> float:
    """Return for how many seconds after its deferral a task had better not be woken.

    The supervisor of the process that deferred may take ``[workers] min_heartbeat_interval`` to notice its
    end (it sleeps that long when it sees the sockets close before the process is gone). When the task has
    been queued again before the executor reports that end, the scheduler takes the report for a failure of
    the new start (https://github.com/apache/airflow/issues/71580,
    https://github.com/apache/airflow/issues/72716). On 3.3.2 all of eight tasks that deferred in a loop
    failed with triggers firing after 0 to 3 s, one of two after 5 s, none of six after 6 to 8 s. The seconds
    on top are for the scheduler's own loop.
    """
    return conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0) + 3.0


class SupervisorRuns:
    """DAG runs as a task of Airflow 3 can create and read them: over its own channel to its supervisor.

    That channel is what ``TriggerDagRunOperator`` uses, but it is not a public API; a contract test runs
    these calls on every line. Only the members that all lines know are sent. A create costs 15 to 130 ms.
    """

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
        """Create a run; return False when the name is taken.

        Taken is not yet stored under **this** run id: other unique keys answer with the same error, so the
        caller reads back.

        Raises:
            RouteError: Airflow refuses a run of this DAG.
            OutageError: Airflow did not answer, or not sensibly.
        """
        from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

        request = TriggerDagRun(
            dag_id=dag_id, run_id=run_id, conf=conf, logical_date=None, reset_dag_run=False
        )
        try:
            return not isinstance(await self._ask(dag_id, request), ErrorResponse)
        except _UNSENDABLE as error:
            raise RunRefusedError(f"conf for a run of DAG {dag_id!r} cannot be sent: {error}") from error
        except OutageError as error:
            # Some refusals (a conf that the DAG's params reject) also come as a server error. A server that
            # answers the next question about the same DAG is not away: it is this run that it cannot make.
            await self.count_queued(dag_id)
            raise RunRefusedError(f"Airflow cannot create a run of DAG {dag_id!r}: {error}") from error

    async def state(self, dag_id: str, run_id: str) -> RunState:
        """Return the state of one run; ``RunState.NONE`` when there is none of that id."""
        from airflow.sdk.execution_time.comms import GetDagRunState

        try:
            answer = await self._ask(dag_id, GetDagRunState(dag_id=dag_id, run_id=run_id))
        except RouteError:
            return RunState.NONE
        return RunState(str(getattr(answer.state, "value", answer.state)))

    async def count_stored(self, dag_id: str, run_ids: Sequence[str]) -> int:
        """Return how many of ``run_ids`` (at most 100: they travel in a URL) Airflow has stored."""
        return await self._count(dag_id, run_ids=list(run_ids))

    async def count_queued(self, dag_id: str) -> int:
        """Return how many runs of the DAG wait in state queued."""
        return await self._count(dag_id, states=["queued"])

    async def is_paused(self, dag_id: str) -> bool:
        """Return whether the DAG is paused.

        Raises:
            RouteError: There is no such DAG.
        """
        from airflow.sdk.execution_time.comms import GetDag

        return bool((await self._ask(dag_id, GetDag(dag_id=dag_id))).is_paused)

    async def _count(self, dag_id: str, **which: Any) -> int:
        from airflow.sdk.execution_time.comms import GetDRCount

        return int((await self._ask(dag_id, GetDRCount(dag_id=dag_id, **which))).count)

    async def _ask(self, dag_id: str, request: Any) -> Any:
        from airflow.sdk.exceptions import AirflowRuntimeError

        try:
            return await asyncio.to_thread(_send, request)
        except AirflowRuntimeError as error:
            raise _translated(dag_id, error) from error
        except (EOFError, OSError) as error:
            raise ChannelError(f"the supervisor of this task is gone: {type(error).__name__}") from error


def _send(request: Any) -> Any:
    # Looked up at each call: the runner sets the module's global once the task's channel is open.
    from airflow.sdk.execution_time import task_runner

    return task_runner.SUPERVISOR_COMMS.send(request)


def _translated(dag_id: str, error: AirflowRuntimeError) -> RouteError | OutageError:
    """Tell a refusal of one DAG from an API server that is away, broken, throttling or not letting us in."""
    detail = error.error.detail or {}
    status = detail.get("status_code")
    reason = _reason(detail) or str(detail.get("message") or error)
    if status in _REFUSALS:
        error_type = RouteError if _names_the_dag(detail) else RunRefusedError
        return error_type(f"Airflow refuses DAG {dag_id!r}: {reason}")
    return OutageError(f"Airflow's API server answered {status or 'nothing'}: {reason}")


def _names_the_dag(detail: dict[str, Any]) -> bool:
    return str(_inner(detail).get("reason")) in _DAG_REFUSALS


def _inner(detail: dict[str, Any]) -> dict[str, Any]:
    inner = detail.get("detail")
    inner = inner.get("detail", inner) if isinstance(inner, dict) else inner
    return inner if isinstance(inner, dict) else {}


def _reason(detail: dict[str, Any]) -> str | None:
    inner = _inner(detail)
    return str(inner.get("message") or inner.get("reason") or "") or None
