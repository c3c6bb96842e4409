"""A bucket's configuration: others' rules stay as they are, ours come and go, mistakes are told first."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.bucket_notifications import (
    EVENT_TYPES,
    Rule,
    check_event_types,
    check_limits,
    check_overlaps,
    differences,
    members_of,
    merged,
    normalised,
    overlap,
    replaced,
    rules_of,
    without,
)
from airflow_s3events.exceptions import ConfigurationError
from tests.notification_strategies import DESTINATIONS, configurations, event_types, rules

QUEUE, OTHER_QUEUE, TOPIC, FUNCTION = DESTINATIONS
CREATED = ("s3:ObjectCreated:*",)


def rule(**members: Any) -> Rule:
    return Rule(**{"id": "ours", "destination": QUEUE, "events": CREATED, **members})


wanted_rules = st.lists(rules, max_size=3, unique_by=lambda one: one.id)


class TestMerging:
    @given(configurations(), wanted_rules, st.booleans())
    def test_after_configure_and_remove_the_other_rules_are_what_they_were(
        self, before: dict[str, Any], wanted: list[Rule], event_bridge: bool
    ) -> None:
        ids = {one.id for one in wanted}
        was_on = "EventBridgeConfiguration" in before
        configured = merged(before, wanted, event_bridge=event_bridge)
        after = without(configured, ids, event_bridge=event_bridge and not was_on)
        assert normalised(after) == normalised(without(before, ids))

    @given(configurations(), wanted_rules, st.booleans())
    def test_the_entries_of_others_are_put_back_letter_for_letter(
        self, before: dict[str, Any], wanted: list[Rule], event_bridge: bool
    ) -> None:
        ids = {one.id for one in wanted}
        after = merged(before, wanted, event_bridge=event_bridge)
        for name in ("QueueConfigurations", "TopicConfigurations", "LambdaFunctionConfigurations"):
            kept = [entry for entry in before.get(name, []) if entry["Id"] not in ids]
            assert [entry for entry in after.get(name, []) if entry["Id"] not in ids] == kept
        assert ("SomethingNew" in after) is ("SomethingNew" in before)
        assert "ResponseMetadata" not in after

    @given(configurations(), wanted_rules, st.booleans())
    def test_every_wanted_rule_is_there_once(
        self, before: dict[str, Any], wanted: list[Rule], event_bridge: bool
    ) -> None:
        after = merged(before, wanted, event_bridge=event_bridge)
        ids = {one.id for one in wanted}
        assert sorted(map(str, wanted)) == sorted(str(one) for one in rules_of(after) if one.id in ids)

    @given(configurations(), wanted_rules, st.booleans())
    def test_twice_is_once(self, before: dict[str, Any], wanted: list[Rule], event_bridge: bool) -> None:
        once = merged(before, wanted, event_bridge=event_bridge)
        assert merged(once, wanted, event_bridge=event_bridge) == once
        assert differences(once, merged(once, wanted, event_bridge=event_bridge)) == []

    @given(configurations(), wanted_rules)
    def test_the_order_of_two_tasks_does_not_matter(self, before: dict[str, Any], wanted: list[Rule]) -> None:
        one, other = wanted[::2], wanted[1::2]
        assert normalised(merged(merged(before, one), other)) == normalised(
            merged(merged(before, other), one)
        )

    @given(configurations(), wanted_rules)
    def test_nothing_that_is_given_is_changed(self, before: dict[str, Any], wanted: list[Rule]) -> None:
        kept = copy.deepcopy(before)
        merged(before, wanted, event_bridge=True)
        without(before, ["ours"], event_bridge=True)
        assert before == kept

    @given(configurations(), wanted_rules, st.booleans())
    def test_replacing_leaves_the_wanted_rules_alone(
        self, before: dict[str, Any], wanted: list[Rule], event_bridge: bool
    ) -> None:
        after = replaced(wanted, event_bridge=event_bridge)
        assert sorted(map(str, rules_of(after))) == sorted(map(str, wanted))
        assert normalised(merged(after, wanted)) == normalised(after)
        assert "SomethingNew" not in after or "SomethingNew" not in before

    def test_a_rule_that_moves_to_another_kind_of_destination_leaves_the_old_one(self) -> None:
        before = merged({}, [rule(destination=TOPIC)])
        assert merged(before, [rule()]) == {"QueueConfigurations": [rule().entry()]}

    def test_the_switch_is_taken_away_only_when_asked(self) -> None:
        both = merged({}, [rule()], event_bridge=True)
        assert without(both, ["ours"]) == {"EventBridgeConfiguration": {}}
        assert without(both, ["ours"], event_bridge=True) == {}
        assert without({}, ["ours"], event_bridge=True) == {}


class TestNormalising:
    def test_the_capitals_and_codes_of_s3_s_answer_do_not_count(self) -> None:
        answer = rule(prefix="in put/", suffix=".csv").entry()
        answer["Filter"]["Key"]["FilterRules"] = [
            {"Name": "Suffix", "Value": ".csv"},
            {"Name": "Prefix", "Value": "in%20put/"},
        ]
        ours = {"QueueConfigurations": [rule(prefix="in put/", suffix=".csv").entry()]}
        assert normalised({"QueueConfigurations": [answer], "TopicConfigurations": []}) == normalised(ours)

    def test_an_empty_filter_is_none(self) -> None:
        empty = {**rule().entry(), "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": ""}]}}}
        assert normalised({"QueueConfigurations": [empty]}) == normalised(merged({}, [rule()]))

    @pytest.mark.parametrize(
        "change",
        [{"prefix": "x"}, {"suffix": "x"}, {"events": ("s3:ObjectAcl:Put",)}, {"destination": OTHER_QUEUE}],
    )
    def test_everything_else_counts(self, change: dict[str, Any]) -> None:
        assert normalised(merged({}, [rule(**change)])) != normalised(merged({}, [rule()]))

    def test_what_is_new_in_a_filter_counts(self) -> None:
        new = {**rule().entry(), "Filter": {"Tags": ["x"]}}
        assert normalised({"QueueConfigurations": [new]}) != normalised(merged({}, [rule()]))

    def test_a_filter_is_sent_encoded_and_read_decoded(self) -> None:
        ours = rule(prefix="a b/ü&", suffix="+.csv")
        assert ours.entry()["Filter"]["Key"]["FilterRules"] == [
            {"Name": "prefix", "Value": "a+b/%C3%BC%26"},
            {"Name": "suffix", "Value": "%2B.csv"},
        ]
        assert rules_of(merged({}, [ours])) == [ours]


class TestDifferences:
    def test_read_as_what_comes_what_goes_and_what_stays(self) -> None:
        before = merged({}, [rule(), rule(id="other", destination=TOPIC)])
        after = merged(before, [rule(prefix="in/", suffix=".csv")], event_bridge=True)
        assert differences(before, after) == [
            f"- rule 'ours': s3:ObjectCreated:* of every key to {QUEUE}",
            f"+ rule 'ours': s3:ObjectCreated:* under 'in/' ending in '.csv' to {QUEUE}",
            "+ EventBridge on",
            "= 1 other rules stay",
        ]
        assert differences(after, before)[-2:] == ["- EventBridge off", "= 1 other rules stay"]


class TestOverlaps:
    @pytest.mark.parametrize(
        ("ours", "other", "types"),
        [
            ({}, {}, True),
            ({"prefix": "in/"}, {}, True),
            ({"prefix": "in/"}, {"prefix": "in/a/"}, True),
            ({"prefix": "in/"}, {"prefix": "out/"}, False),
            ({"suffix": ".csv"}, {"suffix": "a.csv"}, True),
            ({"suffix": ".csv"}, {"suffix": ".txt"}, False),
            ({"prefix": "in/", "suffix": ".csv"}, {"prefix": "in/a", "suffix": ".txt"}, False),
            ({"prefix": "in/", "suffix": ".csv"}, {"prefix": "out/", "suffix": ".csv"}, False),
            ({"prefix": "in/", "suffix": ".csv"}, {"suffix": "v"}, True),
            ({"events": ("s3:ObjectCreated:Put",)}, {}, True),
            ({"events": ("s3:ObjectCreated:Put",)}, {"events": ("s3:ObjectCreated:Copy",)}, False),
            ({"events": ("s3:ObjectRemoved:*",)}, {}, False),
            ({}, {"destination": TOPIC}, True),
            ({}, {"destination": FUNCTION}, True),
            ({"events": ("s3:New:*",)}, {"events": ("s3:New:*",)}, True),
        ],
    )
    def test_are_found_as_s3_finds_them(self, ours: Any, other: Any, types: bool) -> None:
        one, two = rule(**ours), rule(id="other", **other)
        assert bool(overlap(one, two)) is bool(overlap(two, one)) is types

    @given(rules, rules, st.text("ab/.", max_size=8))
    def test_no_key_is_meant_by_two_rules_that_do_not_overlap(self, one: Rule, other: Rule, key: str) -> None:
        def means(ours: Rule) -> bool:
            return key.startswith(ours.prefix) and key.endswith(ours.suffix)

        shared = {t for e in one.events for t in members_of(e)} & {
            t for e in other.events for t in members_of(e)
        }
        if shared and means(one) and means(other):
            assert overlap(one, other)

    def test_a_wanted_rule_that_overlaps_is_refused_with_both_named(self) -> None:
        theirs = rule(id="theirs", prefix="in/")
        with pytest.raises(ConfigurationError, match=r"'ours'.*overlaps.*'theirs'.*s3:ObjectCreated:Put"):
            check_overlaps([rule(), theirs], [rule()])

    def test_two_direct_destinations_for_one_event_are_refused_with_the_way_round(self) -> None:
        both = [rule(id="one"), rule(id="two", destination=TOPIC)]
        with pytest.raises(ConfigurationError, match="TopicDestination"):
            check_overlaps(both, both)

    def test_the_same_rule_by_another_id_is_refused_with_that_id(self) -> None:
        with pytest.raises(ConfigurationError, match=r"notification_id.*'tf-1'"):
            check_overlaps([rule(), rule(id="tf-1")], [rule()])

    def test_rules_of_others_among_themselves_are_none_of_ours(self) -> None:
        others = [rule(id="a", prefix="in/"), rule(id="b", prefix="in/")]
        check_overlaps([*others, rule(prefix="out/")], [rule(prefix="out/")])


class TestEventTypes:
    def test_are_those_of_the_installed_botocore(self) -> None:
        import botocore.session

        model = botocore.session.get_session().get_service_model("s3")
        assert sorted(model.shape_for("Event").enum) == sorted(EVENT_TYPES)

    @given(event_types)
    def test_all_are_taken_in_any_order_and_none_twice(self, types: list[str]) -> None:
        checked = check_event_types(types)
        assert check_event_types(reversed(types)) == checked == check_event_types(checked)
        assert {m for t in checked for m in members_of(t)} == {m for t in types for m in members_of(t)}

    @pytest.mark.parametrize("name", ["ObjectCreated:*", "ObjectCreated", "s3:ObjectCreated"])
    def test_the_service_s_name_and_the_star_may_be_left_out(self, name: str) -> None:
        assert check_event_types([name]) == CREATED

    @pytest.mark.parametrize(
        ("name", "suggestion"),
        [
            ("s3:ObjectCreate:*", "did you mean 's3:ObjectCreated:*'"),
            ("s3:objectcreated:put", "did you mean 's3:ObjectCreated:Put'"),
            ("s3:ObjectDeleted:*", "did you mean 's3:Object"),
            ("s3:*", "name families"),
            ("s3:TestEvent", "name families"),
            ("Gibberish12345!", "known are"),
        ],
    )
    def test_a_typing_error_is_answered_with_what_was_meant(self, name: str, suggestion: str) -> None:
        with pytest.raises(ConfigurationError) as refused:
            check_event_types(["s3:ObjectAcl:Put", name])
        assert suggestion in str(refused.value)
        assert str(refused.value).startswith("events: ")

    @pytest.mark.parametrize("types", [[], "s3:ObjectCreated:*"])
    def test_a_list_with_something_in_it_is_needed(self, types: Any) -> None:
        with pytest.raises(ConfigurationError, match="events"):
            check_event_types(types)


class TestLimits:
    def test_a_hundred_rules_and_no_more(self) -> None:
        hundred = [rule(id=str(n), prefix=f"{n:03}") for n in range(100)]
        check_limits(merged({}, hundred))
        with pytest.raises(ConfigurationError, match="101 rules"):
            check_limits(merged({}, [*hundred, rule()]))

    @pytest.mark.parametrize("setting", ["prefix", "suffix"])
    def test_a_filter_of_1024_characters_as_they_are_sent(self, setting: str) -> None:
        rule(**{setting: "x" * 1024}).check()
        for text in ("x" * 1025, "ü" * 171):
            with pytest.raises(ConfigurationError, match=f"{setting}: 1,02"):
                rule(**{setting: text}).check()

    @pytest.mark.parametrize("notification_id", ["", "x" * 256])
    def test_an_id_that_s3_cannot_keep(self, notification_id: str) -> None:
        with pytest.raises(ConfigurationError, match="notification_id"):
            rule(id=notification_id).check()

    @pytest.mark.parametrize("service", ["sqs", "sns"])
    def test_fifo_is_refused_with_the_way_round_it(self, service: str) -> None:
        with pytest.raises(ConfigurationError, match="EventBridgeDestination"):
            rule(destination=f"arn:aws:{service}:eu-west-1:111122223333:a.fifo").check()
