"""The plugin of the package.

Named by the ``airflow.plugins`` entry point: plugins that a provider names are not loaded by default.
Airflow loads plugins in every process, so this one holds nothing but names until a web server mounts the
page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from airflow_s3events._compat import page_framework
from airflow_s3events._compat.traces import has_traces, links_runs_itself
from airflow_s3events.listeners import stranded_events

_NAME = "S3 events"
_PREFIX = "/s3events"
_FRAMEWORK = page_framework()
#: Without either option there is nothing to show, and no page.
_HAS_PAGE = any(conf.get("s3events", name, fallback="") for name in ("page_queues", "page_ledger"))


class _LatePage:
    """An ASGI application that is built when it is first asked, in the process that mounts it."""

    _app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            from airflow_s3events.plugins.fastapi_page import page_app

            self._app = page_app()
        # Whoever mounts the page: Airflow's own application, whose API the page asks.
        await self._app({**scope, "s3events.airflow": scope.get("app")}, receive, send)


class _LateBlueprints:
    """What Flask is given when a web server asks for it."""

    def __iter__(self) -> Iterator[Any]:
        from airflow_s3events.plugins.flask_page import page_blueprint

        yield page_blueprint()


def _members() -> Mapping[str, Any]:
    """Return what Airflow looks for in a plugin, as far as this line of Airflow has a page."""
    if not _HAS_PAGE or _FRAMEWORK is None:
        return {}
    if _FRAMEWORK == "flask":
        item = {"name": _NAME, "category": "Browse", "href": f"{_PREFIX}/"}
        return {"flask_blueprints": _LateBlueprints(), "appbuilder_menu_items": [item]}
    root = conf.get("api", "base_url", fallback="").partition("://")[2].partition("/")[2].strip("/")
    view = {
        "name": _NAME,
        # A tab of its own: the frame that a "url_route" would get may not follow links to runs.
        "href": f"{'/' + root if root else ''}{_PREFIX}/",
        "destination": "nav",
        "category": "browse",
    }
    app = {"name": _NAME, "app": _LatePage(), "url_prefix": _PREFIX}
    return {"fastapi_apps": [app], "external_views": [view]}


def _listeners() -> list[Any]:
    """Return the listeners that this Airflow needs."""
    if not has_traces() or links_runs_itself():
        return [stranded_events]
    from airflow_s3events.listeners import traced_runs

    return [stranded_events, traced_runs]


class S3EventsPlugin(AirflowPlugin):
    """Registers what keeps asset events from being stranded, what links runs with messages, and the page."""

    name = "s3events"
    listeners = _listeners()


for _member, _value in _members().items():
    setattr(S3EventsPlugin, _member, _value)
