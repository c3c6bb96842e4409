"""Routes: who gets an event, what stands in a run's conf, and what is refused at construction."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events import filters as f
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import EventFilter
from airflow_s3events.routing import Match, Route, Routes
from tests.core.filter_strategies import events, filters, make_event

_FAILS = f.predicate("package_that_is_not_there:wanted")
_LANDING = f.prefix("landing/")
_CSV = f.suffix(".csv")
_EVENT = make_event("landing/a.csv")
_A = Route(dag_id="a")

_extras = st.dictionaries(
    st.text(max_size=4).filter(lambda name: name != "s3_event"),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), st.lists, max_leaves=3),
    max_size=2,
)


def _route(number: int, when: EventFilter, extra: dict[str, Any], run_id: Any) -> Route:
    return Route(dag_id=f"dag_{number}", when=when, extra=extra, run_id=run_id)


@st.composite
def _routes(draw: st.DrawFn, mode: Any = None) -> Routes:
    # Nobody takes everything and no two take the same: such routes are refused, which has a test of its own.
    chosen = draw(
        st.lists(filters.filter(lambda item: item != f.everything), min_size=1, max_size=4, unique=True)
    )
    routes = [
        _route(number, when, draw(_extras), draw(st.sampled_from(["readable", "opaque"])))
        for number, when in enumerate(chosen)
    ]
    return Routes(
        routes,
        mode=_any(mode or draw(st.sampled_from(["first", "all"]))),
        default=draw(st.none() | st.just(Route(dag_id="rest"))),
        unmatched=draw(st.sampled_from(["discard", "dead-letter", "leave"])),
    )


def _any(value: object) -> Any:
    return value


def _refusal(make: Callable[[], Any]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        make()
    return str(caught.value)


def _dag_ids(match: Match) -> list[str]:
    return [route.dag_id for route in match.routes]


class TestMatch:
    @given(_routes(mode="first"), events)
    def test_first_gives_the_event_to_the_first_that_matches(
        self, routes: Routes, event: ObjectEvent
    ) -> None:
        wanting = [route for route in routes if EventFilter.deserialize(route.when)(event)]
        assert routes.match(event) == Match(tuple(wanting[:1]))

    @given(_routes(mode="all"), events)
    def test_all_gives_the_event_to_every_one_and_the_default_only_to_nobodys(
        self, routes: Routes, event: ObjectEvent
    ) -> None:
        wanting = [route for route in routes.routes if EventFilter.deserialize(route.when)(event)]
        rest = [] if routes.default is None else [routes.default]
        assert routes.match(event) == Match(tuple(wanting or rest))

    @given(_routes(), events)
    def test_the_same_event_always_gets_the_same_dags_and_conf(
        self, routes: Routes, event: ObjectEvent
    ) -> None:
        again = Routes.deserialize(json.loads(json.dumps(routes.serialize())))
        one, other = routes.match(event), again.match(event)
        assert one == other
        assert [r.conf({"key": event.key}) for r in one.routes] == [
            r.conf({"key": event.key}) for r in other.routes
        ]

    def test_an_event_that_nobody_wants_is_unmatched(self) -> None:
        match = Routes.of({"a": f.prefix("other/")}).match(_EVENT)
        assert match == Match()
        assert match.unmatched

    def test_the_default_route_takes_what_nobody_wants(self) -> None:
        routes = Routes([Route(dag_id="a", when=f.prefix("other/"))], default=Route(dag_id="rest"))
        assert _dag_ids(routes.match(_EVENT)) == ["rest"]
        assert not routes.match(_EVENT).unmatched

    def test_a_default_route_alone_takes_everything(self) -> None:
        assert _dag_ids(Routes([], default=Route(dag_id="rest")).match(_EVENT)) == ["rest"]


class TestMatchWithAFailingPredicate:
    def test_in_mode_all_the_other_routes_match_and_the_failure_is_told(self) -> None:
        routes = Routes([Route(dag_id="a", when=_FAILS), Route(dag_id="b", when=_CSV)], mode="all")
        match = routes.match(_EVENT)
        assert _dag_ids(match) == ["b"]
        assert [
            (failure.route.dag_id, "ModuleNotFoundError" in str(failure.error)) for failure in match.errors
        ] == [("a", True)]

    @pytest.mark.parametrize("mode", ["first", "all"])
    def test_an_event_that_one_route_could_not_tell_is_never_unmatched_nor_the_defaults(
        self, mode: Any
    ) -> None:
        routes = Routes([Route(dag_id="a", when=_FAILS)], mode=mode, default=Route(dag_id="rest"))
        match = routes.match(_EVENT)
        assert match.routes == ()
        assert len(match.errors) == 1
        assert not match.unmatched

    def test_in_mode_first_a_later_route_waits_for_the_answer(self) -> None:
        match = Routes.of({"a": _FAILS, "b": _CSV}).match(_EVENT)
        assert match.routes == ()
        assert [failure.route.dag_id for failure in match.errors] == ["a"]

    def test_in_mode_first_an_earlier_route_and_other_events_are_not_held_up(self) -> None:
        routes = Routes.of({"a": _LANDING, "b": _FAILS & f.prefix("odd/"), "c": _CSV})
        assert _dag_ids(routes.match(make_event("landing/a.csv"))) == ["a"]
        assert _dag_ids(routes.match(make_event("other/a.csv"))) == ["c"]


class TestConf:
    def test_holds_the_event_and_the_routes_own_members(self) -> None:
        route = Route(dag_id="a", extra={"team": "ingest", "steps": ("x", "y")})
        assert route.conf({"key": "k"}) == {"s3_event": {"key": "k"}, "team": "ingest", "steps": ["x", "y"]}

    def test_changing_one_conf_or_the_given_mapping_changes_no_other(self) -> None:
        given_extra: dict[str, Any] = {"steps": ["x"]}
        route = Route(dag_id="a", extra=given_extra)
        route.conf({})["steps"].append("y")
        given_extra["steps"].append("z")
        assert route.conf({}) == {"s3_event": {}, "steps": ["x"]}

    @pytest.mark.parametrize(
        ("extra", "named"),
        [
            ({"s3_event": 1}, "'s3_event' is taken by the event"),
            ({1: 2}, "not a mapping of names"),
            (["a"], "not a mapping of names"),
            ({"a": {1, 2}}, "not plain data"),
            ({"a": float("nan")}, "not plain data"),
        ],
    )
    def test_an_extra_that_cannot_stand_there_is_refused(self, extra: Any, named: str) -> None:
        text = _refusal(lambda: Route(dag_id="a", extra=extra))
        assert text.startswith("extra: ")
        assert named in text

    def test_an_extra_that_holds_itself_is_refused(self) -> None:
        endless: dict[str, Any] = {}
        endless["again"] = endless
        assert "not plain data" in _refusal(lambda: Route(dag_id="a", extra=endless))

    def test_the_extra_stays_out_of_the_repr(self) -> None:
        assert "ingest" not in repr(Routes([Route(dag_id="a", extra={"team": "ingest"})]))


class TestRoute:
    @pytest.mark.parametrize("dag_id", ["a", "team.a-b_c", "A" * 250])
    def test_an_id_that_airflow_takes_is_taken(self, dag_id: str) -> None:
        assert Route(dag_id=dag_id).name == dag_id

    @pytest.mark.parametrize("dag_id", ["", "a b", "a/b", "a..b", "A" * 251, "é", "a\n", None, 5])
    def test_an_id_that_airflow_refuses_is_refused(self, dag_id: Any) -> None:
        assert _refusal(lambda: Route(dag_id=dag_id)).startswith(f"dag_id: {dag_id!r}")

    @pytest.mark.parametrize("cap", [0, -1, 1.5, True, "9", None])
    def test_a_cap_is_a_whole_number_from_one(self, cap: Any) -> None:
        assert _refusal(lambda: Route(dag_id="a", max_queued_runs=cap)).startswith(
            f"max_queued_runs: {cap!r}"
        )

    @pytest.mark.parametrize("enrich", ["tags", ["tag"], [None], 5])
    def test_what_cannot_be_asked_is_refused(self, enrich: Any) -> None:
        assert "enrich" in _refusal(lambda: Route(dag_id="a", enrich=enrich))

    def test_what_is_asked_is_kept_in_one_order_and_told(self) -> None:
        route = Route(dag_id="a", enrich=["tags", "head", "tags"])
        assert route.enrich == ("head", "tags")
        assert Routes([route]).asks == {"head", "tags"}
        assert not Routes([route]).filters_ask
        assert Routes.of({"a": f.tag("x"), "b": None}).filters_ask

    @pytest.mark.parametrize("run_id", ["short", None, ["opaque"]])
    def test_another_form_of_run_id_is_refused(self, run_id: Any) -> None:
        assert "run_id" in _refusal(lambda: Route(dag_id="a", run_id=run_id))

    def test_a_name_is_text(self) -> None:
        assert _refusal(lambda: Route(dag_id="a", name=5)) == "name: 5 is not text"  # type: ignore[arg-type]

    def test_no_filter_means_every_event_and_plain_data_is_read(self) -> None:
        assert Route(dag_id="a").when == f.everything
        assert Route(dag_id="a", when={"suffix": ".csv"}) == Route(dag_id="a", when=_CSV)

    def test_a_function_as_filter_is_refused(self) -> None:
        assert "not a mapping" in _refusal(lambda: Route(dag_id="a", when=len))  # type: ignore[arg-type]


class TestPlainData:
    @given(_routes())
    def test_gives_the_routes_back(self, routes: Routes) -> None:
        data = json.loads(json.dumps(routes.serialize()))
        assert Routes.deserialize(data) == routes == Routes.of(data)
        assert Routes.deserialize(data).serialize() == data
        assert hash(Routes.deserialize(data)) == hash(routes)

    @given(_routes())
    def test_copies_and_pickles_are_equal(self, routes: Routes) -> None:
        assert copy.deepcopy(routes) == routes
        assert copy.deepcopy(routes.routes) == routes.routes
        assert pickle.loads(pickle.dumps(routes)) == routes  # noqa: S301 - our own bytes

    @given(_routes(mode="all"), st.randoms(use_true_random=False))
    def test_in_mode_all_the_order_does_not_show(self, routes: Routes, random: Any) -> None:
        shuffled = list(routes.routes)
        random.shuffle(shuffled)
        other = Routes(shuffled, mode="all", default=routes.default, unmatched=routes.unmatched)
        assert other.serialize() == routes.serialize()

    def test_its_form(self) -> None:
        settings: dict[str, Any] = {
            "batch": None,
            "capture": "",
            "enrich": [],
            "extra": {},
            "label": "",
            "max_active_runs": None,
            "max_queued_runs": 1000,
            "max_runs_per_minute": None,
            "priority": 0,
            "run_id": "readable",
            "templates": {},
        }
        assert Routes([Route(dag_id="a", when=_CSV)], default=Route(dag_id="b")).serialize() == {
            "default": {
                **settings,
                "dag_id": "b",
                "name": "b",
                "note": "",
                "when": {"everything": True},
            },
            "mode": "first",
            "routes": [
                {
                    **settings,
                    "dag_id": "a",
                    "name": "a",
                    "note": "",
                    "when": {"suffix": ".csv"},
                }
            ],
            "unmatched": "discard",
        }

    @pytest.mark.parametrize(
        ("read", "data", "named"),
        [
            (Routes.deserialize, {"routes": ["a"], "mod": "all"}, "routes: unknown member 'mod'"),
            (Routes.deserialize, {"mode": "all"}, "routes: 'routes' is missing"),
            (Routes.deserialize, ["a"], "routes: ['a'] is not a mapping"),
            (Routes.deserialize, {"routes": ["a"], "_table": 1}, "routes: unknown member '_table'"),
            (Routes.deserialize, {"routes": ["a"], "default": 5}, "route: 5 is not a mapping"),
            (Route.deserialize, {"dag_id": "a", "filter": {}}, "route: unknown member 'filter'"),
            (Route.deserialize, {"name": "a"}, "route: 'dag_id' is missing"),
            (Route.deserialize, {"dag_id": "a", "when": {"key": "a"}}, "unknown kind 'key'"),
        ],
    )
    def test_other_data_is_refused_by_name(self, read: Callable[[Any], Any], data: Any, named: str) -> None:
        assert named in _refusal(lambda: read(data))


class TestOf:
    def test_every_short_form_stands_for_the_same_routes(self) -> None:
        expected = Routes([Route(dag_id="a")])
        for spec in (
            "a",
            Route(dag_id="a"),
            ["a"],
            [Route(dag_id="a")],
            {"a": None},
            {"dag_id": "a"},
            expected,
        ):
            assert Routes.of(spec) == expected

    def test_a_mapping_keeps_its_order_of_precedence(self) -> None:
        assert [route.name for route in Routes.of({"b": _CSV, "a": _LANDING})] == ["b", "a"]

    def test_a_dag_may_be_called_like_a_member(self) -> None:
        assert [route.dag_id for route in Routes.of({"routes": _CSV, "dag_id": _LANDING})] == [
            "routes",
            "dag_id",
        ]

    @pytest.mark.parametrize(
        "spec", [None, 5, b"a", {"a", "b"}, [5], [None], {"a": "landing/"}, {5: None}, {}, []]
    )
    def test_anything_else_is_refused(self, spec: Any) -> None:
        assert _refusal(lambda: Routes.of(spec))


class TestRoutes:
    def test_length_and_iteration_include_the_default_route_at_the_end(self) -> None:
        routes = Routes([Route(dag_id="b", when=_CSV)], default=Route(dag_id="a"))
        assert [route.dag_id for route in routes] == ["b", "a"]
        assert len(routes) == 2

    def test_one_dag_may_have_two_routes_in_mode_first(self) -> None:
        routes = Routes(
            [Route(dag_id="a", when=_CSV, extra={"format": "csv"}), Route(dag_id="a", name="rest of a")]
        )
        assert routes.match(_EVENT).routes[0].conf({})["format"] == "csv"

    @pytest.mark.parametrize(
        ("make", "named"),
        [
            (lambda: Routes([]), "routes: there is none"),
            (lambda: Routes(_any("a")), "routes: 'a' is not"),
            (lambda: Routes([_A], mode=_any("any")), "mode: 'any'"),
            (lambda: Routes([_A], unmatched=_any("drop")), "unmatched: 'drop'"),
            (lambda: Routes([Route(dag_id="a", when=_CSV), Route(dag_id="a")]), "two are named 'a'"),
            (lambda: Routes([Route(dag_id="a", when=_CSV)], default=Route(dag_id="a")), "two are named 'a'"),
            (
                lambda: Routes([_A], default=Route(dag_id="b", when=_CSV)),
                "default: route 'b' must have no filter",
            ),
            (
                lambda: Routes([Route(dag_id="a", when=_CSV), Route(dag_id="a", name="x")], mode="all"),
                "two lead to DAG 'a'",
            ),
            (
                lambda: Routes(
                    [Route(dag_id="a", when=_CSV), Route(dag_id="a", name="x", max_queued_runs=5)]
                ),
                "max_queued_runs: ",
            ),
            (lambda: Routes.of(["a", "b"]), "'b' could never get an event, 'a' takes them all"),
            (lambda: Routes.of({"a": _CSV, "b": _CSV}), "'b' could never get an event"),
            (lambda: Routes([_A], mode="all", default=Route(dag_id="b")), "'b' could never get an event"),
        ],
    )
    def test_routes_that_contradict_each_other_are_refused(self, make: Callable[[], Any], named: str) -> None:
        assert named in _refusal(make)

    def test_in_mode_all_two_dags_may_want_the_same_events(self) -> None:
        routes = Routes([Route(dag_id="a", when=_CSV), Route(dag_id="b", when=_CSV)], mode="all")
        assert _dag_ids(routes.match(_EVENT)) == ["a", "b"]
