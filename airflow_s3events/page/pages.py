"""Every answer of the page, for whatever framework asks: a status, a body, and the same strict headers."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from airflow_s3events.aws_errors import translated
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.page import reading
from airflow_s3events.page.chart import RANGES, STANDARD_RANGE
from airflow_s3events.page.rendering import render
from airflow_s3events.page.settings import PageSettings
from airflow_s3events.page.view import moment, queue_view, verdict
from airflow_s3events.page.visitors import Visitor, may_see

log = logging.getLogger(__name__)

#: Where Airflow mounts the page.
PREFIX = "/s3events"
#: Of every answer: nothing from another host, nothing in line, no frame of another site, no copy kept.
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: Files that are served, and nothing else is.
STATIC: Mapping[str, str] = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "theme.js": "text/javascript; charset=utf-8",
}
_OK, _BAD, _FORBIDDEN, _NOT_FOUND, _AWAY = 200, 400, 403, 404, 502
_HTML = "text/html; charset=utf-8"
_MESSAGE_ID_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    body: str
    status: int = _OK
    media_type: str = _HTML


class Page:
    """The page.

    Args:
        settings: Reads what it shows; called for each request, so that a mistake is told on the page.
    """

    def __init__(self, settings: Callable[[], PageSettings]) -> None:
        self._settings = settings

    async def home(self, visitor: Visitor, range_name: str | None = None) -> Reply:
        """The whole page: the ledger's part at once, all else is fetched by it."""
        range_ = RANGES.get(range_name or "", RANGES[STANDARD_RANGE])
        try:
            settings = self._settings()
        except ConfigurationError as error:
            return _refused(str(error))
        past = await reading.read_past(settings, visitor, range_, with_states=False)
        return _html(
            "page.html",
            past=past,
            range=range_,
            ranges=list(RANGES),
            settings=settings,
            csrf_token=visitor.csrf_token,
            now=moment(time.time()),
        )

    async def queues(self, visitor: Visitor) -> Reply:
        """The queues, and what is wrong."""

        async def answer(settings: PageSettings) -> Reply:
            views = [queue_view(one) for one in await reading.read_queues(settings, visitor)]
            is_asked = visitor.api is not None
            return _html("queues.html", queues=views, verdict=verdict(views), is_asked=is_asked)

        return await self._answer(answer)

    async def events(self, visitor: Visitor) -> Reply:
        """The last events with the states of their runs."""

        async def answer(settings: PageSettings) -> Reply:
            past = await reading.read_past(settings, visitor, RANGES["1h"], with_states=True)
            return _html("events.html", rows=past.rows, with_states=True)

        return await self._answer(answer)

    async def search(self, visitor: Visitor, uri: str) -> Reply:
        """What is known of one object."""

        async def answer(settings: PageSettings) -> Reply:
            return _html("found.html", found=await reading.search(settings, visitor, uri.strip()))

        return await self._answer(answer)

    async def dead_letters(self, visitor: Visitor, asked: Mapping[str, Any]) -> Reply:
        """Dead letters of a queue."""

        async def answer(settings: PageSettings) -> Reply:
            watched = settings.queue(_text(asked, "queue"))
            if not may_see(visitor, watched):
                return _refused("You may not read the DAGs of this queue.", _FORBIDDEN)
            rows = await reading.read_letters(watched, visitor)
            no_redrive = reading.why_not_redrive(settings, watched, visitor)
            return _html("letters.html", rows=rows, key=watched.queue, no_redrive=no_redrive)

        return await self._answer(answer)

    async def redrive(self, visitor: Visitor, asked: Mapping[str, Any]) -> Reply:
        """Send dead letters back."""

        async def answer(settings: PageSettings) -> Reply:
            watched = settings.queue(_text(asked, "queue"))
            if not may_see(visitor, watched):
                return _refused("You may not read the DAGs of this queue.", _FORBIDDEN)
            if no_redrive := reading.why_not_redrive(settings, watched, visitor):
                return _refused(no_redrive, _FORBIDDEN)
            report = await reading.redrive(watched, _message_ids(asked))
            log.info("Sent %d dead letters back, of %d that were meant", report.done, report.matched)
            return _html("redriven.html", report=report)

        return await self._answer(answer)

    async def _answer(self, answer: Callable[[PageSettings], Awaitable[Reply]]) -> Reply:
        try:
            async with translated("AWS", {}, otherwise="the API server's role: AWS refuses it"):
                return await answer(self._settings())
        except ConfigurationError as error:
            return _refused(str(error))
        except OutageError as error:
            return _refused(str(error), _AWAY)


def static(name: str) -> Reply:
    """One of the page's own files."""
    if name not in STATIC:
        return refusal(_NOT_FOUND, "There is no such file.")
    return Reply((files(__package__) / "static" / name).read_text("utf-8"), media_type=STATIC[name])


def refusal(status: int, text: str) -> Reply:
    """Say why there is nothing to see, as a page of its own."""
    return _html("refusal.html", status, text=text)


def _html(template: str, status: int = _OK, **values: Any) -> Reply:
    return Reply(render(template, **values), status)


def _refused(text: str, status: int = _BAD) -> Reply:
    return _html("refused.html", status, text=text)


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str):
        raise ConfigurationError(f"{name}: is missing")
    return value


def _message_ids(asked: Mapping[str, Any]) -> list[str]:
    given = asked.get("ids")
    if not isinstance(given, list) or not 1 <= len(given) <= reading.MOST_LETTERS:
        raise ConfigurationError(f"ids: give from 1 to {reading.MOST_LETTERS} message ids")
    if not all(isinstance(one, str) and 0 < len(one) <= _MESSAGE_ID_LENGTH for one in given):
        raise ConfigurationError("ids: one of them is no message id")
    return list(given)
