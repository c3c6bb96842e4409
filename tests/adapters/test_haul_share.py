"""The consumer that watchers share where Airflow has no shared stream, on a queue in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from airflow_s3events.aws_clock import AwsClock
from airflow_s3events.consumer import Consumer
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.filters import EventFilter, prefix
from airflow_s3events.hauls import HaulSettings, HaulStream
from airflow_s3events.testing import InMemoryQueue, object_created_body
from airflow_s3events.triggers.s3_event_asset import S3EventAssetTrigger
from airflow_s3events.triggers.watching import sessions, share
from airflow_s3events.triggers.watching.roll import Roll
from airflow_s3events.triggers.watching.sessions import QueueArguments, consumer_settings
from airflow_s3events.triggers.watching.share import HaulShare
from airflow_s3events.triggers.watching.source import HaulSource
from airflow_s3events.watchers import Watchers
from tests.lines import AIRFLOW

pytestmark = pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2 has no asset watchers")

A, B = prefix("a/"), prefix("b/")


class Airflow:
    """Stands for the triggerer: takes what triggers fire, and says when it is stored."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *keys: str) -> None:
        self.queue = InMemoryQueue()
        for key in keys:
            self.queue.put(object_created_body("landing", key))
        self.may_store = asyncio.Event()
        self.away: Exception | None = None
        #: Generators of triggers: an exception's frames may keep one for as long as it pleases the collector.
        self.generators: list[Any] = []
        self.may_take = asyncio.Event()
        self.may_take.set()
        self.in_hand = 0
        self.fired: list[tuple[str, str]] = []
        #: How often the queue was opened, and what its closing takes.
        self.opened = 0
        self.closing: Callable[[], Awaitable[Any]] = _nothing
        self.ready: Callable[[], Awaitable[None]] = _nothing
        self._tasks: dict[str, asyncio.Task[None]] = {}
        monkeypatch.setattr(sessions, "_WATCHERS", {})
        monkeypatch.setattr(share, "_SHARES", {})
        monkeypatch.setattr(share, "HaulShare", self._share)
        monkeypatch.setattr("airflow_s3events.triggers.watching.source._JOIN_SECONDS", 0.1)
        monkeypatch.setattr("airflow_s3events.triggers.watching.roll._MEETINGS", 0)
        for name in ("read_variable", "write_variable"):
            monkeypatch.setattr(f"airflow_s3events.triggers.watching.roll.{name}", _nothing)

    def _share(self, source: HaulSource) -> HaulShare:
        source._open_stream = self._opened
        return HaulShare(source, stored=self._stored)

    async def _opened(
        self, stack: AsyncExitStack, arguments: QueueArguments, watchers: Watchers, _: AwsClock
    ) -> HaulStream:
        self.opened += 1
        stack.push_async_callback(self.closing)
        consumer = Consumer(self.queue, consumer_settings(arguments))
        stream = HaulStream(await stack.enter_async_context(consumer), watchers, HaulSettings())
        stream.ready = self.ready
        return stream

    async def _stored(self) -> None:
        if self.away:
            raise self.away
        await self.may_store.wait()

    def start(self, **filters: EventFilter) -> None:
        for name, when in filters.items():
            self._tasks[name] = asyncio.ensure_future(self._run(name, when))

    async def _run(self, name: str, when: EventFilter) -> None:
        self.generators.append(S3EventAssetTrigger(sqs_queue="q", when=when, watcher=name).run())
        async for event in self.generators[-1]:
            self.in_hand += 1
            await self.may_take.wait()
            payload: Any = event.payload
            self.fired += [(name, one["key"]) for one in payload["s3_events"]]

    async def cancel(self, *names: str) -> None:
        tasks = [self._tasks.pop(name) for name in names or list(self._tasks)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _nothing(*_: str) -> None:
    """No roll."""


@asynccontextmanager
async def running(airflow: Airflow, **filters: EventFilter) -> AsyncIterator[None]:
    airflow.start(**filters)
    try:
        yield
    finally:
        await airflow.cancel()


async def until(probe: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.05)


async def test_watchers_share_one_consumer_and_messages_go_once_airflow_has_stored_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    airflow = Airflow(monkeypatch, "a/1", "b/1", "a/2")
    async with running(airflow, a=A, b=B):
        await until(lambda: len(airflow.fired) == 3)
        await asyncio.sleep(3)
        assert len(airflow.queue) == 3
        airflow.may_store.set()
        await until(lambda: len(airflow.queue) == 0)
    assert sorted(airflow.fired) == [("a", "a/1"), ("a", "a/2"), ("b", "b/1")]


async def test_where_airflow_does_not_answer_the_messages_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    airflow = Airflow(monkeypatch, "a/1")
    airflow.away = ConnectionError("the main process is gone")
    async with running(airflow, a=A):
        await until(lambda: len(airflow.fired) == 2)
        assert len(airflow.queue) == 1


async def test_a_watcher_that_goes_has_stored_nothing_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    airflow = Airflow(monkeypatch, "a/1", "b/1")
    async with running(airflow, a=A, b=B):
        await until(lambda: len(airflow.fired) == 2)
        await airflow.cancel("a")
        airflow.may_store.set()
        await until(lambda: len(airflow.queue) == 1)
        airflow.queue.put(object_created_body("landing", "b/2"))
        await until(lambda: ("b", "b/2") in airflow.fired)
        assert '"a/1"' in airflow.queue.peek()[0].body


async def test_a_watcher_that_is_cancelled_with_an_event_in_hand_is_gone_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its generator is left where it is: nobody may wait for that watcher any more."""
    airflow = Airflow(monkeypatch, "a/1")
    airflow.may_store.set()
    airflow.may_take.clear()
    async with running(airflow, a=A):
        await until(lambda: airflow.in_hand)
        await airflow.cancel("a")
        airflow.may_take.set()
        airflow.start(a=A)
        await until(lambda: airflow.fired == [("a", "a/1")])
        await until(lambda: len(airflow.queue) == 0)


async def test_the_last_watcher_that_goes_gives_everything_back(monkeypatch: pytest.MonkeyPatch) -> None:
    airflow = Airflow(monkeypatch, "a/1")
    async with running(airflow, a=A):
        await until(lambda: airflow.fired)
    (message,) = await airflow.queue.receive(wait_seconds=0)
    assert message.receive_count == 2


async def test_a_session_that_begins_while_the_one_before_is_closed_keeps_what_it_opens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rolls: list[asyncio.Task[None] | None] = []

    async def run(_: Roll) -> None:
        rolls.append(asyncio.current_task())
        await asyncio.Event().wait()

    monkeypatch.setattr(Roll, "run", run)
    airflow = Airflow(monkeypatch)
    closed = asyncio.Event()
    airflow.closing = closed.wait
    async with running(airflow, a=A):
        await until(lambda: rolls)
        going = asyncio.ensure_future(airflow.cancel("a"))
        await asyncio.sleep(0.2)
        airflow.start(b=B)
        await until(lambda: len(rolls) == 2)
        closed.set()
        await going
        await asyncio.sleep(0.1)
        assert [task.done() for task in rolls if task] == [True, False]


async def test_a_queue_that_cannot_be_closed_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_s3events.triggers.watching.source._FIRST_PAUSE_SECONDS", 0.1)
    airflow = Airflow(monkeypatch, "a/1")

    async def refuse() -> None:
        raise ConfigurationError("sqs_queue: it is gone")

    async def be_ready() -> None:
        if airflow.opened == 1:
            raise OutageError("SQS is away")

    airflow.closing, airflow.ready = refuse, be_ready
    airflow.may_store.set()
    async with running(airflow, a=A):
        await until(lambda: len(airflow.queue) == 0)
    assert airflow.opened == 2


async def test_stored_means_three_answers_with_time_for_a_sync_between_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    async def answer(key: str) -> None:
        asked.append(key)

    async def turn(seconds: float) -> None:
        asked.append(f"{seconds} s")

    monkeypatch.setattr(share, "read_variable", answer)
    monkeypatch.setattr("airflow_s3events.triggers.watching.share.asyncio.sleep", turn)
    await share.stored_by_now()
    assert [one for one in asked if one.endswith(" s")] == ["1.0 s"] * 6
    assert asked[0] == asked[4] == asked[8] == "s3events_are_you_there"
