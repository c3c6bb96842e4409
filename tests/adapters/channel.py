"""Airflow's side of a task's channel: its own messages in and out, as its API server answers them."""

from __future__ import annotations

import json
import os
from typing import Any


class Channel:
    """Keeps DAG runs in memory. Each request goes through Airflow's own encoder and decoder first."""

    def __init__(self, *dag_ids: str) -> None:
        self.dag_ids = set(dag_ids)
        self.paused: set[str] = set()
        self.runs: dict[tuple[str, str], dict[str, Any]] = {}
        self.notes: dict[str, str | None] = {}
        self.failures: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.gone: Exception | None = None
        #: Says yes to a run and does not keep it.
        self.is_forgetful = False

    def pause(self, dag_id: str) -> None:
        """Pause a DAG."""
        self.paused.add(dag_id)

    def unpause(self, dag_id: str) -> None:
        """Let it run again."""
        self.paused.discard(dag_id)

    def empty(self) -> None:
        """Forget every run, as ``airflow db clean`` does."""
        self.runs.clear()

    def forget_runs(self, _: Any) -> None:
        """From now on say yes to a run and do not keep it."""
        self.is_forgetful = True

    def send(self, request: Any) -> Any:
        """Answer one request, as ``SUPERVISOR_COMMS.send`` does."""
        from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
        from airflow.sdk.execution_time.comms import ErrorResponse

        if self.gone is not None:
            raise self.gone
        request = decoded(request)
        if request.type == "GetConnection":
            return _connection(request.conn_id)
        if request.type == "MaskSecret":
            return None
        self.requests.append(request.type)
        detail = self.failures.pop(0) if self.failures else None
        if detail is None and request.dag_id not in self.dag_ids:
            detail = not_found(request.dag_id)
        if detail is not None:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))
        return getattr(self, f"_{request.type}")(request)

    def _TriggerDagRun(self, request: Any) -> Any:  # noqa: N802 - named as the request
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import ErrorResponse, OKResponse

        if (request.dag_id, request.run_id) in self.runs:
            return ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)
        if not self.is_forgetful:
            self.runs[request.dag_id, request.run_id] = request.conf
            self.notes[request.run_id] = getattr(request, "note", None)
        return OKResponse(ok=True)

    def _GetDagRunState(self, request: Any) -> Any:  # noqa: N802
        from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
        from airflow.sdk.execution_time.comms import DagRunStateResult, ErrorResponse

        if (request.dag_id, request.run_id) not in self.runs:
            detail = not_found(request.run_id)
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))
        return DagRunStateResult.model_validate({"state": "queued"})

    def _GetDRCount(self, request: Any) -> Any:  # noqa: N802
        from airflow.sdk.execution_time.comms import DRCount

        names = {name for dag_id, name in self.runs if dag_id == request.dag_id}
        return DRCount(count=len(names if request.run_ids is None else names & set(request.run_ids)))

    def _GetDag(self, request: Any) -> Any:  # noqa: N802
        from airflow.sdk.execution_time.comms import DagResult

        members = dict.fromkeys(DagResult.model_fields)
        members |= {"dag_id": request.dag_id, "is_paused": request.dag_id in self.paused, "tags": []}
        return DagResult.model_validate(members | {"type": "DagResult"})


def _connection(conn_id: str) -> Any:
    """A connection of the environment: a task of Airflow 3.0 asks its API server for that too."""
    from airflow.sdk.execution_time.comms import ConnectionResult

    members = json.loads(os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"])
    extra = json.dumps(members.pop("extra"))
    return ConnectionResult.model_validate({"conn_id": conn_id, "extra": extra, **members})


def decoded(request: Any) -> Any:
    """Send ``request`` through Airflow's encoder, and read it as its supervisor does."""
    import msgspec
    from airflow.sdk.execution_time.comms import ToSupervisor, _RequestFrame
    from pydantic import TypeAdapter

    frame = _RequestFrame(id=1, body=request.model_dump()).as_bytes()
    body = msgspec.msgpack.Decoder(_RequestFrame).decode(frame[4:]).body
    return TypeAdapter(ToSupervisor).validate_python(body)


def not_found(what: str) -> dict[str, Any]:
    """The API server's answer for something that is not there."""
    inner = {"reason": "not_found", "message": f"{what} not found"}
    return {"status_code": 404, "message": "Not Found", "detail": {"detail": inner}}
