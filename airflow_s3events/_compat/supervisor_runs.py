"""DAG runs as a task of Airflow 3 can create and read them: over its own channel to its supervisor."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat.run_ids import check_run_id
from airflow_s3events.exceptions import ChannelError, OutageError, RouteError, RunRefusedError
from airflow_s3events.settlement import RunState

if TYPE_CHECKING:
    from airflow.sdk.exceptions import AirflowRuntimeError

#: No answer for so long is none any more, however short Airflow's own time-outs are: a machine may be busy.
_LEAST_PATIENCE_SECONDS = 60.0
#: Answers of the API server that are about the one request; every other error is about the server.
_REFUSALS = frozenset({400, 404, 409, 422})
#: What the channel raises when it has no form for something in a conf, before anything is sent.
_UNSENDABLE = (NotImplementedError, OverflowError, RecursionError, TypeError, ValueError)
_CHANNEL = Lock()
#: Reasons of a refusal that hold for every run of the DAG; any other reason is this one run's.
_DAG_REFUSALS = frozenset({"not_found", "import_errors", "denied_run_type"})


class SupervisorRuns:
    """DAG runs of Airflow 3, over the channel that ``TriggerDagRunOperator`` uses.

    It is not a public API; a contract test runs these calls on every line. Only the members that all lines
    know are sent. A create costs 15 to 130 ms.

    Args:
        server_errors_park: Take a server error about one run for a fault of its DAG: each costs some 15 s of
            the client's own retries, in which this task does nothing else.
    """

    def __init__(self, *, server_errors_park: bool) -> None:
        self._refusal = RouteError if server_errors_park else RunRefusedError

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
        """Create a run; return False when the name is taken.

        A note is set from Airflow 3.2 on; before that a task cannot send one, and the run is made without.

        Taken is not yet stored under **this** run id: other unique keys answer with the same error, so the
        caller reads back.

        Raises:
            RouteError: Airflow refuses a run of this DAG.
            OutageError: Airflow did not answer, or not sensibly.
        """
        from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

        check_run_id(dag_id, run_id)
        request = TriggerDagRun(
            dag_id=dag_id, run_id=run_id, conf=conf, logical_date=None, reset_dag_run=False, **_noted(note)
        )
        try:
            return not isinstance(await self._ask(dag_id, request), ErrorResponse)
        except _UNSENDABLE as error:
            raise RunRefusedError(f"conf for a run of DAG {dag_id!r} cannot be sent: {error}") from error
        except OutageError as error:
            # Some refusals (a conf that the DAG's params reject) also come as a server error. A server that
            # answers the next question about the same DAG is not away: it is this run that it cannot make.
            await self.count_queued(dag_id)
            raise self._refusal(f"Airflow cannot create a run of DAG {dag_id!r}: {error}") from error

    async def clear(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        """Start a run that is there again under its own name; ``conf`` counts only if it has just vanished.

        Raises:
            RouteError: Airflow refuses it.
            OutageError: Airflow did not answer, or not sensibly.
        """
        from airflow.sdk.execution_time.comms import TriggerDagRun

        await self._ask(
            dag_id,
            TriggerDagRun(dag_id=dag_id, run_id=run_id, conf=conf, logical_date=None, reset_dag_run=True),
        )

    async def count(self, dag_id: str, run_ids: Sequence[str], states: Sequence[RunState]) -> int:
        """Return how many of ``run_ids`` (at most 200: they travel in a URL) are in one of ``states``."""
        return await self._count(dag_id, run_ids=list(run_ids), states=[state.value for state in states])

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

    async def count_active(self, dag_id: str) -> int:
        """Return how many runs of the DAG are queued or running."""
        return await self._count(dag_id, states=["queued", "running"])

    async def is_paused(self, dag_id: str) -> bool:
        """Return whether the DAG is paused.

        False before Airflow 3.2, where a task cannot know: runs of a paused DAG are created and wait in
        Airflow, as many as may be queued.

        Raises:
            RouteError: There is no such DAG.
        """
        from airflow.sdk.execution_time import comms

        if not hasattr(comms, "GetDag"):
            return False
        return bool((await self._ask(dag_id, comms.GetDag(dag_id=dag_id))).is_paused)

    async def _count(self, dag_id: str, **which: Any) -> int:
        from airflow.sdk.execution_time.comms import GetDRCount

        return int((await self._ask(dag_id, GetDRCount(dag_id=dag_id, **which))).count)

    async def _ask(self, dag_id: str, request: Any) -> Any:
        from airflow.sdk.exceptions import AirflowRuntimeError

        seconds = patience_seconds()
        try:
            return await asyncio.wait_for(asyncio.to_thread(send, request), seconds)
        except AirflowRuntimeError as error:
            raise _translated(dag_id, error) from error
        # Before the others: on Python 3.11 and later it is an OSError, too.
        except asyncio.TimeoutError as error:
            text = f"the supervisor of this task has not answered for {seconds:.0f} s: it is gone"
            raise ChannelError(text) from error
        except (EOFError, OSError) as error:
            raise ChannelError(f"the supervisor of this task is gone: {type(error).__name__}") from error


def patience_seconds() -> float:
    """Return after how long a supervisor that does not answer is given up: Airflow has done so by then.

    One that fails (no space is left for its log, say) leaves the task's process behind and its channel open,
    where the executor's process lives on, as Celery's does. That process would keep its messages from all
    others for the rest of its life. A supervisor sends no heartbeats while it asks for an answer, so Airflow
    takes a task for dead after ``[scheduler] task_instance_heartbeat_timeout`` of this, and starts another.
    """
    from airflow.configuration import conf

    known = conf.getfloat("scheduler", "task_instance_heartbeat_timeout", fallback=300.0)
    return max(_LEAST_PATIENCE_SECONDS, known)


def _noted(note: str) -> dict[str, Any]:
    """Return a note as the member of a request, where requests of this Airflow have one."""
    from airflow.sdk.execution_time.comms import TriggerDagRun

    return {"note": note} if note and "note" in TriggerDagRun.model_fields else {}


class TriggerRuns:
    """DAG runs as a trigger of Airflow 3 can see them: counted, over its runner's channel to the triggerer.

    For the loop of the triggerer's runner only.
    """

    async def count(self, dag_id: str, run_ids: Sequence[str], states: Sequence[RunState]) -> int:
        """Return how many of ``run_ids`` are in one of ``states``.

        Raises:
            RouteError: There is no such DAG.
            OutageError: Airflow did not answer, or not sensibly.
        """
        from airflow.sdk.exceptions import AirflowRuntimeError
        from airflow.sdk.execution_time import task_runner
        from airflow.sdk.execution_time.comms import GetDRCount

        names = [state.value for state in states]
        request = GetDRCount(dag_id=dag_id, run_ids=list(run_ids), states=names)
        try:
            answer: Any = await task_runner.SUPERVISOR_COMMS.asend(request)
            return int(answer.count)
        except AirflowRuntimeError as error:
            raise _translated(dag_id, error) from error
        except (EOFError, OSError) as error:
            raise OutageError(f"the triggerer does not answer: {type(error).__name__}") from error


def send(request: Any) -> Any:
    """Ask the supervisor; blocks. One question at a time: Airflow 3.0 does not see to that itself."""
    # Looked up at each call: the runner sets the module's global once the task's channel is open.
    from airflow.sdk.execution_time import task_runner

    with _CHANNEL:
        return task_runner.SUPERVISOR_COMMS.send(request)


def _translated(dag_id: str, error: AirflowRuntimeError) -> RouteError | OutageError:
    """Tell a refusal of one DAG from an API server that is away, broken, throttling or not letting us in."""
    detail = error.error.detail or {}
    if detail.get("status_code") in _REFUSALS:
        error_type = RouteError if _names_the_dag(detail) else RunRefusedError
        return error_type(f"Airflow refuses DAG {dag_id!r}: {_reason(error)}")
    return outage_of(error)


def outage_of(error: AirflowRuntimeError) -> OutageError:
    """Return that the API server is away, or broken, with what it said."""
    status = (error.error.detail or {}).get("status_code")
    return OutageError(f"Airflow's API server answered {status or 'nothing'}: {_reason(error)}")


def _names_the_dag(detail: dict[str, Any]) -> bool:
    return str(_inner(detail).get("reason")) in _DAG_REFUSALS


def _inner(detail: dict[str, Any]) -> dict[str, Any]:
    inner = detail.get("detail")
    inner = inner.get("detail", inner) if isinstance(inner, dict) else inner
    return inner if isinstance(inner, dict) else {}


def _reason(error: AirflowRuntimeError) -> str:
    detail = error.error.detail or {}
    inner = _inner(detail)
    return str(inner.get("message") or inner.get("reason") or detail.get("message") or error)
