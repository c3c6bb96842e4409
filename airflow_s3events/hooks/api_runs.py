"""``ApiRuns``: DAG runs as a command can create and read them, over Airflow 3's public REST API."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from airflow_s3events._compat import runs_without_api
from airflow_s3events.exceptions import OutageError, RouteError, RunRefusedError
from airflow_s3events.hooks.airflow_rest import AirflowRestHook, Answer, Api
from airflow_s3events.reconcile import NewRuns
from airflow_s3events.settlement import RunState

_NOT_FOUND = 404
_CONFLICT = 409
_THROTTLED = 429


class ApiRuns:
    """DAG runs over ``AirflowRestHook``, for a process that is no task of Airflow.

    Args:
        api: The API. Its calls block, so each is made in a thread.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
        """Create a run; return False when the name is taken.

        Raises:
            RouteError: Airflow refuses a run of this DAG.
            ConfigurationError: The API does not let us in.
            OutageError: It is away or throttling.
        """
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf, "note": note or None}
        answer = await self._call("POST", f"{_path(dag_id)}/dagRuns", body=body)
        if answer.status == _CONFLICT:
            return False
        if answer.status == _NOT_FOUND:
            raise _no_such_dag(dag_id)
        if not answer.is_there:
            raise RunRefusedError(f"Airflow refuses a run of DAG {dag_id!r}: {_detail(answer)}")
        return True

    async def state(self, dag_id: str, run_id: str) -> RunState:
        """Return the state of one run; ``RunState.NONE`` when there is none of that id."""
        answer = await self._call("GET", f"{_path(dag_id)}/dagRuns/{quote(run_id, safe='')}")
        return RunState(answer.data["state"]) if answer.is_there else RunState.NONE

    async def is_paused(self, dag_id: str) -> bool:
        """Return whether the DAG is paused.

        Raises:
            RouteError: There is no such DAG, or its file has an import error.
        """
        answer = await self._call("GET", _path(dag_id))
        if not answer.is_there:
            raise _no_such_dag(dag_id)
        if answer.data.get("has_import_errors"):
            raise RouteError(f"Airflow refuses DAG {dag_id!r}: its file has import errors")
        return bool(answer.data["is_paused"])

    async def count_queued(self, dag_id: str) -> int:
        """Return how many runs of the DAG wait in state queued."""
        return await self._count(dag_id, "queued")

    async def count_active(self, dag_id: str) -> int:
        """Return how many runs of the DAG are queued or running."""
        return await self._count(dag_id, "queued") + await self._count(dag_id, "running")

    async def _count(self, dag_id: str, state: str) -> int:
        query = {"state": state, "limit": 1}
        answer = await self._call("GET", f"{_path(dag_id)}/dagRuns", query=query)
        if not answer.is_there:
            raise _no_such_dag(dag_id)
        return int(answer.data["total_entries"])

    async def _call(self, method: str, path: str, **more: Any) -> Answer:
        answer = await asyncio.to_thread(self._api.call, method, path, **more)
        if answer.status == _THROTTLED:
            raise OutageError(f"Airflow answers {answer.status} to {method} {path}")
        return answer


def command_runs(
    *,
    airflow_conn_id: str | None,
    mwaa_environment: str | None,
    aws_conn_id: str | None,
    region_name: str | None,
) -> tuple[NewRuns | None, AirflowRestHook | None]:
    """Return Airflow's DAG runs as a command can reach them, and the API that they are reached by.

    Without a way to the API: on Airflow 2 its database, on Airflow 3 nothing.
    """
    if airflow_conn_id is None and mwaa_environment is None:
        return runs_without_api(), None
    api = AirflowRestHook(
        airflow_conn_id=airflow_conn_id or "airflow_api",
        mwaa_environment=mwaa_environment,
        aws_conn_id=aws_conn_id,
        region_name=region_name,
    )
    return ApiRuns(api), api


def _path(dag_id: str) -> str:
    return f"/dags/{quote(dag_id, safe='')}"


def _no_such_dag(dag_id: str) -> RouteError:
    return RouteError(f"Airflow refuses DAG {dag_id!r}: there is no such DAG")


def _detail(answer: Answer) -> str:
    detail = answer.data.get("detail") if isinstance(answer.data, dict) else None
    return f"{answer.status}: {detail}"
