"""``OwnApi``: the REST API of the Airflow that this process serves, asked in a user's name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent import futures
from typing import Any

from airflow_s3events.exceptions import OutageError
from airflow_s3events.hooks.airflow_rest import Answer, let_in

_PREFIX = "/api/v2"
_TIMEOUT_SECONDS = 20.0


class OwnApi:
    """Calls the API without a network: what Airflow refuses its user, it refuses the page.

    Args:
        app: Airflow's own ASGI application.
        loop: The event loop that it runs in; calls are made from other threads.
        token: The user's own.
    """

    def __init__(self, app: Any, loop: asyncio.AbstractEventLoop, token: str) -> None:
        self._app, self._loop, self._token = app, loop, token

    def call(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> Answer:
        """See ``AirflowRestHook.call``; blocks."""
        waited = asyncio.run_coroutine_threadsafe(self._call(method, path, query, body), self._loop)
        try:
            answer = waited.result(_TIMEOUT_SECONDS)
        except futures.TimeoutError as error:
            waited.cancel()
            raise OutageError(f"Airflow does not answer {method} {path}") from error
        return let_in(answer, "your rights", f"{method} {path}")

    def run_url(self, dag_id: str, run_id: str) -> str | None:  # noqa: ARG002
        """Tell nothing: the page makes its own links."""
        return None

    async def _call(self, method: str, path: str, query: Mapping[str, Any] | None, body: Any) -> Answer:
        import httpx

        transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {self._token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
            response = await client.request(
                method, f"{_PREFIX}{path}", params=dict(query or {}), json=body, headers=headers
            )
        is_json = response.headers.get("content-type", "").startswith("application/json")
        return Answer(response.status_code, response.json() if is_json and response.content else None)
