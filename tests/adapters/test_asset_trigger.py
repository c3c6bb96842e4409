"""``S3EventAssetTrigger``: what Airflow stores of it, and its poller on Airflow's own shared stream."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk import Asset, AssetAll, AssetAny
from airflow.serialization.encoders import encode_trigger
from airflow.triggers.base import BaseEventTrigger
from airflow.triggers.shared_stream import SharedStreamManager
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events import S3EventAssetTrigger, s3_event_asset
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import EventFilter, prefix, size, suffix
from airflow_s3events.testing import object_created_body
from airflow_s3events.triggers.watching import sessions
from tests.core.filter_strategies import filters

EVERY_ARGUMENT: dict[str, Any] = {
    "sqs_queue": "https://sqs.eu-west-1.amazonaws.com/1/q",
    "when": prefix("in/") & ~suffix(".tmp"),
    "watcher": "landing",
    "pack_count": 7,
    "pack_bytes": 9_999,
    "unmatched": "discard",
    "dead_letter_queue": "q-dead",
    "visibility_seconds": 60,
    "max_in_flight": 500,
    "aws_conn_id": None,
    "region_name": "eu-west-1",
    "verify": "/etc/bundle.pem",
    "botocore_config": {"retries": {"mode": "standard", "max_attempts": 3}, "connect_timeout": 5},
}


def hash_in_dag(trigger: S3EventAssetTrigger) -> int:
    """As Airflow hashes the trigger of a DAG that it has just parsed."""
    encoded = encode_trigger(trigger)
    return BaseEventTrigger.hash(encoded["classpath"], encoded["kwargs"])


def hash_in_database(trigger: S3EventAssetTrigger) -> int:
    """As Airflow hashes a row, which the DAG processor made of the serialized DAG."""
    encoded = json.loads(json.dumps(encode_trigger(trigger)))
    row = Trigger(classpath=encoded["classpath"], kwargs=encoded["kwargs"])
    return BaseEventTrigger.hash(row.classpath, row.kwargs)


def test_survives_airflow_s_own_storage_with_every_argument() -> None:
    trigger = S3EventAssetTrigger(**EVERY_ARGUMENT)
    row = Trigger.from_object(trigger)
    again = S3EventAssetTrigger(**row.kwargs)
    assert row.classpath == f"{S3EventAssetTrigger.__module__}.{S3EventAssetTrigger.__qualname__}"
    assert again.serialize() == trigger.serialize()
    assert again.serialize()[1]["v"] == 1


@given(filters)
def test_a_row_is_found_again_at_the_next_parse(when: EventFilter) -> None:
    trigger = S3EventAssetTrigger(**{**EVERY_ARGUMENT, "when": when})
    assert hash_in_dag(trigger) == hash_in_database(trigger)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (prefix("a") & suffix("b"), suffix("b") & prefix("a")),
        ({"prefix": "a", "suffix": ["b", "c"]}, {"suffix": ("c", "b"), "prefix": "a"}),
        (~~size(min_bytes=1, max_bytes=2), {"size": {"max_bytes": 2, "min_bytes": 1}}),
        (None, prefix("")),
    ],
)
def test_two_spellings_of_one_filter_are_one_trigger(one: Any, other: Any) -> None:
    triggers = [S3EventAssetTrigger(sqs_queue="q", when=when) for when in (one, other)]
    assert len({hash_in_dag(trigger) for trigger in triggers}) == 1
    assert len({hash_in_database(trigger) for trigger in triggers}) == 1


def test_the_order_of_a_botocore_configuration_does_not_matter() -> None:
    configs = [{"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}]
    triggers = [S3EventAssetTrigger(sqs_queue="q", botocore_config=config) for config in configs]
    assert len({hash_in_dag(trigger) for trigger in triggers}) == 1
    assert len({trigger.shared_stream_key() for trigger in triggers}) == 1


@pytest.mark.parametrize("name", sorted(EVERY_ARGUMENT))
def test_watchers_share_a_poller_unless_it_would_be_another(name: str) -> None:
    own = {"when", "watcher", "pack_count", "pack_bytes"}
    one = S3EventAssetTrigger(**EVERY_ARGUMENT)
    other = S3EventAssetTrigger(**{**EVERY_ARGUMENT, name: _OTHERS.get(name, "other")})
    assert (one.shared_stream_key() == other.shared_stream_key()) == (name in own)


_OTHERS: dict[str, Any] = {
    "when": None,
    "pack_count": 8,
    "pack_bytes": 2_000,
    "unmatched": "leave",
    "visibility_seconds": 90,
    "max_in_flight": 90,
    "botocore_config": None,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sqs_queue", ""),
        ("when", {"perfix": "a"}),
        ("watcher", "a,b"),
        ("pack_count", 0),
        ("pack_bytes", 1.5),
        ("visibility_seconds", 5),
        ("max_in_flight", True),
        ("unmatched", "drop"),
    ],
)
def test_a_setting_that_cannot_work_is_named_when_the_dag_is_parsed(name: str, value: Any) -> None:
    arguments = {**EVERY_ARGUMENT, name: value}
    del arguments["watcher"]
    with pytest.raises(ConfigurationError, match=name if name != "when" else "perfix"):
        s3_event_asset("a,b" if name == "watcher" else "landing", **arguments)


def test_an_asset_is_an_ordinary_asset() -> None:
    landing = s3_event_asset("landing", sqs_queue="q", asset_arguments={"uri": "s3://landing/", "group": "g"})
    other = s3_event_asset("other", sqs_queue="q")
    assert isinstance(landing & other, AssetAll)
    assert isinstance(landing | other, AssetAny)
    assert (landing.name, landing.uri, landing.group) == ("landing", "s3://landing/", "g")
    assert isinstance(landing, Asset)


class Runner:
    """What Airflow's triggerer does with watchers, with its own manager of shared streams."""

    def __init__(self) -> None:
        self.manager = SharedStreamManager()
        self.payloads: dict[str, list[Any]] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.seqs: list[int] = []
        self.is_storing = True

    def start(self, *triggers: S3EventAssetTrigger) -> None:
        for trigger in triggers:
            self.payloads.setdefault(trigger.watcher, [])
            self.tasks[trigger.watcher] = asyncio.ensure_future(self._run(trigger, len(self.tasks)))

    async def _run(self, trigger: S3EventAssetTrigger, trigger_id: int) -> None:
        key = trigger.shared_stream_key()
        stream = self.manager.subscribe(trigger_id=trigger_id, trigger=trigger, key=key)
        try:
            async for event in trigger.filter_shared_stream(stream):
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


async def test_watchers_of_one_queue_share_one_poller_and_each_gets_its_own(sqs: Any, queue: str) -> None:
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


async def test_what_airflow_logs_of_an_event_is_a_count(sqs: Any, queue: str) -> None:
    send(sqs, queue, "secret/key")
    trigger = S3EventAssetTrigger(sqs_queue=queue, watcher="a")
    (event,) = list(trigger._events([_packed("secret/key")]))
    assert repr(event) == str(event) == "PackEvent<1 object events>"


def _packed(key: str) -> Any:
    from airflow_s3events.packs import PackedEvent
    from tests.strategies import make_event

    return PackedEvent.of(make_event(key=key))


@given(st.integers(1, 50))
def test_a_pack_crosses_to_airflow_s_supervisor_as_it_is(count: int) -> None:
    from airflow.jobs.triggerer_job_runner import TriggerEventEntry, messages

    trigger = S3EventAssetTrigger(sqs_queue="q", pack_count=1_000, pack_bytes=1_000_000)
    (event,) = trigger._events([_packed(f"a/{number}") for number in range(count)])
    sent = messages.TriggerStateChanges(events=[TriggerEventEntry(1, event, 1)]).model_dump()
    received = messages.TriggerStateChanges.model_validate(json.loads(json.dumps(sent)))
    assert received.events is not None
    assert received.events[0].event.payload == event.payload
