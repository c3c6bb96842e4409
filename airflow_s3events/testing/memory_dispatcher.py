"""The dispatcher on a queue in memory: the real one, with runs in memory and time that jumps."""

from __future__ import annotations

import asyncio
from typing import Any

from airflow_s3events.consumer import Consumer, ConsumerSettings
from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.journal import Journal
from airflow_s3events.dispatch.scoring import Asker, ScorerError, load_scorer
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.events import ObjectEvent
from airflow_s3events.ledger import Ledger, MemoryStore
from airflow_s3events.routing import Routes
from airflow_s3events.scores import ScoreFunction
from airflow_s3events.testing.memory_queue import InMemoryQueue
from airflow_s3events.testing.memory_runs import InMemoryRuns, StartedRun
from airflow_s3events.testing.virtual_time import run_in_virtual_time

#: 2027-01-15 08:00 UTC, the time of the events that are built here.
_START = 1_800_000_000.0
_IDLE_SECONDS = 1.0
#: Messages held for groups, as the operator has it.
_MAX_HELD = 500


class Clock:
    """Seconds since the epoch that pass only while something is dispatched, or when a test says so."""

    def __init__(self) -> None:
        self._passed = 0.0

    def __call__(self) -> float:
        """Return the time."""
        try:
            return _START + self._passed + asyncio.get_running_loop().time()
        except RuntimeError:  # no loop is running
            return _START + self._passed

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass: messages that were put off come back."""
        self._passed += seconds


class InMemoryDispatcher:
    """Starts runs in memory for the messages of a queue in memory.

    What it does with a message, a filter, a paused DAG or a body that is no event is what the operator does;
    only Airflow and SQS are not there.

    Args:
        queue: Where messages come from. Its clock must be ``clock``.
        clock: The time of queue and dispatcher.
        dead_letters: Where what cannot be processed goes.
        max_receive_count: Of the queue's redrive policy.
    """

    def __init__(
        self,
        queue: InMemoryQueue,
        clock: Clock,
        *,
        dead_letters: InMemoryQueue | None = None,
        max_receive_count: int = 20,
    ) -> None:
        self.clock = clock
        self.runs = InMemoryRuns()
        #: Which event is in which batch, where a route has a ``batch``.
        self.ledger = Ledger(MemoryStore(), now=clock)
        self._queue = queue
        self._dead_letters = dead_letters
        self._settings = DispatchSettings(
            max_receive_count=max_receive_count, has_dead_letters=dead_letters is not None
        )

    def dispatch(self, routes: Any, scorer: ScoreFunction | None = None) -> list[StartedRun]:
        """Work until the queue has nothing more to give; return the runs that were started now.

        Args:
            routes: What ``s3_event_dispatcher`` takes as ``routes``, or the DAG that it returned.
            scorer: A scorer, which is called without a time-out; that of the DAG where None.
        """
        before = set(self.runs.started)
        asker = _asker_of(routes, scorer)
        self.clock.advance(run_in_virtual_time(self._work(_routes_of(routes), asker)))
        return [run for name, run in self.runs.started.items() if name not in before]

    async def _work(self, routes: Routes, asker: Asker | None) -> float:
        most = _MAX_HELD if routes.has_batches else 100
        settings = ConsumerSettings(
            idle_seconds=_IDLE_SECONDS, wait_seconds=1, receivers=1, max_in_flight=most
        )
        consumer = Consumer(self._queue, settings, dead_letters=self._dead_letters)
        dispatcher = Dispatcher(
            inbox=consumer,
            routes=routes,
            runs=self.runs,
            settings=self._settings,
            now=self.clock,
            clock=asyncio.get_running_loop().time,
            asker=asker,
        )
        if routes.has_batches:
            dispatcher.journal = Journal(self.ledger)
            dispatcher.gather_batches(self.ledger, _MAX_HELD)
        if await dispatcher.waiting() is None:
            async with consumer:
                await dispatcher.run()
        return asyncio.get_running_loop().time()


class _InlineAsker:
    """Calls a scorer where it stands: time that jumps cannot wait for a thread."""

    def __init__(self, function: ScoreFunction) -> None:
        self._function = function

    async def ask(self, event: ObjectEvent) -> Any:
        try:
            return self._function(event)
        except Exception as error:
            raise ScorerError("error", f"{type(error).__name__}: {error}") from error


def _asker_of(routes: Any, scorer: ScoreFunction | None) -> Asker | None:
    """Of a DAG, the scorer of its dispatching task."""
    found = next((task.scorer for task in getattr(routes, "tasks", ()) if hasattr(task, "scorer")), None)
    function = scorer or found
    return None if function is None else _InlineAsker(load_scorer(function))


def _routes_of(routes: Any) -> Routes:
    """Routes of a DAG are those of its dispatching task."""
    for task in getattr(routes, "tasks", ()):
        if hasattr(task, "routes"):
            return Routes.of(task.routes)
    return Routes.of(routes)
