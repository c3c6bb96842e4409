"""The page on Airflow 3.1 and later: a FastAPI application that Airflow mounts, without any authentication.

So each of its routes, the files among them, asks Airflow's auth manager itself. What it says to a request
without a user is 401, to one without the right 403. FastAPI's own pages (docs, schema) are left out: nobody
would guard them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException as AnyHTTPException

from airflow_s3events.hooks.airflow_rest import Api
from airflow_s3events.hooks.api_runs import ApiRuns
from airflow_s3events.hooks.own_api import OwnApi
from airflow_s3events.page.pages import HEADERS, Page, Reply, refusal, static
from airflow_s3events.page.tokens import csrf_token, is_from_page
from airflow_s3events.plugins.page_settings import page_settings
from airflow_s3events.reconcile import NewRuns

_FORBIDDEN = 403
_page = Page(page_settings)


@dataclass
class ApiVisitor:
    """A user of Airflow 3, by the token of the request."""

    request: Request
    user: Any
    loop: asyncio.AbstractEventLoop
    major: int = 3

    @property
    def bearer(self) -> str:
        """The token that the request carries itself; no browser sends one by itself."""
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else ""

    @property
    def token(self) -> str:
        """The user's own; ``get_user`` has let it in."""
        return self.bearer or self.request.cookies.get(COOKIE_NAME_JWT_TOKEN, "")

    @property
    def csrf_token(self) -> str:
        """Only who has the cookie, and sees the page, can know it."""
        return csrf_token(self.token)

    @cached_property
    def api(self) -> Api | None:
        """Airflow's API in the user's name."""
        return OwnApi(self.request.scope["s3events.airflow"], self.loop, self.token)

    @cached_property
    def runs(self) -> NewRuns | None:
        """Airflow's runs by that API."""
        return None if self.api is None else ApiRuns(self.api)

    def may_read(self, dag_id: str | None) -> bool:
        """See ``Visitor``."""
        return self._may("GET", dag_id)

    def may_start(self, dag_id: str | None) -> bool:
        """See ``Visitor``."""
        return self._may("POST", dag_id)

    def _may(self, method: Any, dag_id: str | None) -> bool:
        details = None if dag_id is None else DagDetails(id=dag_id)
        entity = DagAccessEntity.RUN
        return get_auth_manager().is_authorized_dag(
            method=method, access_entity=entity, details=details, user=self.user
        )


async def _visitor(request: Request, user: GetUserDep) -> ApiVisitor:
    """Let a user in who may read runs; no user is 401 already."""
    visitor = ApiVisitor(request, user, asyncio.get_running_loop())
    if not await asyncio.to_thread(visitor.may_read, None):
        raise HTTPException(_FORBIDDEN, "You may not read DAG runs.")
    return visitor


Visited = Annotated[ApiVisitor, Depends(_visitor)]


async def _asked(request: Request, visitor: Visited) -> dict[str, Any]:
    """Return what a write asks for, if it comes from the page or carries its token itself."""
    # Where everybody is an admin, Airflow itself adds the token to what any site has the browser send. Such a
    # site can say neither where it is not, nor, unasked, that it sends JSON.
    is_own = request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"
    is_json = request.headers.get("Content-Type", "").partition(";")[0] == "application/json"
    is_known = bool(visitor.bearer) or is_from_page(request.headers.get("X-CSRFToken", ""), visitor.token)
    if not (is_own and is_json and is_known):
        raise HTTPException(_FORBIDDEN, "This did not come from the page: reload it, and try again.")
    try:
        asked = await request.json()
    except ValueError:
        asked = None
    return asked if isinstance(asked, dict) else {}


Asked = Annotated[dict[str, Any], Depends(_asked)]


# Not async: each works in a thread, with a loop of its own, so that nothing holds Airflow's loop up.


def _home(visitor: Visited, request: Request) -> Response:
    return _response(_page.home(visitor, request.query_params.get("range")))


def _queues(visitor: Visited) -> Response:
    return _response(_page.queues(visitor))


def _events(visitor: Visited) -> Response:
    return _response(_page.events(visitor))


def _search(visitor: Visited, request: Request) -> Response:
    return _response(_page.search(visitor, request.query_params.get("uri", "")))


def _dead_letters(visitor: Visited, asked: Asked) -> Response:
    return _response(_page.dead_letters(visitor, asked))


def _redrive(visitor: Visited, asked: Asked) -> Response:
    return _response(_page.redrive(visitor, asked))


def _static(visitor: Visited, name: str) -> Response:  # noqa: ARG001 - asked for, to let him in
    return _plain(static(name))


async def _refused(request: Request, error: Exception) -> Response:  # noqa: ARG001
    status, detail = (
        (error.status_code, error.detail) if isinstance(error, AnyHTTPException) else (_FORBIDDEN, "")
    )
    return _plain(refusal(status, f"{status}: {detail}"))


def page_app() -> FastAPI:
    """Return the application."""
    app = FastAPI(title="S3 events", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_api_route("/", _home, methods=["GET"])
    app.add_api_route("/queues", _queues, methods=["GET"])
    app.add_api_route("/events", _events, methods=["GET"])
    app.add_api_route("/search", _search, methods=["GET"])
    app.add_api_route("/static/{name}", _static, methods=["GET"])
    app.add_api_route("/dead-letters", _dead_letters, methods=["POST"])
    app.add_api_route("/redrive", _redrive, methods=["POST"])
    app.add_exception_handler(AnyHTTPException, _refused)
    return app


def _response(reply: Awaitable[Reply]) -> Response:
    async def wait() -> Reply:
        return await reply

    return _plain(asyncio.run(wait()))


def _plain(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(HEADERS), reply.media_type)
