"""What the conf and the run id of a route's runs are filled with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.dispatch.starting import name_of
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.identity import event_id
from airflow_s3events.routing import Route
from tests.core.filter_strategies import events, make_event

DAY = "orders/(?P<day>[0-9-]+)/"
EVENT = make_event("orders/2026-11-25/a b.csv", version_id="v1")


def conf_of(event: Any = EVENT, **route: Any) -> dict[str, Any]:
    conf = Route(dag_id="a", **route).conf(event.serialize())
    del conf["s3_event"]
    return conf


def test_templates_are_filled_with_what_the_event_says_and_the_key_holds() -> None:
    texts = {"day": "{day}", "where": "{bucket}:{folder}:{file}", "v": "{version_id}", "braces": "{{{size}}}"}
    assert conf_of(capture=DAY, templates=texts, extra={"x": "{day}"}) == {
        "day": "2026-11-25",
        "where": "inbox:orders/2026-11-25:a b.csv",
        "v": "v1",
        "braces": "{10}",
        "x": "{day}",
    }


def test_what_the_event_does_not_say_is_empty() -> None:
    plain = make_event("other")
    assert conf_of(plain, capture=DAY, templates={"a": "{day}|{version_id}|{date}|{folder}"}) == {"a": "|||"}


def test_a_label_stands_for_the_key_in_the_run_id_and_the_event_id_stays() -> None:
    route = Route(dag_id="a", capture=DAY, label="{day} {event_type}")
    assert name_of(route, EVENT, 0) == f"s3_2026-11-25-ObjectCreated-Put_{event_id(EVENT)}"
    opaque = Route(dag_id="a", label="{key}", run_id="opaque")
    assert name_of(opaque, EVENT, 0) == f"s3_{event_id(EVENT)}"


@given(events, st.sampled_from(["{key}", "{file}{{{folder}", "é{bucket}..", "{date}"]))
def test_a_label_of_any_key_is_a_run_id_that_airflow_takes(event: Any, label: str) -> None:
    name = name_of(Route(dag_id="a", label=label), event, 0)
    assert len(name) <= 200
    assert ".." not in name
    assert name.isascii()


def test_a_note_is_filled_and_cut_to_what_airflow_stores() -> None:
    route = Route(dag_id="a", capture=DAY, note="{bucket}, day {day}: {file}")
    assert route.note_of(EVENT.serialize()) == "inbox, day 2026-11-25: a b.csv"
    assert len(Route(dag_id="a", note="{key}").note_of(make_event("x" * 1024).serialize())) == 1000
    assert Route(dag_id="a").note_of(EVENT.serialize()) == ""


def _route(**given: Any) -> Route:
    return Route(dag_id="a", **given)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Route(dag_id="a", label="{day}"), "nothing is called 'day'; known are bucket, key"),
        (lambda: Route(dag_id="a", templates={"x": "{key"}), "templates: x: .*brace alone"),
        (lambda: Route(dag_id="a", templates={"x": "{key.upper}"}), "brace alone"),
        (lambda: _route(templates={"x": 5}), "5 is not text"),
        (lambda: Route(dag_id="a", templates={"x": ""}, extra={"x": 1}), "'x' is taken"),
        (lambda: Route(dag_id="a", templates={"s3_event": ""}), "'s3_event' is taken"),
        (lambda: _route(templates=["x"]), "not a mapping of names to texts"),
        (lambda: Route(dag_id="a", capture="("), "capture: regex"),
        (lambda: Route(dag_id="a", capture="(?P<x>a+)+$"), "capture: .*could take long"),
        (lambda: Route(dag_id="a", capture="a+"), "capture: 'a[+]': it has no group"),
        (lambda: Route(dag_id="a", capture="(?P<key>a)"), "'key' is taken"),
        (lambda: _route(priority=1.5), "priority: 1.5"),
        (lambda: Route(dag_id="a", max_active_runs=0), "max_active_runs: 0"),
        (lambda: Route(dag_id="a", max_runs_per_minute=True), "max_runs_per_minute: True"),
    ],
)
def test_what_cannot_work_is_refused_by_name(make: Callable[[], Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        make()
