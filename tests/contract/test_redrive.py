"""Dead letters looked at, sent back, parked and purged: in memory and on two emulators of SQS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from airflow_s3events.consumer import Queue
from airflow_s3events.dead_letters import Criteria
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.messages import Message
from airflow_s3events.redrive import DeadLetterQueue, only_source
from airflow_s3events.sqs import SqsQueue
from airflow_s3events.testing.bodies import object_created_body
from tests.contract.conftest import MakeQueue

BAD = {"s3events.reason": "no S3 event"}
REFUSED = {"s3events.reason": "DAG not found", "s3events.dag_id": "load"}


async def fill(queue: Queue, bad: int = 2, refused: int = 3) -> DeadLetterQueue:
    for number in range(bad):
        await queue.send(f"bad {number}", attributes=BAD)
    for number in range(refused):
        await queue.send(object_created_body("landing", f"in/{number}.csv"), attributes=REFUSED)
    return DeadLetterQueue(queue=queue, idle_seconds=1.0)


async def read(queue: Queue) -> list[Message]:
    """Receive all that is visible, and leave it so."""
    found: list[Message] = []
    while got := await queue.receive(wait_seconds=1, visibility_seconds=20):
        found += got
    for message in found:
        await queue.change_visibility([(message, 0)])
    return found


def bodies(messages: Sequence[Message]) -> set[str]:
    return {message.body for message in messages}


async def test_a_look_returns_what_is_meant_and_gives_all_back(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    letters = await fill(queue)

    found, report = await letters.look(Criteria(dag_id="load"))

    assert {letter.events[0].key for letter in found} == {"in/0.csv", "in/1.csv", "in/2.csv"}
    assert (report.looked_at, report.matched, report.done) == (5, 3, 0)
    counts = await queue.describe()
    assert (counts.waiting, counts.in_flight) == (5, 0)


async def test_a_look_costs_one_receive(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    letters = await fill(queue, bad=1, refused=0)
    await letters.look()

    assert [message.receive_count for message in await read(queue)] == [2]


async def test_a_look_takes_no_more_than_asked_for(make_queue: MakeQueue) -> None:
    letters = await fill(await make_queue(), bad=12, refused=0)
    found, _ = await letters.look(most=3)
    assert len(found) == 3


async def test_a_replay_sends_what_is_meant_with_the_next_attempt_and_deletes(
    make_queue: MakeQueue,
) -> None:
    dead, main = await make_queue(), await make_queue()
    letters = await fill(dead)

    report = await letters.replay(main, Criteria(reason="dag not found"))

    sent = await read(main)
    assert len(sent) == report.done == 3
    assert {message.attempt for message in sent} == {1}
    assert bodies(await read(dead)) == {"bad 0", "bad 1"}


async def test_a_dry_run_changes_nothing(make_queue: MakeQueue) -> None:
    dead, main = await make_queue(), await make_queue()
    letters = await fill(dead)

    reports = [await letters.replay(main, dry_run=True), await letters.purge(dry_run=True)]

    assert [(report.matched, report.done) for report in reports] == [(5, 0), (5, 0)]
    assert len(await read(dead)) == 5
    assert await read(main) == []


async def test_a_copy_that_sqs_refuses_leaves_its_letter(make_queue: MakeQueue) -> None:
    dead, main = await make_queue(), await make_queue()
    await dead.send("fits", attributes={"a..b": "not a name that sqs takes everywhere"[:3]})
    letters = DeadLetterQueue(queue=dead, idle_seconds=1.0)

    class Refusing:
        describe = main.describe

        async def send(self, *_: object, **__: object) -> str:
            raise ConfigurationError("SQS refuses it")

    report = await letters.replay(Refusing())  # type: ignore[arg-type]

    assert list(report.refused.values()) == ["SQS refuses it"]
    assert report.done == 0
    assert bodies(await read(dead)) == {"fits"}


async def test_a_replay_can_be_slow(make_queue: MakeQueue) -> None:
    dead, main = await make_queue(), await make_queue()
    letters = await fill(dead, bad=0, refused=3)
    started = time.monotonic()

    await letters.replay(main, max_per_second=5.0)

    assert time.monotonic() - started >= 0.6
    assert len(await read(main)) == 3


async def test_a_queue_is_not_its_own_destination(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    letters = await fill(queue, bad=1, refused=0)
    with pytest.raises(ConfigurationError, match="itself"):
        await letters.replay(queue)
    with pytest.raises(ConfigurationError, match="itself"):
        await letters.park(queue)


async def test_a_parked_letter_keeps_what_it_carries(make_queue: MakeQueue) -> None:
    dead, parked = await make_queue(), await make_queue()
    letters = await fill(dead, bad=1, refused=1)

    await letters.park(parked, Criteria(reason="no S3"))

    assert [(m.body, dict(m.attributes)) for m in await read(parked)] == [("bad 0", BAD)]
    assert len(await read(dead)) == 1


async def test_a_parked_letter_can_get_another_reason(make_queue: MakeQueue) -> None:
    dead, parked = await make_queue(), await make_queue()
    letters = await fill(dead, bad=1, refused=0)

    await letters.park(parked, reason="ticket 17")

    assert [m.attributes["s3events.reason"] for m in await read(parked)] == ["ticket 17"]


async def test_a_purge_deletes_what_is_meant(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    letters = await fill(queue)

    report = await letters.purge(Criteria(reason="no S3"))

    assert report.done == 2
    assert len(await read(queue)) == 3


async def test_a_look_that_is_cancelled_gives_all_back(make_queue: MakeQueue) -> None:
    queue = await make_queue()
    letters = await fill(queue, bad=3, refused=0)
    letters.idle_seconds = 60.0
    look = asyncio.ensure_future(letters.look())
    while not (await queue.describe()).in_flight:  # noqa: ASYNC110 - the queue tells nobody
        await asyncio.sleep(0.05)

    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look

    assert (await queue.describe()).waiting == 3


class TestOnlySource:
    @pytest.fixture(params=["moto"])  # ministack lacks ListDeadLetterSourceQueues
    def kind(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    async def test_is_the_queue_whose_redrive_policy_leads_here(self, make_queue: MakeQueue) -> None:
        dead = await make_queue()
        main = await make_queue(dead_letters=dead, max_receive_count=3)
        assert isinstance(dead, SqsQueue)
        assert isinstance(main, SqsQueue)
        assert (await only_source(dead)).rpartition("/")[2] == main.url.rpartition("/")[2]

    @pytest.mark.parametrize("count", [0, 2])
    async def test_is_to_be_named_where_there_are(self, make_queue: MakeQueue, count: int) -> None:
        dead = await make_queue()
        for _ in range(count):
            await make_queue(dead_letters=dead, max_receive_count=3)
        assert isinstance(dead, SqsQueue)
        with pytest.raises(ConfigurationError, match=f"of {count} queues"):
            await only_source(dead)
