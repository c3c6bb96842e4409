"""A watch in virtual time: a bucket and a queue in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from airflow_s3events.arrival_watch import ArrivalWatch
from airflow_s3events.arrivals import Awaited, Keys, Objects
from airflow_s3events.exceptions import OutageError
from airflow_s3events.looks import Location, Seen
from airflow_s3events.testing import InMemoryQueue, bodies, run_in_virtual_time
from airflow_s3events.testing.virtual_time import now
from airflow_s3events.wake_ups import ForeignQueue, OwnQueue, Pause, WakeUp
from tests.core.arrival_fakes import InMemoryBucket

KEY = Keys((Location("b", "wanted"),))
Scenario = Callable[[], Coroutine[Any, Any, None]]


def created(key: str) -> str:
    return bodies.object_created_body("b", key)


def watch_of(
    bucket: Any,
    wake_up: WakeUp,
    awaited: Awaited = KEY,
    *,
    seconds: float = 600.0,
    poke_seconds: float = 60.0,
) -> ArrivalWatch:
    async def open_wake_up() -> WakeUp:
        return wake_up

    return ArrivalWatch(
        awaited, bucket, open_wake_up, poke_seconds=poke_seconds, until=now() + seconds, now=now
    )


def own(queue: InMemoryQueue, awaited: Awaited = KEY, *, is_shared: bool = False) -> OwnQueue:
    return OwnQueue(queue, awaited, is_shared=is_shared, now=now)


def in_virtual_time(scenario: Scenario) -> Callable[[], None]:
    def test() -> None:
        run_in_virtual_time(scenario())

    test.__name__ = scenario.__name__
    return test


async def upload(bucket: InMemoryBucket, queue: InMemoryQueue | None, key: str, after: float) -> None:
    """Put an object after so many seconds; S3 notifies the queue."""
    await asyncio.sleep(after)
    bucket.put(key)
    if queue is not None:
        queue.put(created(key))


async def seconds_of(watching: Awaitable[Seen], *others: Awaitable[None]) -> tuple[Seen, float]:
    """Run a watch and others beside it; what it saw, and after how many seconds."""
    began = now()
    tasks = [asyncio.ensure_future(other) for other in others]
    seen = await watching
    took = now() - began
    await asyncio.gather(*tasks)
    return seen, took


@in_virtual_time
async def test_an_object_that_came_before_is_found_at_once_and_nothing_is_opened() -> None:
    bucket = InMemoryBucket()
    bucket.put("wanted")

    async def open_nothing() -> WakeUp:
        raise AssertionError

    watch = ArrivalWatch(KEY, bucket, open_nothing, poke_seconds=60, until=now() + 600, now=now)
    seen, took = await seconds_of(watch.run())
    assert (seen.has_arrived, took) == (True, 0)


@in_virtual_time
async def test_without_a_queue_it_looks_at_every_interval() -> None:
    bucket = InMemoryBucket()
    seen, took = await seconds_of(watch_of(bucket, Pause()).run(), upload(bucket, None, "wanted", 130))
    assert (seen.has_arrived, took, len(bucket.questions)) == (True, 180, 4)


@in_virtual_time
async def test_it_looks_a_last_time_when_time_is_up() -> None:
    bucket = InMemoryBucket()
    watch = watch_of(bucket, Pause(), seconds=100)
    seen, took = await seconds_of(watch.run(), upload(bucket, None, "wanted", 99))
    assert (seen.has_arrived, took) == (True, 100)


@in_virtual_time
async def test_what_is_missing_when_time_is_up_is_said() -> None:
    seen, took = await seconds_of(watch_of(InMemoryBucket(), Pause(), seconds=100).run())
    assert (seen.missing, took) == ("s3://b/wanted", 100)


def test_what_is_missing_is_logged_when_it_changes_only(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        bucket = InMemoryBucket()
        watch = watch_of(bucket, Pause(), Objects("b", count=2))
        await seconds_of(watch.run(), upload(bucket, None, "x", 200))

    caplog.set_level(logging.INFO)
    run_in_virtual_time(scenario())
    assert caplog.messages == [
        "Still to come: 2 of 2 objects under s3://b/",
        "Still to come: 1 of 2 objects under s3://b/",
    ]


# A queue of its own


@in_virtual_time
async def test_a_message_in_its_own_queue_wakes_it_at_once_and_is_deleted() -> None:
    bucket, queue = InMemoryBucket(), InMemoryQueue()
    seen, took = await seconds_of(watch_of(bucket, own(queue)).run(), upload(bucket, queue, "wanted", 45))
    assert (seen.has_arrived, took, len(queue)) == (True, 45, 0)


@in_virtual_time
async def test_events_of_other_objects_cost_no_look_and_are_deleted() -> None:
    bucket, queue = InMemoryBucket(), InMemoryQueue()
    others = [upload(bucket, queue, f"other-{number}", number) for number in range(50)]
    await seconds_of(watch_of(bucket, own(queue), seconds=50).run(), *others)
    assert len(bucket.questions) == 2
    assert len(queue) == 0


@in_virtual_time
async def test_an_idle_queue_of_its_own_is_asked_three_times_a_minute() -> None:
    queue = InMemoryQueue()
    await watch_of(InMemoryBucket(), own(queue), seconds=3600).run()
    assert queue.calls["receive"] <= 180


@in_virtual_time
async def test_a_burst_shares_one_look_a_second() -> None:
    bucket, queue = InMemoryBucket(page_size=1000), InMemoryQueue()
    awaited = Objects("b", count=301)
    burst = [upload(bucket, queue, f"k{number:03}", number / 100) for number in range(300)]
    watch = watch_of(bucket, own(queue, awaited), awaited, seconds=30)
    await seconds_of(watch.run(), *burst)
    assert len(bucket.questions) <= 7
    assert len(queue) == 0


@in_virtual_time
async def test_a_message_is_deleted_only_after_the_look_that_it_asked_for() -> None:
    bucket, queue = InMemoryBucket(), InMemoryQueue()

    class Sees:
        left: int | None = None

        async def look(self, awaited: Awaited, first: Location | None = None) -> Seen:
            self.left = len(queue)
            return bucket.seen(awaited, first)

    sees = Sees()
    await seconds_of(watch_of(sees, own(queue)).run(), upload(bucket, queue, "wanted", 5))
    assert (sees.left, len(queue)) == (1, 0)


@in_virtual_time
async def test_a_message_whose_look_failed_is_not_deleted() -> None:
    queue = InMemoryQueue()

    class Away:
        looks = 0

        async def look(self, awaited: Awaited, first: Location | None = None) -> Seen:
            self.looks += 1
            if self.looks > 1:
                raise OutageError("away")
            return InMemoryBucket().seen(awaited, first)

    queue.put(created("wanted"))
    with pytest.raises(OutageError):
        await watch_of(Away(), own(queue)).run()
    assert len(queue) == 1


@in_virtual_time
async def test_a_delete_wakes_too_since_it_may_have_been_of_a_delete_marker() -> None:
    bucket, queue = InMemoryBucket(), InMemoryQueue()

    async def undelete() -> None:
        await asyncio.sleep(7)
        bucket.put("wanted")
        record = bodies.object_record("b", "wanted", event_name="ObjectRemoved:Delete")
        queue.put(bodies.records_body(record))

    _, took = await seconds_of(watch_of(bucket, own(queue)).run(), undelete())
    assert took == 7


def test_what_is_no_event_is_deleted_from_its_own_queue_and_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        queue.put("no event")
        queue.put(bodies.test_event_body("b"))
        await watch_of(InMemoryBucket(), own(queue), seconds=5).run()
        assert len(queue) == 0

    run_in_virtual_time(scenario())
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "is no S3 event and is deleted" in line


@in_virtual_time
async def test_it_finds_the_object_though_its_queue_is_away() -> None:
    bucket, queue = InMemoryBucket(), InMemoryQueue()
    queue.faults.fail("receive", times=1)
    with pytest.raises(OutageError):
        await watch_of(bucket, own(queue)).run()
    bucket.put("wanted")
    queue.faults.fail("receive", times=10_000)
    assert (await watch_of(bucket, own(queue)).run()).has_arrived


# A queue of several sensors


@in_virtual_time
async def test_two_sensors_on_one_queue_leave_each_other_s_messages() -> None:
    bucket, queue = InMemoryBucket(), InMemoryQueue()
    other = Keys((Location("b", "other"),))
    watches = [
        seconds_of(
            watch_of(
                bucket, own(queue, awaited, is_shared=True), awaited, poke_seconds=3600, seconds=3000
            ).run()
        )
        for awaited in (KEY, other)
    ]
    uploads = asyncio.gather(upload(bucket, queue, "wanted", 100), upload(bucket, queue, "other", 101))
    for seen, took in await asyncio.gather(*watches):
        assert seen.has_arrived
        # Received by the wrong one, a message is hidden for half a minute.
        assert took <= 101 + 31
    await uploads
    assert len(queue) == 0


@in_virtual_time
async def test_on_a_queue_of_several_sensors_other_messages_are_left() -> None:
    queue = InMemoryQueue()
    both = bodies.records_body(bodies.object_record("b", "wanted"), bodies.object_record("b", "other"))
    left = [created("other"), "no event", both]
    for body in (*left, bodies.test_event_body("b"), created("wanted")):
        queue.put(body)
    await watch_of(InMemoryBucket(), own(queue, is_shared=True), seconds=10).run()
    assert [message.body for message in queue.peek()] == left


# A queue that somebody else reads


@in_virtual_time
async def test_a_change_of_the_counts_of_a_foreign_queue_wakes_it_and_costs_no_receive() -> None:
    bucket, queue = InMemoryBucket(), InMemoryQueue()
    watch = watch_of(bucket, ForeignQueue(queue, now))
    seen, took = await seconds_of(watch.run(), upload(bucket, queue, "wanted", 45))
    assert seen.has_arrived
    assert took <= 47
    assert (len(queue), queue.calls["receive"]) == (1, 0)


@in_virtual_time
async def test_what_the_reader_of_a_foreign_queue_takes_at_once_is_found_at_the_next_interval() -> None:
    bucket, queue = InMemoryBucket(), InMemoryQueue()

    async def dispatcher() -> None:
        (message,) = await queue.receive(wait_seconds=20, visibility_seconds=30)
        await queue.delete([message])

    watch = watch_of(bucket, ForeignQueue(queue, now))
    seen, took = await seconds_of(watch.run(), dispatcher(), upload(bucket, queue, "wanted", 9.5))
    assert (seen.has_arrived, took) == (True, 60)


@in_virtual_time
async def test_a_foreign_queue_with_a_backlog_that_does_not_change_wakes_nobody() -> None:
    bucket, queue = InMemoryBucket(), InMemoryQueue()
    for number in range(20):
        queue.put(created(f"other-{number}"))
    await watch_of(bucket, ForeignQueue(queue, now), seconds=120).run()
    assert len(bucket.questions) == 3
    assert {message.receive_count for message in queue.peek()} == {0}
