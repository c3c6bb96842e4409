"""A dispatcher with a ledger: what it does not start, and what it notes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.journal import Journal, Order
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.dispatch.starting import name_of
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.failed_runs import FailedRun
from airflow_s3events.identity import event_id, run_id
from airflow_s3events.ledger import Entry, Ledger, MemoryStore
from airflow_s3events.ledger.entries import RECONCILE
from airflow_s3events.looks import LISTED, Location, object_event
from airflow_s3events.messages import ATTEMPT_ATTRIBUTE, Message
from airflow_s3events.ordering import ByField, Field, by_sequencer
from airflow_s3events.routing import Route, Routes
from airflow_s3events.settlement import RunState
from tests.core.dispatch_fakes import FakeInbox, FakeRuns
from tests.core.test_dispatch import NOW, message, record


class World:
    """Dispatchers one after the other, over one Airflow and one ledger."""

    #: With ``acknowledge="run_succeeded"``.
    holds = False

    def __init__(self, ordering: Any = "none", routes: Any = "process") -> None:
        self.runs = FakeRuns("process", "archive")
        self.store = MemoryStore()
        self.ledger = Ledger(self.store, now=lambda: NOW)
        self.routes = Routes.of(routes)
        self.ordering = ordering

    async def dispatch(self, *messages: Message, **settings: Any) -> dict[str, int]:
        self.inbox = FakeInbox()
        dispatcher = Dispatcher(
            inbox=self.inbox,
            routes=self.routes,
            runs=self.runs,
            settings=DispatchSettings(**settings),
            now=lambda: NOW,
            clock=lambda: 0.0,
            journal=Journal(self.ledger, Order.of(self.ordering, ledger="sql:ledger")),
        )
        if self.holds:
            dispatcher.hold_runs("clear", 60.0)
        await dispatcher.dispatch(messages)
        return dict(dispatcher.counts)

    async def entry(self, key: str = "a.csv") -> Entry:
        (entry,) = await self.ledger.history("landing", key)
        return entry


OLDER = record(sequencer="0066A1B2C3D4E5F601")
NEWER = record(sequencer="0066A1B2C3D4E5F602")


def event_of(one: Message) -> ObjectEvent:
    (event,) = parse_body(one.body, message_id=one.message_id).events
    return event


async def test_a_start_is_noted_with_its_run_and_its_message() -> None:
    world = World()
    await world.dispatch(message(record()))
    entry = await world.entry()
    assert (entry.what, entry.dag_id, entry.first_message) == ("started", "process", "m1")
    assert entry.run_id == run_id(event_of(message(record())))
    assert entry.disposition == "acknowledge"


async def test_an_event_is_known_after_airflow_has_forgotten_its_run() -> None:
    world = World()
    await world.dispatch(message(record()))
    world.runs.stored.clear()
    assert await world.dispatch(message(record(), number=2)) == {"duplicate": 1}
    assert world.runs.stored == {}
    assert (await world.entry()).seen == 2


async def test_a_run_that_was_deleted_before_its_success_is_made_again_for_the_message_that_waits() -> None:
    world = World()
    world.holds = True
    assert await world.dispatch(message(record())) == {"started": 1}
    world.runs.stored.clear()
    assert await world.dispatch(message(record(), receive_count=2)) == {"started": 1}
    assert len(world.runs.stored) == 1
    assert world.inbox.fates == {}


async def test_a_run_whose_success_was_seen_is_not_made_again_after_airflow_has_forgotten_it() -> None:
    world = World()
    world.holds = True
    await world.dispatch(message(record()))
    world.runs.stored = dict.fromkeys(world.runs.stored, RunState.SUCCESS)
    assert await world.dispatch(message(record(), receive_count=2)) == {"duplicate": 1}
    assert ((await world.entry()).what, (await world.entry()).disposition) == ("started", "acknowledge")
    world.runs.stored.clear()
    assert await world.dispatch(message(record(), number=2)) == {"duplicate": 1}
    assert world.runs.stored == {}


async def test_a_replay_starts_again_whatever_is_known() -> None:
    world = World("newest")
    await world.dispatch(message(NEWER, OLDER))
    (name,) = world.runs.stored
    world.runs.stored[name] = RunState.FAILED
    assert await world.dispatch(message(NEWER, attributes={ATTEMPT_ATTRIBUTE: "1"})) == {"restarted": 1}


async def test_what_was_put_off_is_started_when_it_comes_again() -> None:
    world = World()
    world.runs.paused.add("process")
    assert await world.dispatch(message(record())) == {"put_off": 1}
    assert (await world.entry()).what == "put_off"
    world.runs.paused.clear()
    assert await world.dispatch(message(record(), receive_count=2)) == {"started": 1}
    assert (await world.entry()).what == "started"


async def test_what_no_route_takes_and_what_is_too_old_is_noted() -> None:
    world = World(routes={"process": {"suffix": ".txt"}})
    await world.dispatch(message(record()))
    assert ((await world.entry()).what, (await world.entry()).dag_id) == ("unmatched", "")
    event = event_of(message(record("b.txt")))
    await world.dispatch(message(record("b.txt")), ignore_before=event.event_time.replace(year=2027))  # type: ignore[union-attr]
    assert (await world.entry("b.txt")).what == "ignored"


async def test_a_run_that_airflow_does_not_keep_is_not_noted_as_started() -> None:
    world = World()
    world.runs.forgetful = True
    await world.dispatch(message(record()))
    assert (await world.entry()).what == "not_stored"
    world.runs.forgetful = False
    assert await world.dispatch(message(record(), receive_count=2)) == {"started": 1}


async def test_a_body_that_is_no_event_is_settled_as_ever() -> None:
    world = World()
    await world.dispatch(message(body="{}x"), message(record(), number=2))
    assert {fate for fate, _, _ in world.inbox.fates.values()} == {"dead-lettered", "acknowledged"}


async def test_by_default_both_of_two_events_of_a_key_start() -> None:
    assert await World().dispatch(message(NEWER), message(OLDER, number=2)) == {"started": 2}


async def test_newest_starts_only_the_newest_of_a_batch() -> None:
    world = World("newest")
    counts = await world.dispatch(message(OLDER), message(NEWER, number=2))
    assert counts == {"started": 1, "stale": 1}
    assert list(world.runs.stored) == [("process", run_id(event_of(message(NEWER))))]
    assert {fate for fate, _, _ in world.inbox.fates.values()} == {"acknowledged"}


async def test_newest_holds_across_batches_and_dispatchers() -> None:
    world = World("newest")
    await world.dispatch(message(NEWER))
    assert await world.dispatch(message(OLDER, number=2)) == {"stale": 1}
    stale = next(e for e in await world.ledger.history("landing", "a.csv") if e.what == "stale")
    assert event_id(event_of(message(NEWER))) in stale.reason


async def test_newest_starts_the_redelivery_of_the_newest_after_a_kill() -> None:
    world = World("newest")
    await world.ledger.judge([(event_of(message(NEWER)), ["process"])], place=by_sequencer)
    assert await world.dispatch(message(NEWER)) == {"started": 1}


async def test_a_create_that_was_deleted_meanwhile_starts_nothing() -> None:
    world = World("newest", routes={"process": {"event_type": "ObjectCreated:*"}})
    delete = {**NEWER, "eventName": "ObjectRemoved:Delete"}
    counts = await world.dispatch(message(OLDER), message(delete, number=2))
    assert counts == {"stale": 1, "unmatched": 1}


async def test_a_field_of_the_users_orders_and_dedupes() -> None:
    place = ByField(subject=Field("key", r"^(\w+)/"), position=Field("key", r"(\d+)\.json"))
    world = World(place)
    messages = [
        message(record(key, sequencer=f"0066A1B2C3D4E5F60{n}"), number=n)
        for n, key in enumerate(("d1/7.json", "d1/6.json", "d1/7.json", "d2/1.json"))
    ]
    assert await world.dispatch(*messages) == {"started": 2, "stale": 2}


@pytest.mark.parametrize("is_started", [True, False])
async def test_a_late_notification_of_what_a_reconciliation_found_is_one_run_with_it(
    is_started: bool,
) -> None:
    world = World()
    late = event_of(message(record()))
    found = object_event(
        Location(late.bucket, late.key), size=3, etag=None, modified=late.event_time, envelope="s3-listing"
    )
    await world.ledger.judge([(found, ["process"])], origin=f"{RECONCILE}/x")
    if is_started:
        world.runs.stored["process", run_id(found)] = RunState.SUCCESS
    assert await world.dispatch(message(record())) == {"duplicate" if is_started else "started": 1}
    assert list(world.runs.stored) == [("process", run_id(found))]
    assert (await world.entry()).same_as == event_id(found)


def listed_before(late: ObjectEvent) -> ObjectEvent:
    """What a listing shows of the write that ``late`` is about."""
    time = late.event_time.replace(microsecond=0) if late.event_time else None
    return object_event(Location(late.bucket, late.key), size=3, etag=None, modified=time, envelope=LISTED)


@pytest.mark.parametrize("holds", [False, True])
@pytest.mark.parametrize(
    ("state", "outcome", "runs"),
    [
        (RunState.SUCCESS, "duplicate", [""]),
        (RunState.RUNNING, "put_off", [""]),
        (RunState.FAILED, "restarted", ["", "_a1"]),
    ],
)
async def test_a_replay_finds_the_run_that_a_reconciliation_has_named(
    state: RunState, outcome: str, runs: list[str], holds: bool
) -> None:
    world = World()
    world.holds = holds
    found = listed_before(event_of(message(record())))
    await world.ledger.judge([(found, ["process"])], origin=f"{RECONCILE}/x")
    world.runs.stored["process", run_id(found)] = state
    again = message(record(), attributes={ATTEMPT_ATTRIBUTE: "1"})
    assert await world.dispatch(again) == {outcome: 1}
    assert [name for _, name in world.runs.stored] == [f"{run_id(found)}{ending}" for ending in runs]


async def test_a_failed_run_that_a_reconciliation_has_named_can_be_sent_back_and_is_found_again() -> None:
    world = World()
    found = listed_before(event_of(message(record())))
    await world.ledger.judge([(found, ["process"])], origin=f"{RECONCILE}/x")
    await world.dispatch(message(record()))
    (((dag_id, name), conf),) = world.runs.confs.items()
    run = FailedRun.of(dag_id, name, conf)
    assert run is not None
    world.runs.stored[dag_id, name] = RunState.FAILED
    sent = run.resend()
    assert await world.dispatch(message(body=sent.body, attributes=dict(sent.attributes))) == {"restarted": 1}
    assert [one for _, one in world.runs.stored] == [name, f"{name}_a1"]


async def test_a_failed_run_of_a_listed_object_that_a_notification_has_named_is_found_again() -> None:
    world = World()
    late = event_of(message(record()))
    await world.ledger.judge([(late, ["process"])])
    name = run_id(late)
    data = {**listed_before(late).serialize(), "event_id": event_id(late)}
    run = FailedRun.of("process", name, {"s3_event": data})
    assert run is not None
    world.runs.stored["process", name] = RunState.FAILED
    sent = run.resend()
    assert await world.dispatch(message(body=sent.body, attributes=dict(sent.attributes))) == {"restarted": 1}
    assert [one for _, one in world.runs.stored] == [name, f"{name}_a1"]


@pytest.mark.parametrize("label", ["{event_time}", "{event_type}", "{date}/{file}", "{etag}"])
async def test_a_late_notification_has_the_label_that_a_reconciliation_gave(label: str) -> None:
    world = World(routes=Route(dag_id="process", label=label))
    late = message(record(when="2026-11-23T23:59:59.999Z"))
    time = datetime(2026, 11, 24, tzinfo=timezone.utc)
    found = replace(listed_before(event_of(late)), event_time=time)
    (verdict,) = await world.ledger.judge([(found, ["process"])], origin=f"{RECONCILE}/x")
    (route,) = world.routes
    world.runs.stored["process", name_of(route, found, 0, verdict.naming)] = RunState.SUCCESS
    assert await world.dispatch(late) == {"duplicate": 1}
    assert len(world.runs.stored) == 1


async def test_a_ledger_that_is_away_is_waited_for_and_nothing_is_deleted() -> None:
    class Away(MemoryStore):
        outages = 2

        async def write(self, documents: Any) -> set[str]:
            if self.outages:
                self.outages -= 1
                raise OutageError("the ledger is away")
            return await super().write(documents)

    world = World()
    world.ledger = Ledger(Away(), now=lambda: NOW)
    assert await world.dispatch(message(record())) == {"started": 1, "outages": 2}
    assert world.inbox.waits == 2


def test_an_order_without_a_ledger_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="ledger"):
        Order.of("newest", ledger=None)


@pytest.mark.parametrize("ordering", ["per_object", "", None, 1])
def test_an_order_that_there_is_not_is_named(ordering: Any) -> None:
    with pytest.raises(ConfigurationError, match="ordering"):
        Order.of(ordering, ledger="sql:ledger")
