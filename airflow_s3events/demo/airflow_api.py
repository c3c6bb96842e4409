"""The few calls to Airflow's public REST API that the demo and the system tests need."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from airflow_s3events.demo.lines import installed_major

#: Airflow's own ceiling, ``[api] maximum_page_limit``.
_PAGE = 100
#: A frozen API server accepts connections and never answers.
_HEALTH_SECONDS = 5.0
_WARM_SECONDS = 60.0
#: The first major version of Airflow with version 2 of its API.
_WITH_V2 = 3


class AirflowApiError(RuntimeError):
    """Airflow answered with an HTTP error. ``status`` is its code."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"Airflow answered {status}: {text}")
        self.status = status


class AirflowApi:
    """Airflow's REST API version 2 (https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html)."""

    _root = "/api/v2"
    _health_path = "/api/v2/monitor/health"

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._token: str | None = None
        # Loopback only: a proxy from the environment could not reach it.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """One call; the decoded answer, None where it is empty.

        :param path: below ``/api/v2``, on Airflow 2 ``/api/v1``.
        :raises AirflowApiError: Airflow answered with an error.
        :raises OSError: nobody answered.
        """
        return self._send(method, f"{self._root}{path}", body, query, self._credentials())

    def health(self) -> dict[str, dict[str, str | None]]:
        """What the health page says of each component; empty while the API server does not answer."""
        try:
            health: dict[str, dict[str, str | None]] = self._send(
                "GET", self._health_path, None, {}, {}, timeout_seconds=_HEALTH_SECONDS
            )
        except (OSError, AirflowApiError):
            return {}
        return health

    def warm_up(self) -> bool:
        """Have the API server build what tasks talk to; False while it does not answer.

        It does so at the first request, in several seconds, which would otherwise be the first task's and
        exceed that one's time-out.
        """
        try:
            self._send("GET", "/execution/health", None, {}, {}, timeout_seconds=_WARM_SECONDS)
        except (OSError, AirflowApiError):
            return False
        return True

    def pages(self, path: str, member: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every item of a listing, whatever its length."""
        offset = 0
        while True:
            page = self.call("GET", path, limit=_PAGE, offset=offset, **query)[member]
            yield from page
            if len(page) < _PAGE:
                return
            offset += _PAGE

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """All runs of a DAG, oldest first, as the API gives them (``dag_run_id``, ``state``, ``conf``)."""
        return list(self.pages(f"/dags/{dag_id}/dagRuns", "dag_runs", order_by="id"))

    def has_dag(self, dag_id: str) -> bool:
        """Whether Airflow has parsed the DAG."""
        try:
            self.call("GET", f"/dags/{dag_id}")
        except AirflowApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def set_paused(self, dag_id: str, paused: bool) -> None:
        """Pause a DAG, or unpause it."""
        self.call("PATCH", f"/dags/{dag_id}", {"is_paused": paused}, update_mask="is_paused")

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any] | None = None) -> None:
        """Create one run without a logical date."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}}
        self.call("POST", f"/dags/{dag_id}/dagRuns", body)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task pushed; None if there is no such XCom."""
        run = urllib.parse.quote(run_id, safe="")
        path = f"/dags/{dag_id}/dagRuns/{run}/taskInstances/{task_id}/xcomEntries/{key}"
        try:
            return self.call("GET", path, deserialize=False)["value"]
        except AirflowApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def task_instances(self, dag_id: str, run_id: str = "~") -> list[dict[str, Any]]:
        """The task instances of one run, or of all runs of the DAG."""
        run = urllib.parse.quote(run_id, safe="~")
        return list(self.pages(f"/dags/{dag_id}/dagRuns/{run}/taskInstances", "task_instances"))

    def import_errors(self) -> dict[str, str]:
        """DAG files that Airflow could not import, with the traceback."""
        errors = self.pages("/importErrors", "import_errors")
        return {error["filename"]: error["stack_trace"] for error in errors}

    def _credentials(self) -> dict[str, str]:
        if self._token is None:
            # Every visitor is an admin here (simple_auth_manager_all_admins), so no credentials are sent.
            self._token = str(self._send("GET", "/auth/token", None, {}, {})["access_token"])
        return {"Authorization": f"Bearer {self._token}"}

    def _send(
        self,
        method: str,
        path: str,
        body: Any,
        query: dict[str, Any],
        headers: dict[str, str],
        *,
        timeout_seconds: float = 30.0,
    ) -> Any:
        url = f"{self.base_url}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - always http
        try:
            with self._opener.open(request, timeout=timeout_seconds) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise AirflowApiError(error.code, error.read().decode(errors="replace")[:500]) from error
        return json.loads(text) if text else None


class AirflowApiV1(AirflowApi):
    """The same calls of Airflow 2 (https://airflow.apache.org/docs/apache-airflow/2.11.2/stable-rest-api-ref.html)."""

    _root = "/api/v1"
    _health_path = "/api/v1/health"

    def warm_up(self) -> bool:
        """Return whether it answers: tasks of Airflow 2 talk to the database instead."""
        return bool(self.health())

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """As for Airflow 3; ``queued_at`` is the logical date: the moment at which the run was asked for."""
        return [{"queued_at": run["logical_date"], **run} for run in super().runs(dag_id)]

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any] | None = None) -> None:
        """Create one run; Airflow chooses its logical date."""
        self.call("POST", f"/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "conf": conf or {}})

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """As for Airflow 3; an XCom is asked for as data, not as text."""
        if "/xcomEntries/" in path:
            query["stringify"] = "false"
        return super().call(method, path, body, **query)

    def _credentials(self) -> dict[str, str]:
        return {}


def api_of(base_url: str, major_version: int | None = None) -> AirflowApi:
    """Return the API of the Airflow at ``base_url``; of the version that is installed where none is given."""
    return (AirflowApi if (major_version or installed_major()) >= _WITH_V2 else AirflowApiV1)(base_url)
