"""From messages to what each watcher is given, and back: on a queue in memory, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airflow_s3events.exceptions import SkewedClockError
from airflow_s3events.filters import everything, predicate, prefix
from airflow_s3events.hauls import Haul, HaulSettings, HaulStream
from airflow_s3events.testing import (
    InMemoryQueue,
    object_created_body,
    object_record,
    records_body,
    test_event_body,
)
from airflow_s3events.watchers import Watcher, Watchers
from tests.core.consumer_fakes import consumer_of
from tests.core.haul_fakes import (
    Process,
    failed,
    never,
    play,
    queue_of,
    rejected,
    running,
    stored,
    with_dead_letters,
)


def test_every_watcher_is_given_what_it_wants_and_the_messages_go() -> None:
    async def scenario() -> None:
        queue = queue_of("a/1", "b/1", "a/2")
        process = Process(queue, a=prefix("a/"), all=everything)
        with running(process):
            await asyncio.sleep(10)
        assert process.given == dict.fromkeys(
            [("a", "a/1"), ("a", "a/2"), ("all", "a/1"), ("all", "b/1"), ("all", "a/2")], 1
        )
        assert len(queue) == 0

    play(scenario)


def test_nothing_is_deleted_before_it_is_stored() -> None:
    async def scenario() -> None:
        queue = queue_of("a/1")
        with running(Process(queue, resolve=never, a=everything)):
            await asyncio.sleep(3_000)
            assert len(queue) == 1
            assert queue.calls["delete"] == 0

    play(scenario)


def test_what_is_not_stored_is_kept_in_flight() -> None:
    async def scenario() -> None:
        process = Process(queue_of("a/1"), resolve=never, a=everything)
        with running(process):
            await asyncio.sleep(3_000)
        assert process.given.total() == 1

    play(scenario)


def test_a_message_goes_only_when_the_watchers_are_still_there_a_while_later() -> None:
    async def scenario() -> None:
        def removed_meanwhile(stream: HaulStream, haul: Haul) -> None:
            stream.resolve(haul)
            process.watchers.here.discard(process.names["a"])

        queue = queue_of("a/1", "b/1")
        process = Process(queue, resolve=removed_meanwhile, a=prefix("a/"), b=prefix("b/"))
        with running(process):
            await asyncio.sleep(30)
        (left,) = queue.peek()
        assert '"a/1"' in left.body

    play(scenario)


def test_a_watcher_that_never_had_its_share_has_not_stored_it() -> None:
    async def scenario() -> None:
        def passed_over(stream: HaulStream, haul: Haul) -> None:
            haul.given.clear()
            stream.resolve(haul)

        queue = queue_of("a/1")
        with running(Process(queue, resolve=passed_over, a=everything)):
            await asyncio.sleep(10)
        assert len(queue) == 1

    play(scenario)


def test_a_failed_haul_comes_again() -> None:
    async def scenario() -> None:
        queue = queue_of("a/1")
        process = Process(queue, resolve=failed, a=everything)
        with running(process):
            await asyncio.sleep(10)
            assert len(queue) == 1
            process.resolve = stored
            await asyncio.sleep(60)
        assert process.given["a", "a/1"] > 1
        assert len(queue) == 0

    play(scenario)


def test_a_rejected_haul_is_dead_lettered_with_the_reason() -> None:
    async def scenario() -> None:
        queue, dead = with_dead_letters("a/1")
        with running(Process(queue, resolve=rejected, a=everything)):
            await asyncio.sleep(10)
        assert len(queue) == 0
        (letter,) = dead.peek()
        assert letter.attributes["s3events.reason"] == "a watcher rejected it"

    play(scenario)


def test_a_message_for_several_watchers_goes_when_all_have_theirs() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        queue.put(records_body(object_record("landing", "a/1"), object_record("landing", "b/1")))
        process = Process(queue, resolve=never, a=prefix("a/"), b=prefix("b/"))
        with running(process):
            await asyncio.sleep(5)
            assert process.given == {("a", "a/1"): 1, ("b", "b/1"): 1}
            assert len(queue) == 1
            (haul,) = process.stream.under_way
            process.stream.resolve(haul)
            await asyncio.sleep(5)
            assert len(queue) == 0

    play(scenario)


@pytest.mark.parametrize(
    ("unmatched", "left", "dead"), [("leave", 1, 0), ("discard", 0, 0), ("dead-letter", 0, 1)]
)
def test_what_no_watcher_wants_has_a_stated_fate_and_is_counted(unmatched: Any, left: int, dead: int) -> None:
    async def scenario() -> None:
        queue, dead_letters = with_dead_letters("other")
        process = Process(queue, a=prefix("a/"))
        with running(process, unmatched=unmatched):
            await asyncio.sleep(50)
        assert (len(queue), len(dead_letters)) == (left, dead)
        assert process.stream.counts["unmatched"] == 1

    play(scenario)


def test_what_is_left_reaches_the_dead_letter_queue_by_the_redrive_policy_and_not_before_a_day() -> None:
    async def scenario() -> None:
        queue, dead = with_dead_letters("other")
        with running(Process(queue, a=prefix("a/"))):
            await asyncio.sleep(40_000)
            assert len(dead) == 0
            await asyncio.sleep(200_000)
        assert (len(queue), len(dead)) == (0, 1)

    play(scenario)


def test_a_body_that_cannot_be_read_is_dead_lettered_and_nobody_waits_for_it() -> None:
    async def scenario() -> None:
        queue, dead = with_dead_letters("a/1")
        queue.put("no JSON")
        process = Process(queue, a=everything)
        with running(process):
            await asyncio.sleep(10)
        assert (len(queue), len(dead)) == (0, 1)
        assert "not JSON" in dead.peek()[0].attributes["s3events.reason"]
        assert process.given.total() == 1

    play(scenario)


def test_a_bad_record_beside_a_good_one_is_dead_lettered_once_the_good_one_is_stored() -> None:
    async def scenario() -> None:
        queue, dead = with_dead_letters()
        queue.put(records_body({"s3": {}}, object_record("landing", "a/1")))
        process = Process(queue, a=everything)
        with running(process):
            await asyncio.sleep(10)
        assert process.given == {("a", "a/1"): 1}
        assert (len(queue), len(dead)) == (0, 1)

    play(scenario)


def test_without_a_dead_letter_queue_what_cannot_be_read_stays() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        queue.put("no JSON")
        with running(Process(queue, a=everything)):
            await asyncio.sleep(30)
        assert len(queue) == 1

    play(scenario)


def test_s3_s_test_event_is_deleted() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        queue.put(test_event_body("landing"))
        with running(Process(queue, a=everything)):
            await asyncio.sleep(5)
        assert len(queue) == 0

    play(scenario)


def test_a_watcher_that_cannot_tell_keeps_the_message_and_holds_up_nobody() -> None:
    async def scenario() -> None:
        queue = queue_of("a/1")
        process = Process(queue, a=everything, own=predicate("no.such:function"))
        with running(process):
            await asyncio.sleep(10)
        assert process.given == {("a", "a/1"): 1}
        assert len(queue) == 1

    play(scenario)


def test_many_messages_make_few_hauls() -> None:
    async def scenario() -> None:
        queue = queue_of(*(f"a/{number}" for number in range(2_000)))
        process = Process(queue, a=everything)
        with running(process):
            await asyncio.sleep(60)
        assert process.given.total() == 2_000
        assert len(process.sizes) < 20

    play(scenario)


def test_hauls_under_way_are_bounded() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        process = Process(queue, resolve=never, a=everything)
        with running(process, most_hauls=3):
            for number in range(10):
                queue.put(object_created_body("landing", f"a/{number}"))
                await asyncio.sleep(1)
            assert len(process.sizes) == 3

    play(scenario)


def test_a_kill_costs_repeats_and_no_loss() -> None:
    async def scenario() -> None:
        queue = queue_of(*(f"a/{number}" for number in range(50)))
        dying = Process(queue, resolve=never, a=everything)
        task = asyncio.ensure_future(dying.run())
        await asyncio.sleep(5)
        assert dying.given.total() == 50
        # A kill tells nobody: what is in flight stays hidden until its visibility timeout ends.
        for part in asyncio.all_tasks() - {asyncio.current_task()}:
            part.cancel()
        await asyncio.gather(task, return_exceptions=True)
        process = Process(queue, a=everything)
        with running(process):
            await asyncio.sleep(600)
        assert process.given.total() == 50
        assert len(queue) == 0

    play(scenario)


def test_what_cannot_be_handed_over_now_ends_the_hauls_and_comes_again() -> None:
    async def scenario() -> None:
        async def refuse() -> None:
            raise SkewedClockError("the clock is wrong")

        queue = queue_of("a/1")
        async with consumer_of(queue, None, idle_seconds=None) as consumer:
            watchers = Watchers()
            watchers.join(Watcher("a", everything))
            stream = HaulStream(consumer, watchers, HaulSettings())
            stream.ready = refuse
            with pytest.raises(SkewedClockError):
                await anext(stream.hauls())
            assert not stream.under_way
        assert (await queue.describe()).waiting == 1

    play(scenario)


def test_what_was_handed_over_before_nothing_may_be_is_settled_and_does_not_come_again() -> None:
    async def scenario() -> None:
        queue = queue_of("in/1")
        watchers = Watchers()
        watcher = Watcher("a", everything)
        watchers.join(watcher)
        is_wrong = False

        async def look() -> None:
            if is_wrong:
                raise SkewedClockError("the clock of this machine is 420 s behind that of AWS")

        async with consumer_of(queue, None, idle_seconds=None) as consumer:
            stream = HaulStream(consumer, watchers, HaulSettings())
            stream.ready = look
            hauls = stream.hauls()
            haul = await anext(hauls)
            haul.take(watcher)
            haul.note_given(watcher)
            is_wrong = True
            queue.put(object_created_body("landing", "in/2"))
            asyncio.get_running_loop().call_later(12, stored, stream, haul)
            with pytest.raises(SkewedClockError):
                await anext(hauls)
        assert ['"in/2"' in message.body for message in queue.peek()] == [True]

    play(scenario)


def test_a_wrong_clock_settles_nothing_that_nobody_here_wants() -> None:
    async def scenario() -> None:
        queue = queue_of("in/1")
        async with consumer_of(queue, None, idle_seconds=None) as consumer:
            stream = HaulStream(consumer, Watchers(), HaulSettings(unmatched="discard"))

            async def look() -> None:
                raise SkewedClockError("the clock of this machine is 7,200 s ahead of that of AWS")

            stream.ready = look
            with pytest.raises(SkewedClockError):
                await anext(stream.hauls())
        assert len(queue) == 1

    play(scenario)
