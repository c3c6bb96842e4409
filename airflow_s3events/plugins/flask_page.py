"""The page on Airflow 2: a blueprint of Airflow's own web server.

Each of its routes, the files among them, asks Airflow's auth manager itself: nobody logged in is 401, a user
without the right 403. Writes carry Flask-WTF's token, which Airflow's web server asks for, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cached_property, wraps
from importlib import import_module
from typing import Any

from flask import Blueprint, Response, request
from flask_wtf.csrf import generate_csrf, validate_csrf
from werkzeug.exceptions import HTTPException
from wtforms import ValidationError

from airflow_s3events._compat import runs_without_api
from airflow_s3events.page.pages import HEADERS, PREFIX, Page, Reply, refusal, static
from airflow_s3events.plugins.page_settings import page_settings
from airflow_s3events.reconcile import NewRuns

_UNAUTHORIZED, _FORBIDDEN = 401, 403
_page = Page(page_settings)


class SessionVisitor:
    """The user of Airflow 2 who is logged in."""

    major = 2
    #: Airflow 2 has another REST API.
    api = None

    @cached_property
    def runs(self) -> NewRuns | None:
        """Airflow's runs, from its database."""
        return runs_without_api()

    @property
    def csrf_token(self) -> str:
        """Flask-WTF's, of the session."""
        return str(generate_csrf())

    def may_read(self, dag_id: str | None) -> bool:
        """See ``Visitor``."""
        return _may("GET", dag_id)

    def may_start(self, dag_id: str | None) -> bool:
        """See ``Visitor``."""
        return _may("POST", dag_id)


def page_blueprint() -> Blueprint:
    """Return the blueprint."""
    blueprint = Blueprint("s3events", __name__, url_prefix=PREFIX)
    for rule, method, view in (
        ("/", "GET", _home),
        ("/queues", "GET", _queues),
        ("/events", "GET", _events),
        ("/search", "GET", _search),
        ("/static/<name>", "GET", _static),
        ("/dead-letters", "POST", _dead_letters),
        ("/redrive", "POST", _redrive),
    ):
        blueprint.add_url_rule(rule, view.__name__, _guarded(view), methods=[method])
    return blueprint


def _guarded(view: Callable[..., Reply]) -> Callable[..., Response]:
    """Ask the auth manager before anything else, and for a write, for its proof."""

    @wraps(view)
    def answer(**values: Any) -> Response:
        if not _auth_manager().is_logged_in():
            return _response(refusal(_UNAUTHORIZED, "401: Log in to Airflow first."))
        visitor = SessionVisitor()
        if not visitor.may_read(None):
            return _response(refusal(_FORBIDDEN, "403: You may not read DAG runs."))
        if request.method == "POST" and not _is_from_page():
            text = "403: This did not come from the page: reload it, and try again."
            return _response(refusal(_FORBIDDEN, text))
        return _response(view(visitor, **values))

    return answer


def _home(visitor: SessionVisitor) -> Reply:
    return _wait(_page.home(visitor, request.args.get("range")))


def _queues(visitor: SessionVisitor) -> Reply:
    return _wait(_page.queues(visitor))


def _events(visitor: SessionVisitor) -> Reply:
    return _wait(_page.events(visitor))


def _search(visitor: SessionVisitor) -> Reply:
    return _wait(_page.search(visitor, request.args.get("uri", "")))


def _static(visitor: SessionVisitor, name: str) -> Reply:  # noqa: ARG001 - he was let in
    return static(name)


def _dead_letters(visitor: SessionVisitor) -> Reply:
    return _wait(_page.dead_letters(visitor, _asked()))


def _redrive(visitor: SessionVisitor) -> Reply:
    return _wait(_page.redrive(visitor, _asked()))


def _asked() -> dict[str, Any]:
    asked = request.get_json(silent=True)
    return asked if isinstance(asked, dict) else {}


def _is_from_page() -> bool:
    try:
        validate_csrf(request.headers.get("X-CSRFToken"))
    except (ValidationError, HTTPException):
        return False
    return True


def _may(method: str, dag_id: str | None) -> bool:
    details = import_module("airflow.auth.managers.models.resource_details")
    which = None if dag_id is None else details.DagDetails(id=dag_id)
    entity = details.DagAccessEntity.RUN
    return bool(_auth_manager().is_authorized_dag(method=method, access_entity=entity, details=which))


def _auth_manager() -> Any:
    return import_module("airflow.www.extensions.init_auth_manager").get_auth_manager()


def _wait(reply: Awaitable[Reply]) -> Reply:
    async def wait() -> Reply:
        return await reply

    return asyncio.run(wait())


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(HEADERS), content_type=reply.media_type)
