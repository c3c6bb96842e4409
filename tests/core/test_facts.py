"""What S3 says of an object: its JSON form, how two answers join, and the filters on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events import filters as f
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import BodyError, ConfigurationError, FactsNeededError
from airflow_s3events.facts import ObjectFacts
from airflow_s3events.filters import EventFilter
from tests.core.filter_strategies import answers, asking_filters, events, make_event

TAGS = ObjectFacts(state="found", asked=("tags",), tags={"class": "gold"})
HEAD = ObjectFacts(
    state="found",
    asked=("head",),
    content_type="Text/CSV; charset=utf-8",
    storage_class="STANDARD",
    metadata={"owner": "me"},
)


def of(facts: ObjectFacts) -> ObjectEvent:
    return replace(make_event(), facts=facts)


class TestForm:
    @given(answers)
    def test_plain_data_gives_the_facts_back(self, told: dict[str, ObjectFacts]) -> None:
        for facts in (told["tags"], told["head"], told["tags"].with_(told["head"])):
            assert ObjectFacts.deserialize(json.loads(json.dumps(facts.serialize()))) == facts

    def test_facts_travel_in_the_events_json_and_are_absent_where_nobody_asked(self) -> None:
        event = of(TAGS)
        assert event.serialize()["facts"]["tags"] == {"class": "gold"}
        assert ObjectEvent.deserialize(json.loads(json.dumps(event.serialize()))) == event
        assert "facts" not in make_event().serialize()

    @pytest.mark.parametrize(
        ("data", "named"),
        [
            ([], "facts should be a JSON object"),
            ({"asked": []}, "state None"),
            ({"state": "lost", "asked": []}, "state 'lost'"),
            ({"state": "found"}, "asked"),
            ({"state": "found", "asked": [1]}, "asked"),
            ({"state": "found", "asked": [], "content_type": 1}, "content_type"),
            ({"state": "found", "asked": [], "tags": []}, "tags"),
            ({"state": "found", "asked": [], "metadata": {"a": 1}}, "metadata"),
        ],
    )
    def test_other_data_is_refused_by_name(self, data: Any, named: str) -> None:
        with pytest.raises(BodyError, match=named):
            ObjectFacts.deserialize(data)


class TestJoining:
    @given(answers)
    def test_the_order_of_the_answers_does_not_show(self, told: dict[str, ObjectFacts]) -> None:
        assert told["tags"].with_(told["head"]) == told["head"].with_(told["tags"])

    def test_a_head_verifies_the_tags_before_it(self) -> None:
        assert replace(TAGS, state="unverified").with_(HEAD).state == "found"

    def test_nothing_is_kept_of_an_object_that_turns_out_to_be_newer(self) -> None:
        newer = ObjectFacts(state="newer", asked=("head",))
        joined = replace(TAGS, state="unverified").with_(newer)
        assert joined == ObjectFacts(state="newer", asked=("head", "tags"))
        assert joined.has("anything")


class TestFilters:
    @pytest.mark.parametrize(
        ("wanted", "facts", "answer"),
        [
            (f.tag("class"), TAGS, True),
            (f.tag("class", "gold", "silver"), TAGS, True),
            (f.tag("class", "silver"), TAGS, False),
            (f.tag("Class"), TAGS, False),
            (f.metadata("Owner", "me"), HEAD, True),
            (f.metadata("owner", "Me"), HEAD, False),
            (f.metadata("owner"), replace(HEAD, metadata={}), False),
            (f.content_type("text/csv"), HEAD, True),
            (f.content_type("TEXT/*"), HEAD, True),
            (f.content_type("image/*"), HEAD, False),
            (f.content_type("text/*"), replace(HEAD, content_type=None), False),
            (f.storage_class("STANDARD", "GLACIER"), HEAD, True),
            (f.storage_class("GLACIER"), HEAD, False),
            (f.encryption("none"), HEAD, True),
            (f.encryption("aws:kms"), replace(HEAD, encryption="aws:kms"), True),
            (f.object_state("found"), HEAD, True),
            (f.object_state("gone", "newer"), HEAD, False),
        ],
    )
    def test_it_matches_what_s3_said(self, wanted: EventFilter, facts: ObjectFacts, answer: bool) -> None:
        assert wanted(of(facts)) is answer
        assert (~wanted)(of(facts)) is not answer

    @pytest.mark.parametrize("state", ["gone", "newer"])
    @pytest.mark.parametrize(
        "wanted",
        [f.tag("a"), f.metadata("a"), f.content_type("a/*"), f.storage_class("A"), f.encryption("none")],
    )
    def test_nothing_but_object_state_matches_an_object_that_is_gone_or_newer(
        self, wanted: EventFilter, state: Any
    ) -> None:
        event = of(ObjectFacts(state=state, asked=()))
        assert not wanted(event)
        assert f.object_state(state)(event)

    @pytest.mark.parametrize(
        ("wanted", "part"),
        [(f.tag("a"), "tags"), (f.metadata("a"), "head"), (f.object_state("gone"), "head")],
    )
    def test_it_says_what_to_ask_while_nobody_has(self, wanted: EventFilter, part: str) -> None:
        assert wanted.asks == {part}
        with pytest.raises(FactsNeededError, match=part):
            wanted(make_event())

    def test_what_is_not_known_is_not_needed_where_another_test_settles_it(self) -> None:
        csv = f.suffix(".csv")
        assert not (f.tag("a") & ~csv)(make_event())
        assert (f.tag("a") | csv)(make_event())
        nested = (f.tag("a") | f.prefix("b/")) & (f.content_type("a/b") | ~csv | f.nothing) & f.suffix(".gz")
        assert not nested(make_event())
        late = (f.tag("a") | f.tag("b")) & (~csv | (f.glob("*") & f.metadata("x")))
        assert not late(make_event())

    @pytest.mark.parametrize(
        ("make", "named"),
        [
            (lambda: f.tag(""), "tag: the text is empty"),
            (lambda: EventFilter.deserialize({"tag": "a"}), "tag: 'a' is not a mapping of key"),
            (lambda: EventFilter.deserialize({"tag": {"name": "a"}}), "not a mapping of key"),
            (lambda: EventFilter.deserialize({"metadata": {"name": "a", "is": 1}}), "not a mapping of name"),
            (lambda: EventFilter.deserialize({"tag": {"key": "a", "value": 1}}), "tag: 1 is not text"),
            (lambda: f.content_type("csv"), "content_type: 'csv'"),
            (lambda: f.storage_class("Standard"), "S3 writes 'STANDARD'"),
            (lambda: f.encryption("kms"), "aws:kms"),
            (lambda: f.object_state("lost"), "unverified"),
        ],
    )
    def test_what_would_never_match_is_refused(self, make: Callable[[], Any], named: str) -> None:
        with pytest.raises(ConfigurationError, match=named):
            make()

    def test_it_reads_as_a_sentence(self) -> None:
        assert str(f.tag("class", "gold") & ~f.tag("hold") & f.content_type("text/csv")) == (
            "the object has no tag 'hold', whatever its value and the object has tag 'class' = 'gold'"
            " and content type is text/csv"
        )

    def test_only_where_somebody_asks_may_it_be_used(self) -> None:
        assert f.suffix(".csv").without_asking("a sensor") == f.suffix(".csv")
        with pytest.raises(ConfigurationError, match="a sensor does not ask"):
            f.tag("a").without_asking("a sensor")


class TestLaws:
    @given(asking_filters, asking_filters, events, answers)
    def test_the_algebra_holds_for_what_was_asked(
        self, a: EventFilter, b: EventFilter, event: ObjectEvent, told: dict[str, ObjectFacts]
    ) -> None:
        known = replace(event, facts=told["tags"].with_(told["head"]))
        assert (a & b)(known) is (a(known) and b(known))
        assert (a | b)(known) is (a(known) or b(known))
        assert (~a)(known) is not a(known)
        assert ~(a & b) == ~a | ~b

    @given(asking_filters)
    def test_plain_data_gives_the_filter_back_and_what_it_asks(self, a: EventFilter) -> None:
        again = EventFilter.deserialize(json.loads(json.dumps(a.serialize())))
        assert (again, again.asks) == (a, a.asks)

    @given(asking_filters, events, answers)
    def test_an_answer_that_needs_nothing_asked_is_the_one_that_all_knowledge_gives(
        self, a: EventFilter, event: ObjectEvent, told: dict[str, ObjectFacts]
    ) -> None:
        early = _asked(a, event)
        known = replace(event, facts=told["tags"].with_(told["head"]))
        assert early in a.asks or early is a(known)

    @given(
        st.lists(asking_filters, min_size=1, max_size=4).flatmap(
            lambda items: st.tuples(st.just(items), st.permutations(items))
        ),
        events,
    )
    def test_order_of_spelling_changes_neither_answer_nor_what_is_asked(
        self, spelled: tuple[list[EventFilter], list[EventFilter]], event: ObjectEvent
    ) -> None:
        one, other = (f.all_of(*items) for items in spelled)
        assert _asked(one, event) == _asked(other, event)


def _asked(wanted: EventFilter, event: ObjectEvent) -> bool | str:
    try:
        return wanted(event)
    except FactsNeededError as needed:
        return needed.part
