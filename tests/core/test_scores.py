"""A scorer's answer beside the routes' word."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import nothing
from airflow_s3events.routing import Route, Routes
from airflow_s3events.scores import Score, scored
from tests.core.filter_strategies import make_event

ROUTES = Routes([Route(dag_id="urgent", when=nothing), Route(dag_id="process", name="usual")])
MATCH = ROUTES.match(make_event())


def test_no_answer_leaves_everything_to_the_routes() -> None:
    assert scored(None, MATCH, ROUTES).match == MATCH
    assert scored(Score(), MATCH, ROUTES).match == MATCH


def test_a_route_is_chosen_by_its_name() -> None:
    found = scored(Score(route="urgent", priority=5), MATCH, ROUTES)
    assert [route.dag_id for route in found.match.routes] == ["urgent"]
    assert found.priority == 5
    assert found.unscored == MATCH


def test_what_is_dropped_gets_no_route_and_keeps_the_reason() -> None:
    found = scored(Score(drop="a copy of last year"), MATCH, ROUTES)
    assert found.match.unmatched
    assert found.drop == "a copy of last year"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("urgent", "returned str, not Score"),
        (True, "returned bool"),
        (Score(route="nobody"), "route 'nobody'; known are urgent, usual"),
        (Score(route="process"), "known are urgent, usual"),
    ],
)
def test_an_answer_that_cannot_be_used_says_why(answer: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        scored(answer, MATCH, ROUTES)


def test_no_route_can_be_chosen_where_each_decides_for_itself() -> None:
    routes = Routes.of({"routes": ["a", "b"], "mode": "all"})
    with pytest.raises(ConfigurationError, match="mode='all'"):
        scored(Score(route="a"), routes.match(make_event()), routes)


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"priority": 1.5}, "priority"),
        ({"priority": True}, "priority"),
        ({"route": 1}, "route"),
        ({"drop": True}, "drop"),
        ({"drop": "old", "route": "a"}, "drop"),
    ],
)
def test_a_score_names_the_member_that_cannot_be_used(members: Any, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Score(**members)
