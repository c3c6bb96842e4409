"""What is asked of S3 for a batch: only what decides, at most once, never too much at a time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events import filters as f
from airflow_s3events.enrich import CALLS_AT_ONCE, KEPT_EVENTS, Enricher, state_of
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import OutageError, RunRefusedError
from airflow_s3events.facts import ObjectFacts
from airflow_s3events.filters import EventFilter
from airflow_s3events.messages import Message
from airflow_s3events.routing import Route, Routes
from airflow_s3events.testing import bodies
from tests.core.filter_strategies import answers, asking_filters, make_event

GOLD = f.tag("class", "gold")
TAGS = ObjectFacts(state="found", asked=("tags",), tags={"class": "gold"})
HEAD = ObjectFacts(state="found", asked=("head",), content_type="text/csv", metadata={})


class FakeS3:
    """Gives the same answers for all objects, and counts its calls."""

    def __init__(self, told: dict[str, ObjectFacts] | None = None) -> None:
        self.told = told or {"tags": TAGS, "head": HEAD}
        self.refuses: set[str] = set()
        self.outages = 0
        self.calls: Counter[tuple[str, str]] = Counter()
        self.at_once = self.most_at_once = 0

    async def ask(self, event: ObjectEvent, part: str) -> ObjectFacts:
        self.calls[event.key, part] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.outages:
            self.outages -= 1
            raise OutageError("S3 is away")
        if part in self.refuses:
            raise RunRefusedError(f"s3: no right to {part}")
        return self.told[part]


def message(key: str = "in/a.csv", number: int = 0, **more: Any) -> Message:
    body = bodies.object_created_body("inbox", key, sequencer=f"{number + 1:018X}", **more)
    return Message(message_id=f"m{number}-{key}", receipt_handle="secret", body=body)


def event_of(one: Message) -> ObjectEvent:
    (event,) = parse_body(one.body, message_id=one.delivery_id).events
    return event


async def asked(routes: Any, *batch: Message, s3: FakeS3 | None = None) -> tuple[Enricher, FakeS3]:
    s3 = s3 or FakeS3()
    enricher = Enricher(Routes.of(routes), s3)
    await enricher.prepare(batch)
    return enricher, s3


async def test_only_what_the_cheap_tests_leave_open_is_asked_whatever_order_the_user_wrote() -> None:
    batch = [message("in/a.csv"), message("in/b.tmp", 1), message("out/c.csv", 2)]
    enricher, s3 = await asked({"load": GOLD & f.suffix(".csv") & f.prefix("in/")}, *batch)
    assert s3.calls == {("in/a.csv", "tags"): 1}
    assert [len(enricher.match(event_of(one)).routes) for one in batch] == [1, 0, 0]


async def test_routes_that_ask_nothing_cost_nothing() -> None:
    enricher, s3 = await asked({"load": f.suffix(".csv")}, message())
    assert not s3.calls
    assert enricher.known(event_of(message()))[0] is not None
    assert len(enricher.match(event_of(message())).routes) == 1


async def test_what_was_asked_is_in_the_event_for_every_route() -> None:
    routes = Routes([Route(dag_id="a", when=GOLD), Route(dag_id="b", enrich=["head"])], mode="all")
    enricher, s3 = await asked(routes, message())
    facts = enricher.known(event_of(message()))[0].facts
    assert facts is not None
    assert (facts.tags, facts.content_type) == ({"class": "gold"}, "text/csv")
    assert s3.calls == {("in/a.csv", "tags"): 1, ("in/a.csv", "head"): 1}


async def test_a_route_that_another_one_beats_asks_nothing_for_its_conf() -> None:
    routes = Routes([Route(dag_id="a", when=f.prefix("in/")), Route(dag_id="b", enrich=["head", "tags"])])
    _, s3 = await asked(routes, message("in/a"), message("out/b", 1))
    assert s3.calls == {("out/b", "tags"): 1, ("out/b", "head"): 1}


async def test_an_event_that_comes_twice_is_asked_about_once_in_a_batch_and_again_soon_after() -> None:
    enricher, s3 = await asked({"load": GOLD}, message(), replace(message(), message_id="again"))
    await enricher.prepare([message()])
    assert s3.calls.total() == 1


async def test_a_bounded_number_of_answers_is_kept() -> None:
    enricher, s3 = await asked({"load": GOLD}, *(message(f"{n}", n) for n in range(KEPT_EVENTS + 1)))
    await enricher.prepare([message("0"), message(f"{KEPT_EVENTS}", KEPT_EVENTS)])
    assert s3.calls["0", "tags"] == 2
    assert s3.calls.total() == KEPT_EVENTS + 2


async def test_no_more_calls_than_connections_are_made_at_once() -> None:
    _, s3 = await asked({"load": GOLD}, *(message(f"{n}", n) for n in range(100)))
    assert s3.most_at_once == CALLS_AT_ONCE


async def test_an_event_of_a_removal_says_itself_that_its_object_is_gone() -> None:
    removed = json.loads(message().body)
    removed["Records"][0]["eventName"] = "ObjectRemoved:Delete"
    one = replace(message(), body=json.dumps(removed))
    enricher, s3 = await asked({"load": f.object_state("gone")}, one)
    assert not s3.calls
    assert len(enricher.match(event_of(one)).routes) == 1


async def test_nothing_is_asked_about_events_that_are_too_old_to_start_anything() -> None:
    s3 = FakeS3()
    later = datetime(2100, 1, 1, tzinfo=timezone.utc)
    await Enricher(Routes.of({"load": GOLD}), s3).prepare([message(), replace(message(), body="x")], later)
    assert not s3.calls


async def test_a_missing_right_is_the_error_of_the_route_that_asked_and_of_no_other() -> None:
    s3 = FakeS3()
    s3.refuses = {"tags"}
    routes = Routes(
        [
            Route(dag_id="a", when=GOLD),
            Route(dag_id="b", when=f.suffix(".csv")),
            Route(dag_id="c", when=f.prefix("in/"), enrich=["tags"]),
            Route(dag_id="d", when=f.prefix("i"), enrich=["head"]),
        ],
        mode="all",
    )
    enricher, _ = await asked(routes, message(), s3=s3)
    match = enricher.match(event_of(message()))
    assert [route.dag_id for route in match.routes] == ["b", "d"]
    assert {failure.route.dag_id: str(failure.error) for failure in match.errors} == {
        "a": "s3: no right to tags",
        "c": "s3: no right to tags",
    }


async def test_a_failing_predicate_stays_the_error_of_its_route_beside_a_missing_right() -> None:
    s3 = FakeS3()
    s3.refuses = {"head"}
    broken = f.predicate("package_that_is_not_there:wanted")
    routes = Routes([Route(dag_id="a", when=broken), Route(dag_id="b", enrich=["head"])], mode="all")
    enricher, _ = await asked(routes, message(), s3=s3)
    assert [failure.route.dag_id for failure in enricher.match(event_of(message())).errors] == ["a", "b"]


async def test_a_refusal_is_asked_again_with_the_next_batch() -> None:
    s3 = FakeS3()
    s3.refuses = {"tags"}
    enricher, _ = await asked({"load": GOLD}, message(), s3=s3)
    s3.refuses = set()
    await enricher.prepare([message()])
    assert len(enricher.match(event_of(message())).routes) == 1


async def test_an_outage_is_the_callers_to_wait_out_and_keeps_what_was_said() -> None:
    s3 = FakeS3()
    s3.outages = 1
    enricher = Enricher(Routes.of({"load": GOLD}), s3)
    batch = [message("a"), message("b", 1)]
    with pytest.raises(OutageError):
        await enricher.prepare(batch)
    await enricher.prepare(batch)
    assert s3.calls == {("a", "tags"): 2, ("b", "tags"): 1}


async def test_where_nobody_asks_s3_the_route_says_so() -> None:
    enricher = Enricher(Routes.of({"load": GOLD}))
    await enricher.prepare([message()])
    (failure,) = enricher.match(event_of(message())).errors
    assert "nobody here asks S3" in str(failure.error)


@given(
    st.lists(asking_filters.filter(lambda item: item != f.everything), min_size=1, max_size=3, unique=True),
    st.sampled_from(["first", "all"]),
    answers,
)
def test_asking_as_little_as_possible_decides_as_asking_everything_first(
    wanted: list[EventFilter], mode: Any, told: dict[str, ObjectFacts]
) -> None:
    routes = Routes([Route(dag_id=f"d{n}", when=when) for n, when in enumerate(wanted)], mode=mode)
    enricher, s3 = asyncio.run(asked(routes, message("a/b"), s3=FakeS3(told)))
    known = replace(event_of(message("a/b")), facts=told["tags"].with_(told["head"]))
    assert enricher.match(event_of(message("a/b"))) == routes.match(known)
    assert all(times == 1 for times in s3.calls.values())


NOON = datetime(2026, 5, 4, 12, 0, 0, 500_000, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("members", "found", "state"),
    [
        ({"version_id": "v"}, {"etag": '"other"'}, "found"),
        ({"etag": "e"}, {"etag": '"e"'}, "found"),
        ({"etag": "e"}, {"etag": '"other"'}, "newer"),
        ({}, {"etag": '"e"'}, "unverified"),
        ({"etag": "e"}, {}, "unverified"),
        ({"etag": ""}, {"etag": '"e"'}, "unverified"),
        ({"etag": "e", "event_time": NOON}, {"etag": '"e"', "modified": NOON}, "found"),
        ({"etag": "e", "event_time": NOON}, {"etag": '"e"', "modified": NOON + timedelta(hours=1)}, "newer"),
        ({"event_time": NOON}, {"etag": "e", "modified": NOON + timedelta(seconds=2)}, "newer"),
    ],
)
def test_version_time_and_etag_tell_whether_an_object_is_the_events(
    members: dict[str, Any], found: dict[str, Any], state: str
) -> None:
    given = {"etag": None, "modified": None, **found}
    assert state_of(make_event(**members), **given) == state
