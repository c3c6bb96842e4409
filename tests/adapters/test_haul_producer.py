"""The consumer that watchers share, on Airflow's own shared stream (3.3 and later), and an emulated SQS."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from airflow_s3events import S3EventAssetTrigger
from airflow_s3events.filters import predicate, prefix
from airflow_s3events.packs import PackedEvent
from airflow_s3events.testing import object_created_body
from airflow_s3events.triggers.watching import sessions
from tests.lines import AIRFLOW
from tests.strategies import make_event

if AIRFLOW < (3, 3):
    pytest.skip("Airflow has a shared stream from 3.3 on", allow_module_level=True)

from airflow.triggers.shared_stream import SharedStreamManager


class Runner:
    """What Airflow's triggerer does with watchers, with its own manager of shared streams."""

    def __init__(self) -> None:
        self.manager = SharedStreamManager()
        self.payloads: dict[str, list[Any]] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.seqs: list[int] = []
        self.is_storing = True
        #: Generators of triggers: an exception's frames may keep one for as long as it pleases the collector.
        self.generators: list[Any] = []
        self.may_take = asyncio.Event()
        self.may_take.set()
        self.in_hand = 0

    def start(self, *triggers: S3EventAssetTrigger) -> None:
        for trigger in triggers:
            self.payloads.setdefault(trigger.watcher, [])
            self.tasks[trigger.watcher] = asyncio.ensure_future(self._run(trigger, len(self.tasks)))

    async def _run(self, trigger: S3EventAssetTrigger, trigger_id: int) -> None:
        key = trigger.shared_stream_key()
        stream = self.manager.subscribe(trigger_id=trigger_id, trigger=trigger, key=key)
        try:
            self.generators.append(trigger.filter_shared_stream(stream))
            async for event in self.generators[-1]:
                self.in_hand += 1
                await self.may_take.wait()
                seq = self.manager.bind_pending_event(trigger_id=trigger_id, key=key)
                assert seq is not None
                self.seqs.append(seq)
                self.payloads[trigger.watcher].append(event.payload)
        finally:
            await self.manager.unsubscribe(trigger_id, key)

    def store(self) -> None:
        """As the next sync does."""
        self.manager.confirm_persisted(self.seqs)
        self.seqs = []

    def keys(self, watcher: str) -> list[str]:
        return [event["key"] for payload in self.payloads[watcher] for event in payload["s3_events"]]


@asynccontextmanager
async def running(*triggers: S3EventAssetTrigger) -> AsyncIterator[Runner]:
    runner = Runner()
    runner.start(*triggers)
    try:
        yield runner
    finally:
        for task in runner.tasks.values():
            task.cancel()
        await asyncio.gather(*runner.tasks.values(), return_exceptions=True)


async def until(probe: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.05)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for watchers that may join, and a roll in memory."""
    variables: dict[str, str] = {}
    monkeypatch.setattr("airflow_s3events.triggers.watching.source._JOIN_SECONDS", 0.1)
    monkeypatch.setattr("airflow_s3events.triggers.watching.roll._MEETINGS", 0)

    async def read(key: str) -> str | None:
        return variables.get(key)

    async def write(key: str, text: str, _: str) -> None:
        variables[key] = text

    monkeypatch.setattr("airflow_s3events.triggers.watching.roll.read_variable", read)
    monkeypatch.setattr("airflow_s3events.triggers.watching.roll.write_variable", write)
    monkeypatch.setattr(sessions, "_WATCHERS", {})


def counts(sqs: Any, queue: str) -> tuple[int, int]:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


def send(sqs: Any, queue: str, *keys: str) -> None:
    for key in keys:
        sqs.send_message(QueueUrl=queue, MessageBody=object_created_body("landing", key))


async def test_watchers_of_one_queue_share_one_consumer_and_each_gets_its_own(sqs: Any, queue: str) -> None:
    a = S3EventAssetTrigger(sqs_queue=queue, when=prefix("a/"), watcher="a")
    b = S3EventAssetTrigger(sqs_queue=queue, when=prefix("b/"), watcher="b")
    send(sqs, queue, "a/1", "b/1", "a/2")
    async with running(a, b) as runner:
        await until(lambda: len(runner.keys("a")) == 2 and len(runner.keys("b")) == 1)
        assert len(runner.manager._groups) == 1
        assert counts(sqs, queue) == (0, 3)
        runner.store()
        await until(lambda: counts(sqs, queue) == (0, 0))


async def test_nothing_is_deleted_while_airflow_has_not_stored_it(sqs: Any, queue: str) -> None:
    send(sqs, queue, "a/1")
    async with running(S3EventAssetTrigger(sqs_queue=queue, watcher="a")) as runner:
        await until(lambda: runner.keys("a"))
        await asyncio.sleep(4)
        assert counts(sqs, queue) == (0, 1)
    await until(lambda: counts(sqs, queue) == (1, 0))


async def test_a_watcher_removed_while_its_event_was_confirmed_has_its_message_again(
    sqs: Any, queue: str
) -> None:
    send(sqs, queue, "a/1")
    a = S3EventAssetTrigger(sqs_queue=queue, when=prefix("a/"), watcher="a")
    b = S3EventAssetTrigger(sqs_queue=queue, when=prefix("b/"), watcher="b")
    async with running(a, b) as runner:
        await until(lambda: runner.keys("a"))
        # Airflow's answer to one sync says both: that the event is stored, though the row was gone, and to
        # end the trigger.
        runner.tasks["a"].cancel()
        runner.store()
        await asyncio.sleep(3)
        assert sum(counts(sqs, queue)) == 1


async def test_a_watcher_that_is_cancelled_with_an_event_in_hand_is_gone_at_once(
    sqs: Any, queue: str
) -> None:
    """Its generator is left where it is: nobody may wait for that watcher any more."""
    async with running(S3EventAssetTrigger(sqs_queue=queue, watcher="a")) as runner:
        runner.may_take.clear()
        send(sqs, queue, "in/1")
        await until(lambda: runner.in_hand)
        runner.tasks["a"].cancel()
        await asyncio.gather(runner.tasks["a"], return_exceptions=True)
        runner.may_take.set()
        runner.start(S3EventAssetTrigger(sqs_queue=queue, watcher="a"))
        await until(lambda: runner.keys("a") == ["in/1"])
        runner.store()
        await until(lambda: counts(sqs, queue) == (0, 0))


async def test_a_pack_is_as_small_as_its_watcher_wants(sqs: Any, queue: str) -> None:
    send(sqs, queue, *(f"a/{number}" for number in range(7)))
    async with running(S3EventAssetTrigger(sqs_queue=queue, watcher="a", pack_count=3)) as runner:
        await until(lambda: len(runner.keys("a")) == 7)
        assert all(len(payload["s3_events"]) <= 3 for payload in runner.payloads["a"])
        runner.store()
        await until(lambda: counts(sqs, queue) == (0, 0))


async def test_a_queue_that_is_not_there_ends_no_watcher(sqs: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with running(S3EventAssetTrigger(sqs_queue="comes-late", watcher="a")) as runner:
        await until(lambda: "comes-late" in caplog.text)
        url = sqs.create_queue(QueueName="comes-late")["QueueUrl"]
        send(sqs, url, "a/1")
        await until(lambda: runner.keys("a") == ["a/1"])


async def test_a_predicate_that_is_not_here_is_named_at_the_start_and_its_events_are_kept(
    sqs: Any, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = prefix("in/") & predicate("not_on_triggerers:wanted")
    trigger = S3EventAssetTrigger(sqs_queue=queue, watcher="own", when=wanted, unmatched="discard")
    async with running(trigger):
        send(sqs, queue, "in/a", "out/b")
        await until(lambda: sum(counts(sqs, queue)) == 1)
    (line,) = [one for one in caplog.messages if "not_on_triggerers:wanted" in one and "kept until" in one]
    assert "when of watcher 'own'" in line
    assert sum(counts(sqs, queue)) == 1


@pytest.mark.parametrize("count", [1, 50])
def test_a_pack_crosses_to_airflow_s_supervisor_as_it_is(count: int) -> None:
    from airflow.jobs.triggerer_job_runner import TriggerEventEntry, messages

    trigger = S3EventAssetTrigger(sqs_queue="q", pack_count=1_000, pack_bytes=1_000_000)
    (event,) = trigger._events([PackedEvent.of(make_event(key=f"a/{number}")) for number in range(count)])
    sent = messages.TriggerStateChanges(events=[TriggerEventEntry(1, event, 1)]).model_dump()
    received = messages.TriggerStateChanges.model_validate(json.loads(json.dumps(sent)))
    assert received.events is not None
    assert received.events[0].event.payload == event.payload
