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

from airflow_s3events.dispatch import Dispatcher, DispatchSettings, gates_of
from airflow_s3events.events import utc_text
from airflow_s3events.journal import Journal, Order
from airflow_s3events.ledger import Ledger, MemoryStore
from airflow_s3events.listings import ListedPage
from airflow_s3events.looks import Location, object_event
from airflow_s3events.messages import Message
from airflow_s3events.reconcile import Reconciler, ReconcileSettings
from airflow_s3events.routing import Routes
from tests.core.dispatch_fakes import FakeInbox, FakeRuns
from tests.core.test_ledger_entries import NOON

KEYS = ("a", "b")
ROUTES = Routes.of({"process": {"event_type": "ObjectCreated:*"}})


class KilledError(BaseException):
    """The process is gone."""


class MortalRuns(FakeRuns):
    """Airflow, whose client may be killed before or after a run is made."""

    dies: str | None = None

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
        if self.dies == "before":
            raise KilledError
        made = await super().create(dag_id, run_id, conf)
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
        self.ledger = Ledger(MemoryStore())
        self.queue: list[Message] = []
        self.writes = 0
        self.sent: set[int] = set()
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
    @rule(count=st.integers(1, 4), dies=st.sampled_from([None, "before", "after", "undeleted"]))
    def dispatch(self, count: int, dies: str | None) -> None:
        self._dispatch(self.queue[:count], dies)

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

    def teardown(self) -> None:
        while self.queue:
            self._dispatch(self.queue[:3], None)
        # Another run of the task: a try of one that was killed goes on behind what it has listed.
        run(self._reconciler("last").run())
        self.each_write_has_at_most_one_run()
        started = {conf["s3_event"]["etag"] for conf in self.runs.confs.values()}
        assert {etag(number) for number in self.bucket.values()} <= started
        if self.ordering == "none":
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
        try:
            run(dispatcher.dispatch(batch))
        except KilledError:
            return
        finally:
            self.runs.dies = None
        if dies != "undeleted":
            gone = {name for name, (fate, _, _) in inbox.fates.items() if fate == "acknowledged"}
            self.queue = [one for one in self.queue if one.message_id not in gone]

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


def etag(number: int) -> str:
    return f"{number:032x}"


def moment(number: int) -> Any:
    return NOON + timedelta(seconds=10 * number)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


@pytest.mark.parametrize("is_versioned", [False, True], ids=["plain", "versioned"])
@pytest.mark.parametrize("ordering", ["none", "newest"])
def test_each_write_has_one_run_and_none_is_missing(ordering: str, is_versioned: bool) -> None:
    machine = type("Machine", (World,), {"ordering": ordering, "is_versioned": is_versioned})

    run_state_machine_as_test(
        machine, settings=settings(max_examples=60, stateful_step_count=25, deadline=None)
    )
