"""Filters: the laws of their algebra, their one plain form, and how they read."""

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
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import MAX_DEPTH, EventFilter
from airflow_s3events.predicates import MAX_TEXT_BYTES
from tests.core.filter_strategies import events, filters, leaves, make_event


def _refusal(make: Callable[[], Any]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        make()
    return str(caught.value)


class TestLaws:
    @given(filters, events)
    def test_double_negation(self, a: EventFilter, event: Any) -> None:
        assert ~~a == a
        assert (~a)(event) is not a(event)

    @given(filters, filters, events)
    def test_de_morgan(self, a: EventFilter, b: EventFilter, event: Any) -> None:
        assert ~(a & b) == ~a | ~b
        assert ~(a | b) == ~a & ~b
        assert (~(a & b))(event) is not (a(event) and b(event))

    @given(filters, events)
    def test_idempotence(self, a: EventFilter, event: Any) -> None:
        assert a & a == a == a | a
        assert (a & a)(event) is a(event)

    @given(filters, filters, events)
    def test_commutativity(self, a: EventFilter, b: EventFilter, event: Any) -> None:
        assert a & b == b & a
        assert a | b == b | a
        assert (a & b)(event) is (a(event) and b(event))
        assert (a | b)(event) is (a(event) or b(event))

    @given(filters, filters, filters)
    def test_associativity(self, a: EventFilter, b: EventFilter, c: EventFilter) -> None:
        assert (a & b) & c == a & (b & c)
        assert (a | b) | c == a | (b | c)

    @given(filters, filters, filters, events)
    def test_distributivity_in_what_they_match(
        self, a: EventFilter, b: EventFilter, c: EventFilter, event: Any
    ) -> None:
        assert (a & (b | c))(event) is ((a & b) | (a & c))(event)

    @given(filters)
    def test_identities(self, a: EventFilter) -> None:
        assert a & f.everything == a == a | f.nothing
        assert a & f.nothing == f.nothing
        assert a | f.everything == f.everything

    def test_everything_and_nothing_are_each_other_negated_and_the_empty_combinations(self) -> None:
        assert ~f.everything == f.nothing
        assert f.all_of() == f.everything
        assert f.any_of() == f.nothing
        assert f.everything(make_event())
        assert not f.nothing(make_event())


class TestOneForm:
    @given(filters, events)
    def test_plain_data_gives_the_filter_back(self, a: EventFilter, event: Any) -> None:
        again = EventFilter.deserialize(json.loads(json.dumps(a.serialize())))
        assert again == a
        assert hash(again) == hash(a)
        assert again.serialize() == a.serialize()
        assert again(event) is a(event)

    @given(
        st.lists(leaves, min_size=1, max_size=5).flatmap(
            lambda items: st.tuples(st.just(items), st.permutations(items))
        )
    )
    def test_order_of_spelling_does_not_show(
        self, spelled: tuple[list[EventFilter], list[EventFilter]]
    ) -> None:
        one, other = spelled
        assert f.all_of(*one).serialize() == f.all_of(*other).serialize()
        assert f.any_of(*one).serialize() == f.any_of(*other).serialize()

    @given(filters, filters)
    def test_equal_exactly_when_the_plain_data_is(self, a: EventFilter, b: EventFilter) -> None:
        assert (a == b) is (a.serialize() == b.serialize())

    @given(filters)
    def test_copies_and_pickles_are_equal(self, a: EventFilter) -> None:
        assert copy.deepcopy(a) == a
        assert pickle.loads(pickle.dumps(a)) == a  # noqa: S301 - our own bytes

    def test_the_plain_data_of_each_kind(self) -> None:
        assert [
            item.serialize()
            for item in (
                f.event_type("s3:ObjectCreated:*"),
                f.bucket("b"),
                f.prefix("p"),
                f.suffix("s"),
                f.glob("a/**/**/b"),
                f.regex("x+"),
                f.size(max_bytes=5),
                f.predicate("package.module:function"),
                ~f.prefix("p"),
                f.prefix("p") & f.suffix("s"),
                f.prefix("p") | f.suffix("s"),
                f.everything,
                f.nothing,
            )
        ] == [
            {"event_type": "ObjectCreated:*"},
            {"bucket": "b"},
            {"prefix": "p"},
            {"suffix": "s"},
            {"glob": "a/**/b"},
            {"regex": "x+"},
            {"size": {"max_bytes": 5, "min_bytes": 0}},
            {"predicate": "package.module:function"},
            {"not": {"prefix": "p"}},
            {"all": [{"prefix": "p"}, {"suffix": "s"}]},
            {"any": [{"prefix": "p"}, {"suffix": "s"}]},
            {"everything": True},
            {"nothing": True},
        ]

    def test_by_hand_several_kinds_all_match_and_a_list_means_any(self) -> None:
        by_hand = EventFilter.deserialize({"bucket": "b", "suffix": [".csv", ".tsv"]})
        assert by_hand == f.bucket("b") & f.suffix(".csv", ".tsv")

    def test_a_filter_is_read_as_itself(self) -> None:
        assert EventFilter.deserialize({"not": f.prefix("a")}) == ~f.prefix("a")

    @pytest.mark.parametrize(
        ("data", "named"),
        [
            (None, "not a mapping"),
            ("landing/", "not a mapping"),
            ({}, "not a mapping"),
            ({"keys": "a"}, "unknown kind 'keys'"),
            ({3: "a"}, "unknown kind 3"),
            ({"all": []}, "'all' needs a list"),
            ({"any": {"prefix": "a"}}, "'any' needs a list"),
            ({"not": "a"}, "not a mapping"),
            ({"everything": False}, "'everything' takes true"),
            ({"nothing": 1}, "'nothing' takes true"),
            ({"prefix": []}, "prefix: give at least one value"),
            ({"prefix": None}, "prefix: None is not text"),
            ({"size": 5}, "size: 5 is not a mapping"),
            ({"size": {"least": 5}}, "is not a mapping of min_bytes"),
        ],
    )
    def test_other_data_is_refused_by_name(self, data: Any, named: str) -> None:
        assert named in _refusal(lambda: EventFilter.deserialize(data))

    def test_data_nested_without_end_is_refused(self) -> None:
        data: dict[str, Any] = {"prefix": "a"}
        for _ in range(5_000):
            data = {"not": data}
        assert f"deeper than {MAX_DEPTH}" in _refusal(lambda: EventFilter.deserialize(data))


class TestSentence:
    def test_a_filter_reads_as_a_sentence(self) -> None:
        wanted = f.event_type("ObjectCreated:*") & ~f.suffix(".tmp") & (f.prefix("in/") | f.size(min_bytes=1))
        assert repr(wanted) == (
            "<event type is ObjectCreated:* and key does not end with '.tmp' "
            "and (key begins with 'in/' or size is at least 1 bytes)>"
        )

    def test_the_rest_of_the_words(self) -> None:
        assert str(f.everything) == "every event"
        assert str(f.nothing) == "no event"
        assert str(f.size(max_bytes=9)) == "size is at most 9 bytes"
        assert str(f.size(min_bytes=2, max_bytes=9)) == "size is 2 to 9 bytes"
        assert str(~f.predicate("a.b:c")) == "a.b:c says no"


class TestMisuse:
    def test_python_and_is_refused(self) -> None:
        with pytest.raises(TypeError, match="combine filters with &"):
            _ = f.prefix("a") and f.suffix("b")

    def test_combining_with_a_function_names_predicate(self) -> None:
        assert "predicate('package.module:function')" in _refusal(lambda: f.prefix("a") & len)  # type: ignore[operator]

    @pytest.mark.parametrize(
        "make", [f.event_type, f.bucket, f.prefix, f.suffix, f.glob, f.regex, f.predicate]
    )
    def test_no_value_at_all_is_refused(self, make: Callable[[], EventFilter]) -> None:
        assert "give at least one value" in _refusal(make)

    @pytest.mark.parametrize("kind", ["event_type", "bucket", "glob", "regex", "predicate"])
    def test_empty_text_is_refused(self, kind: str) -> None:
        assert f"{kind}: the text is empty" in _refusal(lambda: getattr(f, kind)(""))

    @pytest.mark.parametrize(
        "kind", ["event_type", "bucket", "prefix", "suffix", "glob", "regex", "predicate"]
    )
    def test_text_longer_than_any_key_is_refused(self, kind: str) -> None:
        assert f"{kind}: {MAX_TEXT_BYTES + 1} bytes" in _refusal(
            lambda: getattr(f, kind)("a" * (MAX_TEXT_BYTES + 1))
        )

    def test_half_a_character_is_refused(self) -> None:
        assert "prefix: '\\ud800' is not valid Unicode" in _refusal(lambda: f.prefix("\ud800"))
