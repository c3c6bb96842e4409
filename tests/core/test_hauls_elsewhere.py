"""Watchers of one queue that run in several triggerers, or in none just now."""

from __future__ import annotations

import asyncio

import pytest

from airflow_s3events.filters import everything, prefix
from airflow_s3events.testing import InMemoryQueue, object_record, records_body
from airflow_s3events.watchers import Watcher
from tests.core.haul_fakes import Process, play, queue_of, running, with_dead_letters


def test_watchers_of_two_triggerers_all_get_theirs() -> None:
    async def scenario() -> None:
        keys = [f"{which}/{number}" for which in "ab" for number in range(20)]
        queue = queue_of(*keys)
        one = Process(queue, a=prefix("a/"), all=everything)
        two = Process(queue, b=prefix("b/"), every=everything)
        for process, other in ((one, two), (two, one)):
            process.watchers.told({name: watcher.when for name, watcher in other.names.items()})
        with running(one, two):
            await asyncio.sleep(600)
        given = one.given + two.given
        wanted = [(name, key) for key in keys for name in ("all", "every", key[0])]
        assert given == dict.fromkeys(wanted, 1)
        assert len(queue) == 0

    play(scenario)


def test_what_is_owed_to_a_watcher_waits_until_it_is_back() -> None:
    async def scenario() -> None:
        queue = queue_of("b/1")
        process = Process(queue, a=everything)
        process.watchers.told({"b": prefix("b/")})
        with running(process):
            await asyncio.sleep(20)
            assert process.given == {("a", "b/1"): 1}
            assert len(queue) == 1
            late = Watcher("b", prefix("b/"))
            process.watchers.join(late)
            await asyncio.sleep(600)
        assert process.given == {("a", "b/1"): 1, ("b", "b/1"): 1}
        assert len(queue) == 0

    play(scenario)


def test_what_meets_the_wrong_triggerer_time_and_again_stays_out_of_the_dead_letter_queue() -> None:
    async def scenario() -> None:
        queue, dead = with_dead_letters("b/1")
        process = Process(queue, a=prefix("a/"))
        process.watchers.told({"b": prefix("b/")})
        with running(process):
            await asyncio.sleep(900)
            assert (len(queue), len(dead)) == (1, 0)
            process.watchers.join(Watcher("b", prefix("b/")))
            await asyncio.sleep(15)
        assert process.given == {("b", "b/1"): 1}
        assert (len(queue), len(dead)) == (0, 0)

    play(scenario)


def test_what_is_owed_to_a_watcher_that_nobody_sees_is_asked_for_ever_less_often() -> None:
    async def scenario() -> None:
        calls = {}
        for absent in ((), ("b",)):
            queue, _ = with_dead_letters("b/1")
            process = Process(queue, a=prefix("a/"))
            process.watchers.told({"b": prefix("b/")}, absent=absent)
            with running(process):
                await asyncio.sleep(900)
            calls[absent] = queue.calls["change_visibility"]
        assert calls["b",] < 15 < calls[()]

    play(scenario)


@pytest.mark.parametrize("unmatched", ["leave", "dead-letter"])
def test_a_copy_whose_watcher_is_forgotten_is_no_more_deleted_in_silence_than_what_nobody_wants(
    unmatched: str,
) -> None:
    async def scenario() -> None:
        queue, dead = with_dead_letters("b/1")
        process = Process(queue, a=everything)
        process.watchers.told({"b": prefix("b/")}, absent=("b",))
        with running(process, unmatched=unmatched):
            await asyncio.sleep(3_600)
            process.watchers.told({})
            await asyncio.sleep(3 * 24 * 3_600)
        assert process.given == {("a", "b/1"): 1}
        assert (len(queue), len(dead)) == (0, 1)

    play(scenario)


def test_the_parts_of_a_copy_that_nobody_else_wanted_keep_it_from_nothing() -> None:
    async def scenario() -> None:
        queue, dead = with_dead_letters()
        queue.put(records_body(object_record("landing", "a/1"), object_record("landing", "b/1")))
        process = Process(queue, a=prefix("a/"))
        process.watchers.told({"b": prefix("b/")})
        with running(process):
            await asyncio.sleep(20)
            process.watchers.join(Watcher("b", prefix("b/")))
            await asyncio.sleep(600)
        assert process.given == {("a", "a/1"): 1, ("b", "b/1"): 1}
        assert (len(queue), len(dead)) == (0, 0)

    play(scenario)


def test_a_message_that_was_passed_on_keeps_its_identity() -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        body = records_body({**object_record("landing", "b/1"), "responseElements": {}})
        queue.put(body.replace('"sequencer"', '"none"'))
        process = Process(queue, a=everything)
        process.watchers.told({"b": prefix("b/")})
        origin = queue.peek()[0].message_id
        with running(process):
            await asyncio.sleep(5)
        (copy,) = queue.peek()
        assert copy.message_id != origin
        assert copy.delivery_id == origin

    play(scenario)
