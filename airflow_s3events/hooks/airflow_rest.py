"""``AirflowRestHook``: Airflow 3's public REST API, by a connection or through MWAA."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from airflow_s3events._compat import BaseHook
from airflow_s3events.exceptions import ConfigurationError, OutageError

_PREFIX = "/api/v2"
_TIMEOUT_SECONDS = 30.0
_REFUSED = 400
_THROTTLED = 429
_SERVER_ERROR = 500
_UNAUTHORIZED = (401, 403)


class Answer(NamedTuple):
    """What the API said: HTTP status and JSON."""

    status: int
    data: Any

    @property
    def is_there(self) -> bool:
        """Whether it is neither missing nor refused."""
        return self.status < _REFUSED


class Api(Protocol):
    """A way to Airflow's REST API."""

    def call(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> Answer:
        """Make one call; see ``AirflowRestHook.call``."""
        ...

    def run_url(self, dag_id: str, run_id: str) -> str | None:
        """Return the page of a run in Airflow's UI, where it can be told."""
        ...


def let_in(answer: Answer, setting: str, call: str) -> Answer:
    """Return what the API said, unless it does not let us in or is broken; a refusal is an answer.

    Raises:
        ConfigurationError: It does not let us in; names ``setting``.
        OutageError: It is broken, or throttles.
    """
    if answer.status in _UNAUTHORIZED:
        raise ConfigurationError(f"{setting}: Airflow answers {answer.status} to {call}")
    if answer.status >= _SERVER_ERROR or answer.status == _THROTTLED:
        raise OutageError(f"Airflow answers {answer.status} to {call}")
    return answer


class AirflowRestHook(BaseHook):
    """Calls Airflow's REST API.

    Args:
        airflow_conn_id: An HTTP connection: host (with ``https://``), port, login and password, for which the
            API gives a token (``POST /auth/token``); or ``{"token": "..."}`` in its extra.
        mwaa_environment: Name of an MWAA environment, whose own ``InvokeRestApi`` is used instead
            (https://docs.aws.amazon.com/mwaa/latest/userguide/access-mwaa-apache-airflow-rest-api.html).
        aws_conn_id, region_name: For MWAA, as for every operator of the amazon provider.
    """

    def __init__(
        self,
        *,
        airflow_conn_id: str = "airflow_api",
        mwaa_environment: str | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
    ) -> None:
        super().__init__()
        self.airflow_conn_id = airflow_conn_id
        self.mwaa_environment = mwaa_environment
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name

    def call(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> Answer:
        """Make one call; ``path`` begins behind ``/api/v2``. A refusal is an answer, not an error.

        Raises:
            ConfigurationError: The API does not let us in.
            OutageError: It is away or broken.
        """
        if self.mwaa_environment is not None:
            answer = self._call_mwaa(method, path, dict(query or {}), body)
        else:
            answer = self._call_http(method, path, dict(query or {}), body)
        return let_in(answer, self._setting, f"{method} {path}")

    def run_url(self, dag_id: str, run_id: str) -> str | None:
        """Return the page of a run in Airflow's UI; None through MWAA, whose API does not say where it is."""
        if self.mwaa_environment is not None:
            return None
        return f"{self._session[0]}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"

    @property
    def _setting(self) -> str:
        return "airflow_conn_id" if self.mwaa_environment is None else "mwaa_environment, aws_conn_id"

    def _call_http(self, method: str, path: str, query: dict[str, Any], body: Any) -> Answer:
        import httpx

        base, headers = self._session
        try:
            response = httpx.request(
                method,
                f"{base}{_PREFIX}{path}",
                params=query,
                json=body,
                headers=headers,
                timeout=_TIMEOUT_SECONDS,
            )
        except httpx.HTTPError as error:
            raise OutageError(f"Airflow's API does not answer: {type(error).__name__}") from error
        is_json = response.headers.get("content-type", "").startswith("application/json")
        return Answer(response.status_code, response.json() if is_json and response.content else None)

    @cached_property
    def _session(self) -> tuple[str, dict[str, str]]:
        """Base URL, and the header that lets us in."""
        import httpx

        connection = self.get_connection(self.airflow_conn_id)
        host = str(connection.host or "")
        base = host if "://" in host else f"{connection.schema or 'http'}://{host}"
        if connection.port:
            base = f"{base}:{connection.port}"
        token = connection.extra_dejson.get("token")
        if token is None:
            login = {"username": connection.login, "password": connection.password}
            try:
                answer = httpx.post(f"{base}/auth/token", json=login, timeout=_TIMEOUT_SECONDS)
            except httpx.HTTPError as error:
                raise OutageError(f"Airflow's API does not answer: {type(error).__name__}") from error
            if answer.status_code >= _REFUSED:
                raise ConfigurationError(
                    f"airflow_conn_id: {self.airflow_conn_id!r} gets no token ({answer.status_code})"
                )
            token = answer.json()["access_token"]
        return base.rstrip("/"), {"Authorization": f"Bearer {token}"}

    def _call_mwaa(self, method: str, path: str, query: dict[str, Any], body: Any) -> Answer:
        from airflow.providers.amazon.aws.hooks.mwaa import MwaaHook
        from botocore.exceptions import BotoCoreError, ClientError

        hook = MwaaHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name)
        try:
            answer = hook.invoke_rest_api(
                env_name=str(self.mwaa_environment), path=path, method=method, body=body, query_params=query
            )
        except ClientError as error:
            # The API's own refusals come as an error of the call that carries them.
            status = error.response.get("RestApiStatusCode")
            if status is None:
                code = error.response.get("Error", {}).get("Code")
                raise ConfigurationError(f"mwaa_environment, aws_conn_id: InvokeRestApi: {code}") from error
            return Answer(int(status), error.response.get("RestApiResponse"))
        except BotoCoreError as error:
            raise OutageError(f"MWAA does not answer: {type(error).__name__}") from error
        return Answer(int(answer["RestApiStatusCode"]), answer.get("RestApiResponse"))
