"""Whatever is killed, repeated and reordered, every event is an item of exactly one batch run.

Real consumers and dispatchers, one or two side by side, on a queue, an Airflow and a ledger in memory. Each
call that a dispatcher makes takes a while, so that two of them meet between any two calls, and each
dispatcher is killed before or after the effect of one of its calls, or stands still, any number of times.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_s3events.consumer import Consumer, ConsumerSettings
from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.journal import Journal
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.exceptions import RouteError
from airflow_s3events.ledger import Ledger, MemoryStore
from airflow_s3events.ledger.store import Document
from airflow_s3events.routing import Batch, Route, Routes
from airflow_s3events.testing import InMemoryQueue, bodies, run_in_virtual_time
from airflow_s3events.testing.memory_runs import InMemoryRuns
from airflow_s3events.testing.virtual_time import now

VISIBILITY_SECONDS = 30
STALL_SECONDS = 200.0
DAYS = ("2026-01-01", "2026-01-02")
BY = r"orders/(?P<day>[0-9-]+)/"


class KilledError(BaseException):
    """The process is gone."""


class Process:
    """One life of a dispatcher, with a fault at one of its calls.

    Args:
        calls: The fault comes at so many calls; None: never.
        fault: ``before`` or ``after``: it is dead before or after the effect of that call, and nothing that
            it does counts from then on. ``stall``: it stands still for ``STALL_SECONDS`` before it, longer
            than its messages are hidden, and goes on as if nothing had been.
        chance: How long each call takes; None: no time.
    """

    def __init__(self, calls: int | None, fault: str, chance: random.Random | None) -> None:
        self.calls = calls
        self.fault = fault
        self.chance = chance
        self.is_dead = False
        self.stands_until = 0.0

    @property
    def has_failed(self) -> bool:
        return self.calls is not None and self.calls <= 0

    async def call(self, call: Callable[[], Awaitable[Any]]) -> Any:
        is_last = self._counts_down()
        if is_last and self.fault == "stall":
            self.stands_until = now() + STALL_SECONDS
        await self._pause()
        if is_last and self.fault == "before":
            self._die()
        answer = await call()
        if is_last and self.fault == "after":
            self._die()
        await self._pause()
        return answer

    def _counts_down(self) -> bool:
        if self.calls is not None:
            self.calls -= 1
        return self.calls == 0

    async def _pause(self) -> None:
        if self.chance is not None:
            await asyncio.sleep(self.chance.choice((0.0, 0.0, 0.01, 0.05, 2.0)))
        if now() < self.stands_until:
            await asyncio.sleep(self.stands_until - now())
        if self.is_dead:
            raise KilledError

    def _die(self) -> None:
        self.is_dead = True
        raise KilledError


class Mortal:
    """What a process calls; it may be killed before or after the effect of each call."""

    def __init__(self, target: Any, process: Process, *names: str) -> None:
        self._target = target
        for name in names:
            setattr(self, name, self._mortal(getattr(target, name), process))

    @staticmethod
    def _mortal(call: Any, process: Process) -> Any:
        return lambda *args, **kwargs: process.call(lambda: call(*args, **kwargs))


class OneByOne(Mortal):
    """A store as DynamoDB is: each document is written by a call of its own, in any order."""

    def __init__(self, target: MemoryStore, process: Process, chance: random.Random) -> None:
        super().__init__(target, process, "read", "about", "purge")
        self._write_one = self._mortal(target.write, process)
        self._chance = chance

    async def write(self, documents: Sequence[Document]) -> set[str]:
        refused: set[str] = set()
        for document in self._chance.sample(documents, len(documents)):
            refused |= await self._write_one([document])
        return refused


class MoodyRuns(InMemoryRuns):
    """Airflow, which refuses some runs and forgets others that it took."""

    def __init__(self, refusals: int, forgets: int) -> None:
        super().__init__()
        self.refusals = refusals
        self.forgets = forgets

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
        if self.refusals:
            self.refusals -= 1
            raise RouteError("not now")
        if self.forgets:
            self.forgets -= 1
            return True
        return await super().create(dag_id, run_id, conf, note)


@dataclass
class Plan:
    """What happens."""

    batch: Batch
    #: (after so many seconds, day, name of the object, copies)
    uploads: list[tuple[float, str, str, int]]
    #: For each dispatcher the faults of its lives: (calls, fault).
    faults: list[list[tuple[int, str]]]
    seed: int = 0
    duplicates: int = 0
    ignored_deletes: int = 0
    refusals: int = 0
    forgets: int = 0
    max_held: int = 50
    #: Whether calls take a while.
    is_slow: bool = True
    #: Whether each document is written by a call of its own.
    writes_singly: bool = False


class World:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.chance = random.Random(plan.seed)
        self.pauses = self.chance if plan.is_slow else None
        #: Those that have a fault.
        self.processes: list[Process] = []
        self.queue = InMemoryQueue(visibility_seconds=VISIBILITY_SECONDS)
        self.queue.faults.duplicate(plan.duplicates)
        self.queue.faults.ignore_deletes(plan.ignored_deletes)
        self.runs = MoodyRuns(plan.refusals, plan.forgets)
        self.store = MemoryStore()
        self.routes = Routes([Route(dag_id="load", batch=plan.batch)])

    async def play(self) -> None:
        dispatchers = [asyncio.ensure_future(self._lives(faults)) for faults in self.plan.faults]
        last, sent = 0.0, dict[tuple[str, str], str]()
        for after, day, name, copies in sorted(self.plan.uploads):
            await asyncio.sleep(after - last)
            last = after
            body = sent.setdefault((day, name), bodies.object_created_body("landing", f"orders/{day}/{name}"))
            for _ in range(copies):
                self.queue.put(body)
        for _ in range(5_000):
            if not len(self.queue):
                break
            await asyncio.sleep(10)
        for dispatcher in dispatchers:
            dispatcher.cancel()
        await asyncio.gather(*dispatchers, return_exceptions=True)

    async def _lives(self, faults: list[tuple[int, str]]) -> None:
        for calls, fault in faults:
            self.processes.append(Process(calls, fault, self.pauses))
            await self._live(self.processes[-1])
        while True:
            await self._live(Process(None, "", self.pauses))
            await asyncio.sleep(1)

    async def _live(self, process: Process) -> None:
        queue: Any = Mortal(self.queue, process, "receive", "delete", "change_visibility", "send", "describe")
        names = (
            "create",
            "clear",
            "state",
            "count_stored",
            "count",
            "count_queued",
            "count_active",
            "is_paused",
        )
        runs: Any = Mortal(self.runs, process, *names)
        store: Any = Mortal(self.store, process, "read", "write", "about", "purge")
        if self.plan.writes_singly:
            store = OneByOne(self.store, process, self.chance)
        settings = ConsumerSettings(
            visibility_seconds=VISIBILITY_SECONDS,
            idle_seconds=2,
            life_seconds=600,
            max_in_flight=self.plan.max_held,
        )
        consumer = Consumer(queue, settings, random=self.chance.random)
        ledger = Ledger(store, now=now)
        dispatcher = Dispatcher(
            inbox=consumer,
            routes=self.routes,
            runs=runs,
            settings=DispatchSettings(has_dead_letters=False),
            now=now,
            clock=asyncio.get_running_loop().time,
            journal=Journal(ledger),
        )
        dispatcher.gather_batches(ledger, self.plan.max_held)
        with suppress(KilledError):
            async with consumer:
                await dispatcher.run()

    @property
    def items(self) -> Counter[str]:
        return Counter(event.key for run in self.runs.started.values() for event in run.events)

    @property
    def groups(self) -> dict[str, list[set[str]]]:
        found = defaultdict(list)
        for run in self.runs.started.values():
            found[run.conf["s3_batch"]["values"]["day"]].append({event.key for event in run.events})
        return found


def play(plan: Plan) -> World:
    async def all_of_it() -> World:
        world = World(plan)
        await world.play()
        return world

    return run_in_virtual_time(all_of_it())


faults = st.lists(st.tuples(st.integers(1, 120), st.sampled_from(["before", "after", "stall"])), max_size=4)
kills = st.lists(st.tuples(st.integers(1, 60), st.sampled_from(["before", "after"])), max_size=2)
uploads = st.lists(
    st.tuples(
        st.floats(0, 60), st.sampled_from(DAYS), st.sampled_from([*"abcdefgh", "_SUCCESS"]), st.integers(1, 2)
    ),
    min_size=1,
    max_size=14,
    unique_by=lambda upload: upload[1:3],
)
batches = st.builds(
    Batch,
    by=st.just(BY),
    count=st.integers(1, 6),
    object_bytes=st.sampled_from([None, 3_000]),
    idle_seconds=st.sampled_from([None, 1, 40]),
    marker=st.sampled_from(["", "_SUCCESS"]),
    after_marker_seconds=st.sampled_from([0, 20]),
    open_seconds=st.sampled_from([30, 300]),
    conf_bytes=st.sampled_from([1_024, 524_288]),
)
plans = st.builds(
    Plan,
    batch=batches,
    uploads=uploads,
    faults=st.lists(faults, min_size=1, max_size=2),
    seed=st.integers(0, 10_000),
    duplicates=st.integers(0, 3),
    ignored_deletes=st.integers(0, 2),
    refusals=st.integers(0, 2),
    forgets=st.integers(0, 2),
    max_held=st.sampled_from([3, 50]),
    writes_singly=st.booleans(),
)


@pytest.mark.timeout(600)
@settings(max_examples=40, deadline=None)
@given(plan=plans)
def test_every_event_is_an_item_of_exactly_one_batch_run_whatever_is_killed(plan: Plan) -> None:
    world = play(plan)
    assert world.items == Counter({f"orders/{day}/{name}": 1 for _, day, name, _ in plan.uploads})
    assert len(world.queue) == 0
    for day, groups in world.groups.items():
        assert all(key.startswith(f"orders/{day}/") for group in groups for key in group)


@pytest.mark.timeout(600)
@settings(max_examples=20, deadline=None)
@given(
    uploads=uploads,
    kills=st.lists(kills, min_size=1, max_size=2),
    seed=st.integers(0, 10_000),
    closes=st.sampled_from(["idle", "marker"]),
)
def test_a_batch_killed_at_any_point_gives_the_same_groups_after_redelivery(
    uploads: list[tuple[float, str, str, int]], kills: list[list[tuple[int, str]]], seed: int, closes: str
) -> None:
    # Longer than four kills, after each of which a message that is in no group yet is hidden for a while.
    patience = 240.0
    idle_seconds = patience if closes == "idle" else 2 * patience
    batch = Batch(
        by=BY,
        idle_seconds=idle_seconds,
        open_seconds=30_000,
        marker="_SUCCESS",
        after_marker_seconds=patience,
    )
    world = play(Plan(batch, uploads, kills, seed))
    whole = defaultdict(set)
    for _, day, name, _ in uploads:
        whole[day].add(f"orders/{day}/{name}")
    assert world.groups == {day: [keys] for day, keys in whole.items()}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("writes_singly", [False, True])
@pytest.mark.parametrize("fault", ["before", "after", "stall"])
def test_a_fault_at_each_single_call_leaves_every_event_in_exactly_one_batch_run(
    fault: str, writes_singly: bool
) -> None:
    # Others are there when what was received before a kill is shown again, and when a stall ends.
    uploads = [
        *((0.0, DAYS[0], "a", 2), (0.0, DAYS[0], "b", 1), (20.0, DAYS[0], "c", 1)),
        *((80.0, DAYS[0], "b", 1), (STALL_SECONDS - 2, DAYS[0], "d", 1)),
    ]
    # Who comes back after a kill is alone; somebody else works while a process stands still.
    others: list[list[tuple[int, str]]] = [[]] if fault == "stall" else []
    calls, has_come = 0, True
    while has_come:
        calls += 1
        plan = Plan(
            Batch(by=BY, count=2, idle_seconds=15),
            uploads,
            [[(calls, fault)], *others],
            is_slow=False,
            writes_singly=writes_singly,
        )
        world = play(plan)
        has_come = all(process.has_failed for process in world.processes)
        assert world.items == Counter({f"orders/{DAYS[0]}/{name}": 1 for name in "abcd"}), calls
        assert len(world.queue) == 0
    assert calls > 20
