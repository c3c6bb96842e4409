"""Listing against ledger: what is missing is started once, and only that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from airflow_s3events.dispatch.gates import gates_of
from airflow_s3events.dispatch.starting import name_of
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import suffix
from airflow_s3events.identity import run_id
from airflow_s3events.ledger import Decision, Ledger, MemoryStore
from airflow_s3events.listings import ListedPage
from airflow_s3events.reconcile import Reconciler, ReconcileSettings, unasking
from airflow_s3events.routing import Route, Routes
from airflow_s3events.settlement import RunState
from tests.core.dispatch_fakes import FakeRuns
from tests.core.test_ledger_entries import NOON, listed, notice

NOW = NOON.timestamp() + 3600


class Bucket:
    """A listing of two objects a page that can be cut short, as by a kill."""

    def __init__(self, *events: ObjectEvent) -> None:
        self.events: Sequence[ObjectEvent] = events
        self.pages_until_kill = 10**6

    async def pages(self, after: Any = None) -> AsyncIterator[ListedPage]:
        begin = (after or {"at": 0})["at"]
        for first in range(begin, len(self.events), 2):
            if self.pages_until_kill == 0:
                raise KeyboardInterrupt
            self.pages_until_kill -= 1
            yield ListedPage(tuple(self.events[first : first + 2]), {"at": first + 2})


class World:
    def __init__(self, *events: ObjectEvent, routes: Any = "process") -> None:
        self.bucket = Bucket(*events)
        self.ledger = Ledger(MemoryStore(), now=lambda: NOW)
        self.runs = FakeRuns("process", "archive")
        self.routes = Routes.of(routes)

    async def seen(self, event: ObjectEvent, what: str = "started") -> None:
        """A notification came, and a dispatcher has settled it."""
        await self.ledger.judge([(event, ["process"])])
        run = run_id(event) if what == "started" else None
        await self.ledger.record([Decision(event=event, what=what, dag_id="process", run_id=run)])

    async def reconcile(self, name: str = "n", **settings: Any) -> dict[str, Any]:
        reconciler = self.reconciler(name, **settings)
        assert await reconciler.run() is None
        return {what: count for what, count in reconciler.report.serialize().items() if count}

    def reconciler(self, name: str = "n", *, takes_turns: bool = False, **settings: Any) -> Reconciler:
        return Reconciler(
            self.bucket,
            self.ledger,
            routes=self.routes,
            runs=self.runs,
            gates=gates_of(self.routes, self.runs, lambda: 0.0),
            settings=ReconcileSettings(**settings),
            now=lambda: NOW,
            name=name,
            takes_turns=takes_turns,
        )


async def test_what_was_never_seen_is_started_and_marked() -> None:
    world = World(listed(key="a"))
    report = await world.reconcile()
    assert report == {"listed": 1, "missing": 1, "started": 1, "examples": ["s3://landing-zone/a"]}
    ((_, conf),) = world.runs.confs.items()
    assert conf["s3_event"]["extra"] == {"origin": "reconcile"}
    assert ObjectEvent.deserialize(conf["s3_event"]).key == "a"


async def test_what_was_seen_and_settled_is_left_alone() -> None:
    world = World(listed(key="a"), listed(key="b"))
    await world.seen(notice(key="a"))
    await world.seen(notice(key="b"), "unmatched")
    assert await world.reconcile() == {"listed": 2, "matched": 2}


async def test_what_was_seen_and_is_not_settled_is_late_and_named_as_its_notification() -> None:
    world = World(listed(key="a"))
    await world.seen(notice(key="a"), "put_off")
    report = await world.reconcile()
    assert (report["late"], report["started"]) == (1, 1)
    assert list(world.runs.stored) == [("process", run_id(notice(key="a")))]


async def test_a_second_reconciliation_starts_nothing() -> None:
    world = World(listed(key="a"))
    await world.reconcile("one")
    assert await world.reconcile("two") == {"listed": 1, "matched": 1}
    assert len(world.runs.stored) == 1


async def test_an_overwrite_whose_notification_was_lost_is_missing() -> None:
    world = World(listed(key="a", after=600, etag="other"))
    await world.seen(notice(key="a"))
    assert (await world.reconcile())["started"] == 1


async def test_a_dry_run_starts_and_notes_nothing() -> None:
    world = World(listed(key="a"))
    for _ in range(2):
        report = await world.reconcile(dry_run=True)
        assert report == {"listed": 1, "missing": 1, "examples": ["s3://landing-zone/a"]}
    assert world.runs.stored == {}
    assert len(world.ledger.store) == 0  # type: ignore[arg-type]


async def test_only_what_is_asked_for_is_compared() -> None:
    world = World(
        listed(key="a.tmp"),
        listed(key="b.csv", after=-60),
        listed(key="c.csv"),
        listed(key="d.csv", after=3599),
    )
    report = await world.reconcile(when=suffix(".csv"), modified_after=NOON - timedelta(seconds=30))
    assert (report["skipped"], report["examples"]) == (3, ["s3://landing-zone/c.csv"])


async def test_what_no_route_takes_is_counted() -> None:
    world = World(listed(key="a"), listed(key="b"), routes={"process": {"suffix": "a"}})
    report = await world.reconcile()
    assert (report["unmatched"], report["started"]) == (1, 1)


async def test_each_route_of_an_event_starts_its_run() -> None:
    routes = Routes(["process", "archive"], mode="all")  # type: ignore[list-item]
    world = World(listed(key="a"), routes=routes)
    assert (await world.reconcile())["started"] == 2
    assert sorted(dag for dag, _ in world.runs.stored) == ["archive", "process"]


async def test_a_limit_stops_it() -> None:
    world = World(*(listed(key=f"k{n}") for n in range(5)))
    assert (await world.reconcile(limit=3))["started"] == 3
    assert len(world.runs.stored) == 3


async def test_a_kill_between_two_pages_goes_on_where_it_was() -> None:
    world = World(*(listed(key=f"k{n}") for n in range(6)))
    world.bucket.pages_until_kill = 2
    with pytest.raises(KeyboardInterrupt):
        await world.reconciler().run()
    world.bucket.pages_until_kill = 1
    report = await world.reconcile()
    assert (report["listed"], report["missing"], report["started"]) == (6, 6, 6)
    assert world.runs.calls.count("create") == 6


async def test_a_kill_amid_a_page_starts_nothing_twice_and_counts_once() -> None:
    world = World(*(listed(key=f"k{n}") for n in range(2)))
    create, calls = world.runs.create, []

    async def dies_at_the_second(dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
        calls.append(run_id)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return await create(dag_id, run_id, conf, note)

    world.runs.create = dies_at_the_second  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        await world.reconciler().run()
    report = await world.reconcile()
    assert (report["listed"], report["missing"], report["started"]) == (2, 2, 2)
    assert len(world.runs.stored) == 2


async def test_once_done_the_same_name_begins_anew() -> None:
    world = World(listed(key="a"))
    await world.reconcile()
    assert await world.reconcile() == {"listed": 1, "matched": 1}


async def test_a_full_dag_is_waited_for_and_nothing_is_counted_twice() -> None:
    world = World(
        *(listed(key=f"k{n}") for n in range(4)), routes={"dag_id": "process", "max_queued_runs": 3}
    )
    closed = await world.reconciler().run()
    assert closed is not None
    assert not closed.refused
    for name in world.runs.stored:
        world.runs.stored[name] = RunState.SUCCESS
    report = await world.reconcile()
    assert (report["listed"], report["missing"], report["started"]) == (4, 4, 4)


async def test_a_refusal_is_counted_and_tried_by_the_next() -> None:
    world = World(listed(key="a"))
    world.runs.refusing = {"process"}
    assert (await world.reconcile("one"))["refused"] == 1
    world.runs.refusing = set()
    assert (await world.reconcile("two"))["started"] == 1


async def test_a_run_that_airflow_does_not_have_is_no_start() -> None:
    world = World(listed(key="a"))
    world.runs.forgetful = True
    report = await world.reconcile()
    assert ("started" in report, report["refused"]) == (False, 1)


@pytest.mark.parametrize(
    "settings",
    [{"modified_after": NOON.replace(tzinfo=None)}, {"min_age_seconds": -1}, {"limit": 0}, {"limit": True}],
    ids=str,
)
def test_a_setting_that_cannot_work_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        ReconcileSettings(**settings)


@pytest.mark.parametrize("label", ["{event_time}", "{event_type}", "{date}/{file}", "{etag}"])
async def test_what_a_notification_has_named_has_its_label_too(label: str) -> None:
    world = World(listed(key="a", after=1), routes=Route(dag_id="process", label=label))
    (route,) = world.routes
    await world.seen(notice(key="a"), "put_off")
    await world.reconcile()
    assert list(world.runs.stored) == [("process", name_of(route, notice(key="a"), 0))]


@pytest.mark.parametrize("member", ["region", "principal_id", "size"])
def test_a_label_of_what_a_listing_does_not_tell_is_refused(member: str) -> None:
    with pytest.raises(ConfigurationError, match=f"label.*{member}"):
        unasking(Routes([Route(dag_id="process", label=f"{{file}}-{{{member}}}")]))
    unasking(Routes([Route(dag_id="process", label="{{size}}-{date}")]))


async def test_with_turns_nothing_is_started_while_a_run_of_the_key_works() -> None:
    world = World(listed(key="a", after=600, etag="other"), listed(key="b"))
    await world.reconcile(takes_turns=True)
    world.bucket.events = [listed(key="a", after=1200, etag="third")]
    closed = await world.reconciler("two", takes_turns=True).run()
    assert closed is not None
    assert "comes first" in closed.reason
    world.runs.stored = dict.fromkeys(world.runs.stored, RunState.SUCCESS)
    assert (await world.reconcile("two", takes_turns=True))["started"] == 1


async def test_with_turns_a_refusal_holds_nobody_back() -> None:
    world = World(listed(key="a"))
    world.runs.refusing.add("process")
    assert (await world.reconcile(takes_turns=True))["refused"] == 1
    world.runs.refusing.clear()
    world.bucket.events = [listed(key="a", after=600, etag="other")]
    assert (await world.reconcile("two", takes_turns=True))["started"] == 1
