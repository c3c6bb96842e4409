"""An event keeps the DAG that it got, whatever S3 says of its object later."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from airflow_s3events import filters as f
from airflow_s3events.dispatch.starting import name_of
from airflow_s3events.envelopes import parse_body
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.facts import ObjectFacts
from airflow_s3events.filters import EventFilter
from airflow_s3events.ledger import Naming
from airflow_s3events.ledger.ledger import Verdict
from airflow_s3events.routing import Route, Routes
from airflow_s3events.settlement import RunState
from tests.core.filter_strategies import answers, asking_filters, make_event
from tests.core.test_dispatch_enriched import World
from tests.core.test_enrich import GOLD, message

SILVER = f.tag("class", "silver")
SILVERED = ObjectFacts(state="found", asked=("tags",), tags={"class": "silver"})
BARE = ObjectFacts(state="found", asked=("tags",), tags={})


async def delivered_again(routes: Any, told: ObjectFacts) -> World:
    """Deliver one message to a dispatcher, then to another one, for which the tags are those of ``told``."""
    first, second = World(routes), World(routes)
    await first.dispatcher.dispatch([message()])
    second.runs.stored.update(first.runs.stored)
    second.s3.told["tags"] = told
    await second.dispatcher.dispatch([message()])
    assert second.inbox.fates["m0-in/a.csv"][0] == "acknowledged"
    return second


@pytest.mark.parametrize(
    "routes",
    [
        {"process": GOLD, "archive": SILVER},
        Routes([Route(dag_id="process", when=GOLD)], default=Route(dag_id="archive")),
        Routes([Route(dag_id="process", when=GOLD)], default=Route(dag_id="archive"), mode="all"),
        {"process": GOLD, "archive": None},
    ],
    ids=["two filters", "default", "default of all", "one filter and a sure route"],
)
@pytest.mark.parametrize("told", [SILVERED, BARE], ids=["other tags", "no tags"])
async def test_a_tag_that_has_changed_starts_no_second_run(routes: Any, told: ObjectFacts) -> None:
    world = await delivered_again(routes, told)
    assert world.dags() == ["process"]
    assert world.dispatcher.counts == {"duplicate": 1}


async def test_an_event_without_a_run_gets_what_s3_says_now() -> None:
    world = World({"archive": SILVER, "process": GOLD})
    await world.dispatcher.dispatch([message()])
    assert world.dags() == ["process"]


async def test_a_run_under_the_name_that_a_reconciliation_gave_counts() -> None:
    world = World({"process": GOLD, "archive": SILVER})
    world.s3.told["tags"] = SILVERED
    (event,) = parse_body(message().body, message_id="m").events
    await world.dispatcher.enricher.prepare([message()], None)
    verdict = Verdict("a" * 40, "", {}, naming=Naming("a" * 40))
    name = name_of(Route(dag_id="process"), event, 0, verdict.naming)
    world.runs.stored["process", name] = RunState.SUCCESS
    choice = await world.dispatcher.choices.choose(event, verdict)
    assert [route.dag_id for route in choice.match.routes] == ["process"]


async def test_an_event_that_no_route_takes_any_more_is_no_dead_letter() -> None:
    routes = Routes([Route(dag_id="process", when=GOLD)], unmatched="dead-letter")
    assert (await delivered_again(routes, BARE)).dags() == ["process"]


async def test_airflow_is_asked_about_no_route_that_the_event_could_not_get() -> None:
    routes = {"process": f.prefix("in/") & GOLD, "archive": f.prefix("out/") & SILVER}
    world = World(routes)
    await world.dispatcher.dispatch([message()])
    assert "state" not in world.runs.calls


@given(
    filters=st.lists(asking_filters, min_size=1, max_size=4),
    default=st.booleans(),
    answer=answers,
    key=st.sampled_from(["in/a.csv", "out/b.csv"]),
)
def test_whatever_s3_says_the_event_goes_to_one_of_the_rivals_or_s3_had_no_say(
    filters: list[EventFilter], default: bool, answer: dict[str, ObjectFacts], key: str
) -> None:
    listed = [Route(dag_id=f"d{number}", when=one) for number, one in enumerate(filters)]
    try:
        routes = Routes(listed, default=Route(dag_id="rest") if default else None)
    except ConfigurationError:  # one of them can never be reached
        reject()
    event = make_event(key=key)
    told = routes.match(replace(event, facts=answer["tags"].with_(answer["head"])))
    assert not told.errors
    assert set(told.routes) <= set(routes.rivals(event)) or told == routes.match(event)
