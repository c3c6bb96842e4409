"""Whatever goes wrong, in whatever order: the consumer's promises, looked at from the queue's side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_s3events.consumer import Consumer, ConsumerSettings
from airflow_s3events.exceptions import OutageError
from airflow_s3events.messages import Message
from airflow_s3events.testing import FaultPlan, InMemoryQueue, run_in_virtual_time

#: SQS's 12 hours.
_CAP_SECONDS = 43_200

_Fault = Callable[[FaultPlan], None]

_times = st.integers(1, 6)
_faults: st.SearchStrategy[_Fault] = st.one_of(
    st.builds(
        lambda call, times: lambda plan: plan.fail(call, times),
        st.sampled_from(["receive", "delete", "change_visibility", "send"]),
        _times,
    ),
    st.builds(
        lambda call, times: lambda plan: plan.lose_answers(call, times),
        st.sampled_from(["receive", "delete", "change_visibility", "send"]),
        _times,
    ),
    st.builds(
        lambda call, times, indexes: lambda plan: plan.refuse_entries(call, times, indexes),
        st.sampled_from(["delete", "change_visibility"]),
        _times,
        st.none() | st.sets(st.integers(0, 9), min_size=1, max_size=4),
    ),
    st.builds(lambda times: lambda plan: plan.ignore_deletes(times), _times),
    st.builds(lambda times: lambda plan: plan.duplicate(times), _times),
)
_ACTS = ["acknowledge", "release", "lapse", "forget", "dead-letter", "wait out", "flush"]


@dataclass
class _Plan:
    messages: int
    settings: ConsumerSettings
    faults: list[tuple[float, _Fault]]
    acts: list[str]
    work_seconds: list[float]
    #: How late each answer of the queue is: others see meanwhile what was done.
    late_seconds: list[float]


def _plans(visibility: tuple[int, int], life_seconds: float, work: list[float]) -> st.SearchStrategy[_Plan]:
    return st.builds(
        _Plan,
        messages=st.integers(0, 40),
        settings=st.builds(
            ConsumerSettings,
            receivers=st.integers(1, 4),
            visibility_seconds=st.integers(*visibility),
            max_in_flight=st.integers(1, 30),
            batch_count=st.integers(1, 20),
            batch_seconds=st.sampled_from([0.0, 5.0]),
            idle_seconds=st.sampled_from([None, 0.0, 30.0]),
            life_seconds=st.just(life_seconds),
        ),
        faults=st.lists(st.tuples(st.floats(0, life_seconds), _faults), max_size=12),
        acts=st.lists(st.sampled_from(_ACTS), min_size=1, max_size=12),
        work_seconds=st.lists(st.sampled_from(work), min_size=1, max_size=5),
        late_seconds=st.lists(st.sampled_from([0.0, 0.005, 0.01, 3.0]), min_size=1, max_size=5),
    )


_plans_of_minutes = _plans((2, 400), 1500, [0.0, 0.05, 3.0, 200.0])
_plans_of_days = _plans((1_000, 43_200), 60_000, [0.0, 3.0, 9_000.0])


@dataclass
class _Auditor:
    """The queue, with somebody beside it who writes down what the consumer does to it."""

    queue: InMemoryQueue
    late_seconds: Iterator[float]
    may_delete: set[str] = field(default_factory=set)
    received_at: dict[str, float] = field(default_factory=dict)
    received: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.send = self.queue.send
        self.describe = self.queue.describe

    async def receive(
        self, *, max_messages: int = 10, wait_seconds: int = 20, visibility_seconds: int | None = None
    ) -> list[Message]:
        messages = await self.queue.receive(
            max_messages=max_messages, wait_seconds=wait_seconds, visibility_seconds=visibility_seconds
        )
        now = asyncio.get_running_loop().time()
        self.received_at.update({message.receipt_handle: now for message in messages})
        self.received |= {message.message_id for message in messages}
        await asyncio.sleep(next(self.late_seconds))
        return messages

    async def delete(self, messages: Sequence[Message]) -> list[Message]:
        for message in messages:
            assert message.message_id in self.may_delete, "deleted without an acknowledgement"
        failed = await self.queue.delete(messages)
        await asyncio.sleep(next(self.late_seconds))
        return failed

    async def change_visibility(self, entries: Sequence[tuple[Message, int]]) -> list[Message]:
        now = asyncio.get_running_loop().time()
        for message, seconds in entries:
            held = now + seconds - self.received_at[message.receipt_handle]
            assert held <= _CAP_SECONDS, "hidden for longer than SQS allows"
        failed = await self.queue.change_visibility(entries)
        await asyncio.sleep(next(self.late_seconds))
        return failed


async def _act(
    act: str, message: Message, consumer: Consumer, auditor: _Auditor, release_seconds: float
) -> None:
    if act == "acknowledge":
        auditor.may_delete.add(message.message_id)
        consumer.acknowledge(message)
    elif act == "release":
        consumer.release(message, delay_seconds=release_seconds)
    elif act == "lapse":
        consumer.lapse(message)
    elif act == "dead-letter":
        auditor.may_delete.add(message.message_id)
        await consumer.dead_letter(message, "bad")
    elif act == "wait out":
        await consumer.wait_out(OutageError("the caller's own"))
        consumer.resume()
    elif act == "flush":
        await consumer.flush()


async def _work(plan: _Plan, consumer: Consumer, auditor: _Auditor) -> None:
    done = 0
    async for batch in consumer.batches():
        assert 1 <= len(batch) <= plan.settings.batch_count
        assert consumer.stats.in_flight <= plan.settings.max_in_flight
        await asyncio.sleep(plan.work_seconds[done % len(plan.work_seconds)])
        for message in batch:
            assert consumer.stats.in_flight <= plan.settings.max_in_flight
            act = plan.acts[done % len(plan.acts)]
            await _act(act, message, consumer, auditor, plan.settings.visibility_seconds)
            done += 1


async def _scenario(plan: _Plan) -> None:
    queue, dead_letters = InMemoryQueue(), InMemoryQueue("dead-letters")
    dead_letters.faults = queue.faults
    sent = {queue.put(f"body {number}") for number in range(plan.messages)}
    auditor = _Auditor(queue, cycle(plan.late_seconds))
    loop = asyncio.get_running_loop()
    for when, fault in plan.faults:
        loop.call_at(when, fault, queue.faults)

    async with Consumer(auditor, plan.settings, dead_letters=dead_letters, random=lambda: 0.5) as consumer:
        await _work(plan, consumer, auditor)

    stats = consumer.stats
    assert stats.in_flight == 0
    assert stats.redelivered + stats.acknowledged + stats.released + stats.lapsed >= stats.received
    left = {message.message_id for message in queue.peek()}
    assert sent - auditor.may_delete <= left, "a message that nobody acknowledged is gone"

    queue.faults = FaultPlan()
    await asyncio.sleep(_CAP_SECONDS)
    async with Consumer(queue, ConsumerSettings(idle_seconds=1, max_in_flight=100)) as other:
        again = {message.message_id async for batch in other.batches() for message in batch}
    assert again == left, "what is left is redelivered"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_plans_of_minutes)
def test_no_interleaving_of_faults_loses_a_message_or_holds_one_too_long(plan: _Plan) -> None:
    run_in_virtual_time(_scenario(plan))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_plans_of_days)
def test_no_interleaving_of_faults_over_days_does_either(plan: _Plan) -> None:
    run_in_virtual_time(_scenario(plan))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_plans_of_minutes)
def test_after_the_last_fault_everything_is_acknowledged(plan: _Plan) -> None:
    async def scenario() -> None:
        queue = InMemoryQueue()
        for number in range(plan.messages):
            queue.put(f"body {number}")
        for when, fault in plan.faults:
            asyncio.get_running_loop().call_at(when, fault, queue.faults)
        seen = set()
        for _ in range(30):
            async with Consumer(queue, ConsumerSettings(idle_seconds=400, life_seconds=3600)) as consumer:
                async for batch in consumer.batches():
                    for message in batch:
                        seen.add(message.body)
                        consumer.acknowledge(message)
            if not len(queue):
                break
        assert len(queue) == 0
        assert len(seen) == plan.messages

    run_in_virtual_time(scenario())
