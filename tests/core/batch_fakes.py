"""Airflow, S3 and a dispatcher for routes with a batch, in memory."""

from __future__ import annotations

from typing import Any

from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.journal import Journal
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import RunRefusedError
from airflow_s3events.ledger import Ledger, MemoryStore
from airflow_s3events.looks import Content
from airflow_s3events.messages import Message
from airflow_s3events.routing import Batch, Route, Routes
from tests.core.dispatch_fakes import FakeInbox, FakeRuns
from tests.core.test_dispatch import NOW, message, record

BY = r"in/(?P<day>[0-9-]+)/"


class BatchRunsOfAirflow(FakeRuns):
    """Airflow, as far as batch runs are concerned."""

    def __init__(self) -> None:
        super().__init__("process", "archive")
        self.fault: Exception | None = None

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
        if self.fault is not None:
            raise self.fault
        refused = [one["key"] for one in conf.get("s3_events", ()) if one["key"] in self.unstorable]
        if refused:
            raise RunRefusedError(f"conf of {run_id} cannot be stored: {refused}")
        return await super().create(dag_id, run_id, {"s3_event": {"key": "none"}, **conf}, note)


class Manifests:
    """Objects in memory."""

    def __init__(self, answer: bytes | Exception | None) -> None:
        self.answer_ = answer
        self.asked: list[str] = []

    async def answer(self, question: Content) -> tuple[ObjectEvent, bytes] | None:
        self.asked.append(question.location.uri)
        if isinstance(self.answer_, Exception):
            raise self.answer_
        return None if self.answer_ is None else (_EVENT, self.answer_)


_EVENT = ObjectEvent(
    event_name="ObjectCreated:Put", event_type="ObjectCreated:Put", bucket="b", key="k", envelope="s3-records"
)


class World:
    """Dispatchers one after the other, over one Airflow and one ledger."""

    def __init__(self, batch: Batch | None = None, routes: Any = None, **settings: Any) -> None:
        self.runs = BatchRunsOfAirflow()
        self.seconds = 0.0
        self.store = MemoryStore()
        self.ledger = Ledger(self.store, now=lambda: NOW + self.seconds)
        self.settings = settings
        self.manifests = Manifests(None)
        self.start(batch or Batch(by=BY), routes)

    def start(self, batch: Batch, routes: Any = None, max_held: int = 500) -> None:
        """Start another dispatcher; what the one before held comes again."""
        self.inbox = FakeInbox()
        self.dispatcher = Dispatcher(
            inbox=self.inbox,
            routes=Routes.of(routes or [Route(dag_id="process", batch=batch)]),
            runs=self.runs,
            settings=DispatchSettings(**self.settings),
            now=lambda: NOW + self.seconds,
            clock=lambda: self.seconds,
            journal=Journal(self.ledger),
        )
        self.dispatcher.gather_batches(self.ledger, max_held, self.manifests)

    async def dispatch(self, *messages: Message, after: float = 0.0) -> None:
        self.seconds += after
        self.inbox.fates.clear()
        await self.dispatcher.dispatch(messages)

    @property
    def held(self) -> int:
        assert self.dispatcher.batches is not None
        return len(self.dispatcher.batches)

    @property
    def batches(self) -> list[tuple[list[str], str]]:
        """Keys of each batch run, and what closed it."""
        return [
            ([event["key"] for event in conf["s3_events"]], conf["s3_batch"]["closed_by"])
            for conf in self.runs.confs.values()
        ]

    @property
    def fates(self) -> dict[str, str]:
        return {name: fate for name, (fate, _, _) in self.inbox.fates.items()}


def upload(number: int, name: str, day: str = "2026-01-01", **more: Any) -> Message:
    """The message of one object; ``number`` tells its event from others."""
    sequencer = f"0066A1B2C3D4E5F6{number:02d}"
    return message(record(f"in/{day}/{name}", sequencer), number=number, **more)
