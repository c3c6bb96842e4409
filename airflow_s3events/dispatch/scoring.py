"""A scorer is asked about each event of a batch, in a thread and for a limited time, else the routes decide.

Knows neither Airflow nor AWS.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.enrich import Enricher, events_in
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.identity import event_id
from airflow_s3events.ledger.entries import NO_DAG
from airflow_s3events.messages import Message
from airflow_s3events.metrics import Meter
from airflow_s3events.predicates.functions import check_path, load
from airflow_s3events.routing import Match, Route, Routes
from airflow_s3events.scores import Scored, ScoreFunction, scored

#: Calls that hang at once. A thread cannot be ended from outside: each keeps what it holds until it returns.
MOST_HUNG = 4
#: Seconds after which a stop is noticed at the latest.
_STOP_SECONDS = 0.25


class ScorerError(Exception):
    """A scorer gave no answer; ``kind`` is ``timeout``, ``error`` or ``hung``."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class Asker(Protocol):
    """Who asks a scorer."""

    async def ask(self, event: ObjectEvent) -> Any:
        """Return what the scorer returned; ``ScorerError`` where it did not."""
        ...


def check_scorer(scorer: Any) -> None:
    """Look at the setting ``scorer``; nothing is imported.

    Raises:
        ConfigurationError: It is neither a function nor the import path of one.
    """
    if isinstance(scorer, str):
        check_path("scorer", scorer)
    elif not callable(scorer):
        raise ConfigurationError(f"scorer={scorer!r}: give a function, or 'package.module:function'")
    elif inspect.iscoroutinefunction(scorer):
        raise ConfigurationError("scorer: give a plain function; it is called in a thread and may block")


def load_scorer(scorer: ScoreFunction | str) -> ScoreFunction:
    """Return the function that the setting ``scorer`` names.

    Raises:
        ConfigurationError: It cannot be imported here; names it and the setting.
    """
    check_scorer(scorer)
    if not isinstance(scorer, str):
        return scorer
    try:
        function: Any = load(scorer)
    except Exception as error:
        raise ConfigurationError(
            f"scorer={scorer!r}: cannot be imported here: {type(error).__name__}: {error}"
        ) from error
    check_scorer(function)
    return function  # type: ignore[no-any-return]


class ThreadAsker:
    """Calls a scorer in a thread of its own for each event, one after the other, each for a limited time.

    What hangs is left behind: its thread goes on until the call returns, or the process ends, which it does
    not hold up. While ``MOST_HUNG`` of them hang the scorer is not asked.

    Args:
        function: The scorer.
        timeout_seconds: How long one call may take.
    """

    def __init__(self, function: ScoreFunction, timeout_seconds: float) -> None:
        self._function = function
        self._timeout_seconds = timeout_seconds
        self._hung: list[threading.Thread] = []

    async def ask(self, event: ObjectEvent) -> Any:
        """See ``Asker``."""
        self._hung = [thread for thread in self._hung if thread.is_alive()]
        if len(self._hung) >= MOST_HUNG:
            raise ScorerError(
                "hung", f"{len(self._hung)} calls of it hang; it is not asked until one returns"
            )
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        run = contextvars.copy_context().run
        thread = threading.Thread(
            target=run, args=(self._call, event, answer), name="s3events scorer", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            raise ScorerError("error", f"it has no thread: {error}") from error
        await asyncio.wait({answer}, timeout=self._timeout_seconds)
        if not answer.done():
            answer.cancel()
            self._hung.append(thread)
            raise ScorerError("timeout", f"no answer in {self._timeout_seconds:g} s")
        value, raised = answer.result()
        if raised is not None:
            raise ScorerError("error", f"{type(raised).__name__}: {raised}") from raised
        return value

    def _call(self, event: ObjectEvent, answer: asyncio.Future[Any]) -> None:
        result: tuple[Any, BaseException | None]
        try:
            result = self._function(event), None
        except BaseException as error:  # SystemExit of a thread ends no process, and nobody would answer
            result = None, error
        # The loop may have ended before a call that hung.
        with suppress(RuntimeError):
            answer.get_loop().call_soon_threadsafe(_answered, answer, result)


async def _ended(asking: asyncio.Future[Any], is_stopping: Callable[[], bool]) -> None:
    """Wait for the end, or for a stop: a task that is killed has 5 s to give back what it holds."""
    while not asking.done() and not is_stopping():
        await asyncio.wait({asking}, timeout=_STOP_SECONDS)


def _answered(answer: asyncio.Future[Any], result: tuple[Any, BaseException | None]) -> None:
    if not answer.done():
        answer.set_result(result)


@dataclass(slots=True)
class Scoring:
    """Matches the events of a batch with the routes, and with what a scorer says of them.

    Args:
        routes: Which DAG gets which event.
        enricher: What the routes say, with S3's facts.
        asker: Asks the scorer; None: there is none, and the routes decide.
        meter: Told of what is measured.
        lines: Gets a line where the scorer is no help. What it drops is told with what became of the event.
    """

    routes: Routes
    enricher: Enricher
    asker: Asker | None
    meter: Meter
    lines: DecisionLog
    _scored: dict[str, Scored] = field(default_factory=dict)

    async def prepare(
        self, batch: Sequence[Message], ignore_before: datetime | None, is_stopping: Callable[[], bool]
    ) -> None:
        """Ask the scorer about every event of the batch that a route takes, each once.

        Args:
            batch: Messages; what cannot be read in them is left to whoever settles it.
            ignore_before: Nothing is asked about older events: they start nothing.
            is_stopping: Whether to ask, and wait, no more: nothing more will be started.
        """
        self._scored.clear()
        if self.asker is None:
            return
        for event in events_in(batch, ignore_before):
            if is_stopping():
                return
            name = event_id(event)
            enriched, match = self.enricher.known(event)
            if match.routes and not match.errors and name not in self._scored:
                asking = asyncio.ensure_future(self._ask(self.asker, enriched, match))
                await _ended(asking, is_stopping)
                if not asking.done():
                    asking.cancel()
                    return
                self._scored[name] = asking.result()

    def known(self, event: ObjectEvent) -> tuple[ObjectEvent, Match]:
        """Return an event of the batch with S3's facts, and the routes that get it; none: it is dropped."""
        found = self.of(event)
        enriched, match = self.enricher.known(event)
        return enriched, match if found is None else found.match

    def match(self, event: ObjectEvent) -> Match:
        """Return which routes get an event of the batch."""
        return self.known(event)[1]

    def rivals(self, event: ObjectEvent) -> tuple[Route, ...]:
        """Return the routes that may have got the event when it came before, though they would not now."""
        routes, found = self.routes, self.of(event)
        if self.asker is not None and routes.mode == "first" and (found or routes.filters_ask):
            return tuple(routes)
        dropped = found.unscored.routes if found is not None and found.drop else ()
        return (*dropped, *(routes.rivals(event) if routes.filters_ask else ()))

    def reach(self, event: ObjectEvent) -> tuple[str, ...]:
        """Return the DAGs whose entries in a ledger tell what became of the event."""
        routes = (*self.match(event).routes, *self.rivals(event))
        dropped = () if self.asker is None else (NO_DAG,)
        return (*dict.fromkeys(route.dag_id for route in routes), *dropped)

    def of(self, event: ObjectEvent) -> Scored | None:
        """Return what the scorer made of the event; None where it was not asked."""
        return self._scored.get(event_id(event)) if self._scored else None

    @property
    def has_priorities(self) -> bool:
        """Whether some events are to be served before others."""
        return self.routes.has_priorities or any(one.priority is not None for one in self._scored.values())

    def priority(self, event: ObjectEvent) -> int:
        """Return the event's priority: the scorer's, or else the highest of its routes."""
        found = self.of(event)
        if found is not None and found.priority is not None:
            return found.priority
        return max((route.priority for route in self.match(event).routes), default=0)

    async def _ask(self, asker: Asker, event: ObjectEvent, match: Match) -> Scored:
        try:
            return scored(await asker.ask(event), match, self.routes)
        except ScorerError as error:
            return self._failed(error.kind, str(error), event, match)
        except ConfigurationError as error:
            return self._failed("bad_answer", str(error), event, match)

    def _failed(self, kind: str, reason: str, event: ObjectEvent, match: Match) -> Scored:
        self.meter.count("scorer.failures", kind)
        self.lines.note("unscored", event=event, outcome=kind, reason=f"the routes decide: {reason}")
        return Scored(match, match)
