"""Whatever happens in whatever order, after the queue is drained and one reconciliation all is as it must be.

A machine that puts, overwrites and deletes objects, loses, repeats and reorders notifications, and kills
dispatchers before or after the run is made and before the message is deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.gates import gates_of
from airflow_s3events.dispatch.journal import Journal, Order
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import utc_text
from airflow_s3events.identity import event_id, object_id
from airflow_s3events.ledger import Ledger, MemoryStore
from airflow_s3events.listings import ListedPage
from airflow_s3events.looks import Location, object_event
from airflow_s3events.messages import Message
from airflow_s3events.reconcile import Reconciler, ReconcileSettings
from airflow_s3events.routing import Routes
from airflow_s3events.settlement import RunState
from tests.core.dispatch_fakes import FakeInbox, FakeRuns
from tests.core.test_ledger_entries import NOON

KEYS = ("a", "b")
ENDED = (RunState.SUCCESS, RunState.FAILED)
ROUTES = Routes.of({"process": {"event_type": "ObjectCreated:*"}})


class KilledError(BaseException):
    """The process is gone."""


class MortalRuns(FakeRuns):
    """Airflow, whose client may be killed before or after a run is made."""

    dies: str | None = None

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
        if self.dies == "before":
            raise KilledError
        made = await super().create(dag_id, run_id, conf, note)
        if self.dies == "after":
            raise KilledError
        return made


class World(RuleBasedStateMachine):
    """A bucket, its queue, an Airflow and a ledger."""

    ordering: Any = "none"
    is_versioned = False

    @initialize()
    def begin(self) -> None:
        self.runs = MortalRuns("process")
        self.seconds = 0.0
        self.ledger = Ledger(MemoryStore(), now=lambda: self.seconds)
        self.queue: list[Message] = []
        self.writes = 0
        self.sent: set[int] = set()
        #: Writes whose notification came to a dispatcher.
        self.seen: set[int] = set()
        #: Writes that have a turn, and what had come when they got it.
        self.given: dict[int, set[int]] = {}
        self.numbers: dict[str, int] = {}
        #: Number of the write, by key, and what it wrote; a deleted key has none.
        self.bucket: dict[str, int] = {}
        self.put_keys: dict[int, str] = {}

    @rule(key=st.sampled_from(KEYS), is_lost=st.booleans(), copies=st.integers(1, 2))
    def put(self, key: str, is_lost: bool, copies: int) -> None:
        number = self._send(key, "ObjectCreated:Put", 0 if is_lost else copies)
        self.bucket[key] = number
        self.put_keys[number] = key

    @rule(key=st.sampled_from(KEYS), is_lost=st.booleans())
    def delete(self, key: str, is_lost: bool) -> None:
        if self.bucket.pop(key, None) is not None:
            event_type = "ObjectRemoved:DeleteMarkerCreated" if self.is_versioned else "ObjectRemoved:Delete"
            self._send(key, event_type, 0 if is_lost else 1)

    @precondition(lambda self: self.queue)
    @rule(random=st.randoms(use_true_random=False))
    def reorder(self, random: Any) -> None:
        random.shuffle(self.queue)

    @precondition(lambda self: self.queue)
    @rule(
        first=st.integers(0, 2),
        count=st.integers(1, 4),
        dies=st.sampled_from([None, "before", "after", "undeleted"]),
    )
    def dispatch(self, first: int, count: int, dies: str | None) -> None:
        self._dispatch(self.queue[first : first + count], dies)

    @precondition(lambda self: self.is_per_key)
    @rule(
        random=st.randoms(use_true_random=False), state=st.sampled_from([RunState.SUCCESS, RunState.FAILED])
    )
    def end_a_run(self, random: Any, state: RunState) -> None:
        if working := [run for run, was in self.runs.stored.items() if was is RunState.QUEUED]:
            self.runs.stored[random.choice(working)] = state

    @rule(dies=st.sampled_from([None, "before", "after"]))
    def reconcile(self, dies: str | None) -> None:
        self.runs.dies = dies
        with contextlib.suppress(KilledError):
            run(self._reconciler().run())
        self.runs.dies = None

    @invariant()
    def each_write_has_at_most_one_run(self) -> None:
        started = Counter(conf["s3_event"]["etag"] for conf in self.runs.confs.values())
        assert all(count == 1 for count in started.values()), started

    @invariant()
    def a_key_has_at_most_one_run_that_works(self) -> None:
        if self.is_per_key:
            working = Counter(
                self.runs.confs[name]["s3_event"]["key"]
                for name, state in self.runs.stored.items()
                if state is RunState.QUEUED
            )
            assert all(count == 1 for count in working.values()), working

    @property
    def is_per_key(self) -> bool:
        return bool(self.ordering == "per_key")

    def end_runs(self) -> None:
        if self.is_per_key:
            self.runs.stored = dict.fromkeys(self.runs.stored, RunState.SUCCESS)

    def teardown(self) -> None:
        rounds = 0
        while self.queue:
            self._dispatch(self.queue[:3], None)
            # SQS shows what was released later than the rest.
            self.queue = self.queue[3:] + self.queue[:3]
            self.end_runs()
            self.seconds += 60
            rounds += 1
            assert rounds < 500, "the queue does not drain"
        # Another run of the task: a try of one that was killed goes on behind what it has listed.
        while run(self._reconciler("last").run()) is not None:
            self.end_runs()
            self.seconds += 60
            rounds += 1
            assert rounds < 500, "the reconciliation does not end"
        self.each_write_has_at_most_one_run()
        started = {conf["s3_event"]["etag"] for conf in self.runs.confs.values()}
        assert {etag(number) for number in self.bucket.values()} <= started
        if self.ordering in ("none", "per_key"):
            assert {etag(number) for number in self.sent & set(self.put_keys)} <= started

    def _send(self, key: str, event_type: str, copies: int) -> int:
        self.writes += 1
        number = self.writes
        thing: dict[str, Any] = {"key": key, "sequencer": f"0068E1A2B3C4{number:06X}"}
        if event_type.startswith("ObjectCreated:"):
            thing |= {"size": 1, "eTag": etag(number)}
        if self.is_versioned:
            thing["versionId"] = f"v{number}"
        record = {
            "eventVersion": "2.6",
            "eventSource": "aws:s3",
            "awsRegion": "eu-west-1",
            "eventTime": utc_text(moment(number)),
            "eventName": event_type,
            "s3": {"bucket": {"name": "landing"}, "object": thing},
        }
        body = json.dumps({"Records": [record]})
        self.numbers[event_id(parse_body(body).events[0])] = number
        for copy in range(copies):
            self.sent.add(number)
            self.queue.append(Message(message_id=f"m{number}-{copy}", receipt_handle="-", body=body))
        return number

    def _dispatch(self, batch: list[Message], dies: str | None) -> None:
        inbox = FakeInbox()
        dispatcher = Dispatcher(
            inbox=inbox,
            routes=ROUTES,
            runs=self.runs,
            settings=DispatchSettings(),
            now=lambda: 0.0,
            clock=lambda: 0.0,
            journal=Journal(self.ledger, Order.of(self.ordering, ledger="sql:ledger")),
        )
        self.runs.dies = dies
        before = list(self.runs.confs)
        self.seen |= {number_of(message) for message in batch} & set(self.put_keys)
        try:
            run(dispatcher.dispatch(batch))
        except KilledError:
            return
        finally:
            self.runs.dies = None
            self.check_order(before)
        if dies != "undeleted":
            gone = {name for name, (fate, _, _) in inbox.fates.items() if fate == "acknowledged"}
            self.queue = [one for one in self.queue if one.message_id not in gone]

    def check_order(self, before: list[Any]) -> None:
        """With turns, each run is made before those of later events, had they come when it got its turn."""
        made = [self.number_of_run(name) for name in self.runs.confs if name not in before]
        started = {self.number_of_run(name) for name in before}
        for number in made if self.is_per_key else ():
            key = self.put_keys[number]
            came = self.given.get(number, self.seen)
            earlier = {one for one in came - started if one < number and self.put_keys[one] == key}
            assert not earlier, f"{number} was started before {earlier}"
            started.add(number)
        turns = run(self.ledger.store.read([f"turn/{object_id('landing', key)}/process" for key in KEYS]))
        for turn in turns.values():
            if (running := turn.body["running"]) is not None:
                number = self.numbers.get(running["id"].partition("/")[0], 0)
                self.given.setdefault(number, set(self.seen))

    def number_of_run(self, name: Any) -> int:
        return int(self.runs.confs[name]["s3_event"]["etag"], 16)

    def _reconciler(self, name: str = "n") -> Reconciler:
        return Reconciler(
            self,
            self.ledger,
            routes=ROUTES,
            runs=self.runs,
            gates=gates_of(ROUTES, self.runs, lambda: 0.0),
            settings=ReconcileSettings(min_age_seconds=0),
            now=lambda: moment(10**6).timestamp(),
            name=name,
            takes_turns=self.is_per_key,
        )

    async def pages(self, after: Any = None) -> AsyncIterator[ListedPage]:
        """List the bucket, an object a page."""
        for key, number in sorted(self.bucket.items()):
            if after is None or key > after["key"]:
                event = object_event(
                    Location("landing", key),
                    size=1,
                    etag=etag(number),
                    modified=moment(number),
                    version_id=f"v{number}" if self.is_versioned else None,
                    envelope="s3-listing",
                )
                yield ListedPage((event,), {"key": key})


def number_of(message: Message) -> int:
    return int(message.message_id[1:].partition("-")[0])


def etag(number: int) -> str:
    return f"{number:032x}"


def moment(number: int) -> Any:
    return NOON + timedelta(seconds=10 * number)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


@pytest.mark.parametrize("is_versioned", [False, True], ids=["plain", "versioned"])
@pytest.mark.parametrize("ordering", ["none", "newest", "per_key"])
def test_each_write_has_one_run_and_none_is_missing(ordering: str, is_versioned: bool) -> None:
    machine = type("Machine", (World,), {"ordering": ordering, "is_versioned": is_versioned})

    run_state_machine_as_test(
        machine, settings=settings(max_examples=60, stateful_step_count=25, deadline=None)
    )
