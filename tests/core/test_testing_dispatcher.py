"""Bucket, runs and dispatcher in memory, as users' tests have them."""

# ruff: noqa: F401, F811 - fixtures are found by their names

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_s3events import Route, Routes
from airflow_s3events.bucket_notifications.event_types import EVENT_TYPES
from airflow_s3events.envelopes import parse_body
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import prefix, restored
from airflow_s3events.settlement import RunState
from airflow_s3events.testing import (
    Clock,
    InMemoryBucket,
    InMemoryDispatcher,
    InMemoryQueue,
    event_body,
    eventbridge_body,
    object_event,
)
from airflow_s3events.testing.pytest_plugin import (
    s3_bucket,
    s3_clock,
    s3_dead_letter_queue,
    s3_dispatcher,
    s3_queue,
)

SINGLE_TYPES = sorted(name.removeprefix("s3:") for name in EVENT_TYPES if not name.endswith("*"))
PAYLOADS = Path(__file__).parents[1] / "payloads"
#: S3 does not send these to EventBridge.
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html
BEYOND_EVENTBRIDGE = {"ReducedRedundancyLostObject", "ObjectRetention:Put"}


# Builders


@pytest.mark.parametrize("event_type", SINGLE_TYPES)
def test_an_event_of_each_type_is_read_as_it_was_asked_for(event_type: str) -> None:
    event = object_event(event_type, "landing", "in/räum +1%.csv")
    assert (event.event_type, event.bucket, event.key) == (event_type, "landing", "in/räum +1%.csv")


@pytest.mark.parametrize("event_type", SINGLE_TYPES)
def test_eventbridge_says_the_same_or_is_not_told(event_type: str) -> None:
    if event_type in BEYOND_EVENTBRIDGE or event_type.startswith("Replication"):
        with pytest.raises(ConfigurationError, match="does not send"):
            eventbridge_body(event_type, "landing", "a b")
        return
    (event,) = parse_body(eventbridge_body(event_type, "landing", "a b")).events
    assert (event.event_type, event.key, event.envelope) == (event_type, "a b", "eventbridge")


@pytest.mark.parametrize(
    ("event_type", "payload"),
    [
        ("ObjectCreated:Put", "put.json"),
        ("ObjectRemoved:Delete", "delete.json"),
        ("ObjectRemoved:DeleteMarkerCreated", "delete-marker.json"),
        ("ObjectTagging:Put", "tags.json"),
        ("ObjectRestore:Completed", "restore-completed.json"),
    ],
)
def test_a_built_record_has_the_members_of_a_recorded_one(event_type: str, payload: str) -> None:
    recorded = json.loads((PAYLOADS / payload).read_text())["Records"][0]
    built = json.loads(event_body(event_type, "landing", "a"))["Records"][0]
    assert recorded["eventName"].removeprefix("s3:") == event_type
    assert set(built["s3"]["object"]) - {"versionId"} == set(recorded["s3"]["object"]) - {"versionId"}
    assert set(built) == set(recorded)


@pytest.mark.parametrize(
    "event_type", ["ObjectCreated:*", "ObjectCreated", "s3:TestEvent", "objectcreated:put"]
)
def test_what_is_no_single_type_is_refused_by_name(event_type: str) -> None:
    with pytest.raises(ConfigurationError, match="event_type"):
        event_body(event_type, "landing", "a")


def test_a_type_may_have_its_prefix() -> None:
    assert object_event("s3:ObjectCreated:Copy", "landing", "a").event_type == "ObjectCreated:Copy"


# Bucket


def test_a_bucket_sends_what_happens_to_its_objects(
    s3_bucket: InMemoryBucket, s3_queue: InMemoryQueue
) -> None:
    s3_bucket.put_object("a", b"123")
    s3_bucket.delete_object("a")
    s3_bucket.send_event("ObjectTagging:Put", "a")
    events = [event for message in s3_queue.peek() for event in parse_body(message.body).events]
    assert [event.event_type for event in events] == [
        "ObjectCreated:Put",
        "ObjectRemoved:DeleteMarkerCreated",
        "ObjectTagging:Put",
    ]
    assert events[0].size == 3
    assert len({event.version_id for event in events}) == 3
    assert s3_bucket.objects == {}


def test_a_bucket_without_versions_sends_none_and_a_plain_delete() -> None:
    queue = InMemoryQueue()
    bucket = InMemoryBucket("landing", queue)
    bucket.put_object("a", b"1")
    bucket.delete_object("a")
    events = [event for message in queue.peek() for event in parse_body(message.body).events]
    assert [(event.event_type, event.version_id) for event in events] == [
        ("ObjectCreated:Put", None),
        ("ObjectRemoved:Delete", None),
    ]


# Dispatcher


def test_each_object_starts_one_run_and_the_queue_is_empty_then(
    s3_bucket: InMemoryBucket,
    s3_queue: InMemoryQueue,
    s3_dispatcher: InMemoryDispatcher,
) -> None:
    for number in range(25):
        s3_bucket.put_object(f"in/{number}")
    runs = s3_dispatcher.dispatch("load")
    assert sorted(run.event.key for run in runs) == sorted(f"in/{number}" for number in range(25))
    assert len(s3_queue) == 0
    assert s3_dispatcher.dispatch("load") == []


def test_a_dag_that_is_missing_gets_its_run_once_it_is_there(
    s3_bucket: InMemoryBucket,
    s3_clock: Clock,
    s3_dispatcher: InMemoryDispatcher,
) -> None:
    s3_dispatcher.runs.missing.add("load")
    s3_bucket.put_object("a")
    assert s3_dispatcher.dispatch("load") == []
    s3_dispatcher.runs.missing.clear()
    s3_clock.advance(3600)
    assert [run.dag_id for run in s3_dispatcher.dispatch("load")] == ["load"]


def test_a_body_that_is_no_event_is_a_dead_letter(
    s3_queue: InMemoryQueue,
    s3_dead_letter_queue: InMemoryQueue,
    s3_dispatcher: InMemoryDispatcher,
) -> None:
    s3_queue.put("not JSON")
    assert s3_dispatcher.dispatch("load") == []
    assert [message.body for message in s3_dead_letter_queue.peek()] == ["not JSON"]


def test_routes_of_a_dag_are_those_of_its_dispatching_task(
    s3_bucket: InMemoryBucket,
    s3_dispatcher: InMemoryDispatcher,
) -> None:
    class Task:
        routes = Routes([Route(dag_id="orders", when=prefix("orders/"))])

    class Dag:
        tasks = (object(), Task())

    s3_bucket.put_object("orders/a")
    s3_bucket.put_object("other")
    assert [run.dag_id for run in s3_dispatcher.dispatch(Dag())] == ["orders"]


async def test_runs_in_memory_are_counted_by_state(s3_dispatcher: InMemoryDispatcher) -> None:
    runs = s3_dispatcher.runs
    assert await runs.create("load", "one", {})
    assert not await runs.create("load", "one", {})
    assert await runs.create("load", "two", {})
    runs.started["load", "two"].state = RunState.SUCCESS
    assert await runs.count("load", ["one", "two", "three"], [RunState.SUCCESS]) == 1
    assert await runs.count_queued("load") == 1
    await runs.clear("load", "two", {})
    assert await runs.count_queued("load") == 2
    assert await runs.count_active("load") == 2


@pytest.mark.parametrize("payload", ["restore-completed.json", "eventbridge-restore-completed.json"])
def test_a_restored_object_starts_its_run_and_a_restore_that_has_begun_does_not(payload: str) -> None:
    clock = Clock()
    queue = InMemoryQueue(clock=clock)
    queue.put((PAYLOADS / payload).read_text())
    queue.put(event_body("ObjectRestore:Post", "landing-zone", "cold/a.tar"))
    (run,) = InMemoryDispatcher(queue, clock).dispatch({"use_restored": restored})
    assert run.event.event_type == "ObjectRestore:Completed"
    assert len(queue) == 0
