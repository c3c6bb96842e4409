"""A scorer in a dispatcher: what it sets, what stands in for it, and that an event keeps what it got."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from dataclasses import replace
from typing import Any

import pytest

from airflow_s3events import filters as f
from airflow_s3events.decision_lines import key_digest
from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.journal import Journal, Order
from airflow_s3events.dispatch.scoring import MOST_HUNG, ScorerError, ThreadAsker, check_scorer, load_scorer
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.facts import ObjectFacts
from airflow_s3events.identity import event_id
from airflow_s3events.ledger import Ledger, MemoryStore
from airflow_s3events.routing import Route, Routes
from airflow_s3events.scores import Score
from airflow_s3events.testing import Clock, InMemoryDispatcher, InMemoryQueue
from tests.core.dispatch_fakes import FakeInbox, FakeRuns
from tests.core.filter_strategies import make_event
from tests.core.test_dispatch import NOW
from tests.core.test_enrich import GOLD, FakeS3, event_of, message

LONG_SECONDS = 60.0
TWO = {"process": f.prefix("in/"), "archive": f.nothing}


class World:
    """Dispatchers one after the other, over one Airflow, each with a scorer of its own."""

    def __init__(self, routes: Any = TWO, ordering: Any = None) -> None:
        self.runs, self.s3, self.routes = FakeRuns("process", "archive", "rest"), FakeS3(), Routes.of(routes)
        self.ledger = None if ordering is None else Ledger(MemoryStore(), now=lambda: NOW)
        self.order = Order.of(ordering or "none", ledger="sql:ledger")
        self.asked: list[ObjectEvent] = []

    async def dispatch(self, scorer: Any, *messages: Any, lines: DecisionLog | None = None) -> Dispatcher:
        def noted(event: ObjectEvent) -> Any:
            self.asked.append(event)
            return scorer(event) if callable(scorer) else scorer

        self.inbox = FakeInbox()
        dispatcher = Dispatcher(
            inbox=self.inbox,
            routes=self.routes,
            runs=self.runs,
            settings=DispatchSettings(),
            now=lambda: NOW,
            clock=lambda: 0.0,
            source=self.s3,
            journal=Journal(self.ledger, self.order),
            asker=ThreadAsker(noted, LONG_SECONDS),
            lines=lines or DecisionLog(),
        )
        await dispatcher.dispatch(messages or [message()])
        return dispatcher

    def dags(self) -> list[str]:
        return [dag_id for dag_id, _ in self.runs.stored]


async def test_the_scorer_sends_an_event_to_another_route() -> None:
    world = World()
    await world.dispatch(Score(route="archive"))
    assert world.dags() == ["archive"]


async def test_what_the_scorer_drops_is_counted_and_acknowledged() -> None:
    world = World()
    dispatcher = await world.dispatch(Score(drop="a test file"))
    assert dispatcher.counts == {"dropped": 1}
    assert world.inbox.fates["m0-in/a.csv"][0] == "acknowledged"
    assert world.dags() == []


async def test_the_ledger_says_why_an_event_was_dropped() -> None:
    world = World(ordering="none")
    await world.dispatch(Score(drop="a test file"))
    assert world.ledger is not None
    (entry,) = await world.ledger.history("inbox", "in/a.csv")
    assert (entry.what, entry.reason, entry.disposition) == ("dropped", "a test file", "acknowledge")


async def test_the_scorers_priority_goes_before_that_of_the_routes() -> None:
    world = World([Route(dag_id="process", when=f.prefix("in/"), priority=1), Route(dag_id="archive")])

    def urgent(event: ObjectEvent) -> Score | None:
        return Score(priority=9) if event.key == "in/c" else None

    await world.dispatch(urgent, message("out/a"), message("in/b", 1), message("in/c", 2))
    assert [conf["s3_event"]["key"] for conf in world.runs.confs.values()] == ["in/c", "in/b", "out/a"]


async def test_the_scorer_sees_what_s3_said() -> None:
    world = World({"process": GOLD, "archive": f.nothing})
    await world.dispatch(None)
    (event,) = world.asked
    assert event.facts is not None
    assert event.facts.tags == {"class": "gold"}


async def test_the_scorer_is_not_asked_about_what_no_route_takes_nor_twice_about_one_event() -> None:
    world, one = World(), message("in/b", 1)
    await world.dispatch(None, message("out/a"), one, replace(one, message_id="again"))
    assert [event.key for event in world.asked] == ["in/b"]


async def test_the_scorer_is_not_asked_while_the_dispatcher_stops() -> None:
    world = World()
    stopping = FakeInbox()
    stopping.stopping = True
    dispatcher = Dispatcher(
        inbox=stopping,
        routes=world.routes,
        runs=world.runs,
        settings=DispatchSettings(),
        now=lambda: NOW,
        clock=lambda: 0.0,
        asker=ThreadAsker(world.asked.append, LONG_SECONDS),
    )
    await dispatcher.dispatch([message()])
    assert world.asked == []


async def test_a_stop_does_not_wait_for_a_scorer_that_hangs() -> None:
    world, release = World(), threading.Event()
    stopping = FakeInbox()

    def hang(_: ObjectEvent) -> None:
        stopping.stopping = True
        release.wait(LONG_SECONDS)

    dispatcher = Dispatcher(
        inbox=stopping,
        routes=world.routes,
        runs=world.runs,
        settings=DispatchSettings(),
        now=lambda: NOW,
        clock=lambda: 0.0,
        asker=ThreadAsker(hang, LONG_SECONDS),
    )
    await asyncio.wait_for(dispatcher.dispatch([message()]), LONG_SECONDS / 2)
    assert world.runs.stored == {}
    release.set()


# --- an event keeps what it got -----------------------------------------------------------------------------

ANSWERS = [None, Score(route="process"), Score(route="archive"), Score(drop="no")]


def _broken(_: ObjectEvent) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("ordering", [None, "none", "per_key"])
@pytest.mark.parametrize("later", [*ANSWERS, _broken])
@pytest.mark.parametrize("first", [*ANSWERS[:3], _broken])
async def test_a_scorer_that_changes_its_mind_starts_no_second_run(
    first: Any, later: Any, ordering: Any
) -> None:
    world = World(ordering=ordering)
    await world.dispatch(first)
    (before,) = world.runs.stored
    second = await world.dispatch(later)
    assert list(world.runs.stored) == [before]
    assert second.counts == {"duplicate": 1}


@pytest.mark.parametrize("later", [Score(route="archive"), Score(drop="no")])
async def test_the_ledger_keeps_the_choice_for_longer_than_airflow_keeps_the_run(later: Any) -> None:
    world = World(ordering="none")
    await world.dispatch(None)
    world.runs.stored.clear()
    assert (await world.dispatch(later)).counts == {"duplicate": 1}
    assert world.dags() == []


async def test_the_ledger_keeps_a_drop() -> None:
    world = World(ordering="none")
    await world.dispatch(Score(drop="a test file"))
    assert (await world.dispatch(None)).counts == {"dropped": 1}
    assert world.dags() == []


async def test_a_choice_that_is_stood_by_leaves_no_turn_taken_elsewhere() -> None:
    world = World(ordering="per_key")
    await world.dispatch(None)
    # Killed before the ledger was told: it has a turn without a run, and the event comes again.
    world.ledger = Ledger(MemoryStore(), now=lambda: NOW)
    await world.dispatch(Score(route="archive"))
    assert world.dags() == ["process"]
    later = await world.dispatch(Score(route="archive"), message("in/a.csv", 7))
    assert later.counts == {"started": 1}


async def test_a_drop_that_comes_too_late_keeps_no_route_from_its_run() -> None:
    world = World({"routes": ["process", "archive"], "mode": "all"})
    await world.dispatch(None)
    del world.runs.stored["process", next(name for dag, name in world.runs.stored if dag == "process")]
    assert (await world.dispatch(Score(drop="no"))).counts == {"started": 1, "duplicate": 1}
    assert sorted(world.dags()) == ["archive", "process"]


async def test_where_every_route_decides_for_itself_a_changed_tag_keeps_no_other_route_from_its_run() -> None:
    silver = f.tag("class", "silver")
    world = World(
        Routes(
            [Route(dag_id="process", when=GOLD), Route(dag_id="archive", when=silver)],
            default=Route(dag_id="rest"),
            mode="all",
        )
    )
    await world.dispatch(None)
    world.s3.told["tags"] = ObjectFacts(state="found", asked=("tags",), tags={"class": "silver"})
    assert (await world.dispatch(None)).counts == {"started": 1}
    assert sorted(world.dags()) == ["archive", "process"]


# --- what stands in for it ----------------------------------------------------------------------------------


def _counted(dispatcher: Dispatcher) -> dict[str, float]:
    samples = dispatcher.meter.drain()
    return {one.tags["kind"]: one.value for one in samples if one.name == "s3events.scorer.failures"}


@pytest.mark.parametrize(
    ("scorer", "kind", "reason"),
    [
        (_broken, "error", "ZeroDivisionError"),
        (lambda _: sys.exit(1), "error", "SystemExit"),
        (lambda _: "archive", "bad_answer", "returned str"),
        (lambda _: Score(route="nobody"), "bad_answer", "known are process, archive"),
        (lambda _: Score(priority="high"), "error", "priority"),  # type: ignore[arg-type]
    ],
)
async def test_the_routes_decide_where_the_scorer_is_no_help(
    scorer: Any, kind: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    dispatcher = await world.dispatch(scorer, message("in/a"), message("in/b", 1))
    assert world.dags() == ["process", "process"]
    assert _counted(dispatcher) == {kind: 2}
    lines = [one for one in caplog.messages if reason in one]
    assert [one.startswith(f"decision=unscored outcome={kind} ") for one in lines] == [True, True]
    assert all("the routes decide" in one for one in lines)


async def test_a_scorer_that_hangs_costs_one_time_out_each_until_it_is_not_asked_any_more() -> None:
    release = threading.Event()
    called: list[str] = []

    def hang(event: ObjectEvent) -> None:
        called.append(event.key)
        release.wait(LONG_SECONDS)

    asker = ThreadAsker(hang, 0.01)
    kinds = []
    for number in range(MOST_HUNG + 2):
        with pytest.raises(ScorerError) as caught:
            await asker.ask(make_event(key=f"{number}"))
        kinds.append(caught.value.kind)
    assert kinds == ["timeout"] * MOST_HUNG + ["hung"] * 2
    threads = [thread for thread in threading.enumerate() if thread.name == "s3events scorer"]
    assert all(thread.daemon for thread in threads), "none of them keeps the process from its end"
    release.set()
    for thread in threads:
        thread.join(LONG_SECONDS)
    await asyncio.sleep(0)  # what they answered too late is dropped
    assert len(called) == MOST_HUNG
    with pytest.raises(ScorerError):  # asked again, and too slow or not: nothing hangs any more
        await ThreadAsker(_broken, LONG_SECONDS).ask(make_event())


async def test_it_is_asked_again_when_what_hung_has_returned() -> None:
    release = threading.Event()

    def wait(_: ObjectEvent) -> None:
        release.wait(LONG_SECONDS)

    asker = ThreadAsker(wait, 0.01)
    for _ in range(MOST_HUNG):
        with pytest.raises(ScorerError):
            await asker.ask(make_event())
    release.set()
    for thread in threading.enumerate():
        if thread.name == "s3events scorer":
            thread.join(LONG_SECONDS)
    asker._timeout_seconds = LONG_SECONDS
    assert await asker.ask(make_event()) is None


def test_an_answer_after_the_loop_has_ended_is_dropped() -> None:
    release, done = threading.Event(), threading.Event()

    def late(_: ObjectEvent) -> None:
        release.wait(LONG_SECONDS)
        done.set()

    with pytest.raises(ScorerError, match=r"no answer in 0\.01 s"):
        asyncio.run(ThreadAsker(late, 0.01).ask(make_event()))
    release.set()
    assert done.wait(LONG_SECONDS)


async def test_a_process_without_room_for_a_thread_is_no_end_of_the_dispatcher(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", full)
    with pytest.raises(ScorerError, match="can't start new thread"):
        await ThreadAsker(lambda _: None, LONG_SECONDS).ask(make_event())


async def test_each_drop_is_told_of_by_one_line(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level(logging.INFO):
        await world.dispatch(Score(drop="a test file"))
    (line,) = [one for one in caplog.messages if "a test file" in one]
    assert line.startswith("decision=dropped ")
    assert event_id(event_of(message())) in line


def _repeats_the_key(event: ObjectEvent) -> Score:
    raise ValueError(f"cannot place {event.key!r}")


@pytest.mark.parametrize(
    "scorer", [_repeats_the_key, lambda event: Score(drop=f"{event.key} is a test"), lambda event: event.key]
)
async def test_what_a_scorer_says_of_a_key_is_redacted(scorer: Any, caplog: pytest.LogCaptureFixture) -> None:
    world, key = World(), "in/Grüße 'von' Anna"
    with caplog.at_level(logging.INFO):
        named = replace(message(key), message_id="m0")
        await world.dispatch(scorer, named, lines=DecisionLog(redact_keys=True))
    assert key_digest(key) in caplog.text
    assert "Anna" not in caplog.text


# --- the setting --------------------------------------------------------------------------------------------


async def _coroutine(_: ObjectEvent) -> None: ...


@pytest.mark.parametrize("scorer", [1, "no path", "package.module.function", _coroutine])
def test_what_is_no_scorer_is_refused(scorer: Any) -> None:
    with pytest.raises(ConfigurationError, match="scorer"):
        check_scorer(scorer)


@pytest.mark.parametrize(
    "path", ["no_such_package:score", "json:no_such_function", "json:__name__", "asyncio:sleep"]
)
def test_a_path_is_imported_before_the_first_message_and_named_where_that_fails(path: str) -> None:
    check_scorer(path)
    with pytest.raises(ConfigurationError, match="scorer"):
        load_scorer(path)


def test_a_path_or_a_function_is_a_scorer() -> None:
    assert load_scorer("json:dumps").__name__ == "dumps"
    assert load_scorer(_broken) is _broken


def test_the_dispatcher_for_tests_asks_a_scorer_too() -> None:
    clock = Clock()
    queue = InMemoryQueue(clock=clock)
    dispatcher = InMemoryDispatcher(queue, clock)
    queue.put(message().body)
    (run,) = dispatcher.dispatch(TWO, scorer=lambda _: Score(route="archive"))
    assert run.dag_id == "archive"
    queue.put(message("in/b").body)
    (run,) = dispatcher.dispatch(TWO, scorer=_broken)
    assert run.dag_id == "process"
