"""A run is noted of many events in many writes: whoever comes between two of them finds one run for each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import pytest

from airflow_s3events.enrich import events_in
from airflow_s3events.exceptions import LedgerOutageError
from airflow_s3events.ledger import Decision, Ledger, MemoryStore
from airflow_s3events.ledger.store import Document
from airflow_s3events.messages import Message
from airflow_s3events.routing import Batch
from tests.core.batch_fakes import BY, World, upload
from tests.core.test_dispatch import NOW, message, record


class KilledError(BaseException):
    """The process is gone."""


class Written(MemoryStore):
    """Notes of runs written one by one, as by DynamoDB, or a call at a time, as by a database.

    ``halt`` is called once, before the write of such notes that comes at ``at``, from 1.
    """

    def __init__(self, halt: Callable[[], Awaitable[None]], at: int, *, is_single: bool = True) -> None:
        super().__init__()
        self._halt = halt
        self._left = at
        self._is_single = is_single

    async def write(self, documents: Sequence[Document]) -> set[str]:
        refused: set[str] = set()
        for some in [[one] for one in documents] if self._is_single else [documents]:
            if any(map(_is_note_of_a_run, some)):
                self._left -= 1
                if self._left == 0:
                    await self._halt()
            refused |= await super().write(some)
        return refused


def _is_note_of_a_run(document: Document) -> bool:
    return document.name.startswith("event/") and document.body["what"] == "started"


async def killed() -> None:
    raise KilledError


async def throttled() -> None:
    raise LedgerOutageError("throttled")


def world_of(store: MemoryStore, batch: Batch) -> World:
    world = World(batch)
    world.store = store
    world.ledger = Ledger(store, now=lambda: NOW + world.seconds)
    world.start(batch)
    return world


def items_of(world: World) -> dict[str, int]:
    """How many runs each object is in."""
    keys = (event["key"] for conf in world.runs.confs.values() for event in conf["s3_events"])
    return Counter(key.rpartition("/")[2] for key in keys)


def copy_of(name: str, number: int) -> Message:
    """S3's second message of what ``upload(number, name)`` is the first of."""
    first = upload(number, name)
    return Message(
        message_id=f"copy {number}", receipt_handle="secret", body=first.body, sent_at=first.sent_at
    )


@pytest.mark.parametrize("at", [1, 2, 3])
async def test_after_a_kill_between_two_notes_of_a_run_what_was_not_noted_is_in_no_other_run(
    at: int,
) -> None:
    batch = Batch(by=BY, count=3, idle_seconds=60)
    world = world_of(Written(killed, at), batch)
    uploads = (upload(1, "a"), upload(2, "b"), upload(3, "c"))
    with pytest.raises(KilledError):
        await world.dispatch(*uploads)
    world.start(batch)
    for one in uploads:
        await world.dispatch(one)
        assert set(world.fates.values()) == {"acknowledged"}
    await world.dispatch(after=61)
    assert items_of(world) == {"a": 1, "b": 1, "c": 1}


async def test_after_an_outage_between_two_notes_of_a_run_a_copy_finds_the_run_of_its_event() -> None:
    world = world_of(Written(throttled, 2), Batch(by=BY, count=2, idle_seconds=60))
    await world.dispatch(upload(1, "a"), upload(2, "b"))
    assert world.fates == {"m1": "acknowledged", "m2": "acknowledged"}
    await world.dispatch(copy_of("a", 1), copy_of("b", 2))
    await world.dispatch(after=61)
    assert items_of(world) == {"a": 1, "b": 1}


async def test_of_hundreds_of_events_noted_by_two_transactions_none_is_in_two_runs() -> None:
    batch = Batch(by=BY, count=400, idle_seconds=60)
    world = world_of(Written(killed, 2, is_single=False), batch)
    uploads = [
        message(record(f"in/2026-01-01/{number}", f"0066A1B2C3D4E5{number:04X}"), number=number)
        for number in range(400)
    ]
    with pytest.raises(KilledError):
        await world.dispatch(*uploads)
    world.start(batch)
    for first in range(0, 400, 50):
        await world.dispatch(*uploads[first : first + 50])
    await world.dispatch(after=61)
    assert items_of(world) == {str(number): 1 for number in range(400)}
    assert len(world.runs.confs) == 1


async def test_a_new_event_beside_a_copy_of_one_that_is_being_noted_has_its_run() -> None:
    is_between, goes_on = asyncio.Event(), asyncio.Event()

    async def waits() -> None:
        is_between.set()
        await goes_on.wait()

    batch = Batch(by=BY, count=3, idle_seconds=60)
    world = world_of(Written(waits, 2), batch)
    uploads = [upload(1, "a"), upload(2, "b"), upload(3, "c")]
    slow = asyncio.ensure_future(world.dispatcher.dispatch(uploads))
    await is_between.wait()
    world.start(batch)
    await world.dispatch(copy_of("a", 1))
    await world.dispatch(copy_of("b", 2))
    await world.dispatch(copy_of("c", 3), upload(4, "d"))
    goes_on.set()
    await slow
    await world.dispatch(after=61)
    assert items_of(world) == {"a": 1, "b": 1, "c": 1, "d": 1}


async def test_what_has_another_run_is_left_out_and_the_others_have_theirs() -> None:
    world = World(Batch(by=BY, idle_seconds=60))
    await world.dispatch(upload(1, "a"), upload(2, "b"))
    (event,) = events_in([upload(1, "a")], None)
    other = Decision(event=event, what="started", dag_id="process", run_id="another")
    await world.ledger.record([other])
    await world.dispatch(after=61)
    assert items_of(world) == {"b": 1}
    assert world.fates == {"m1": "acknowledged", "m2": "acknowledged"}
    (entry,) = await world.ledger.history("landing", "in/2026-01-01/a")
    assert entry.run_id == "another"
