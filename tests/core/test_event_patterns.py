"""A rule on the bus chooses what a rule on the bucket would, by a matcher that is not ours (moto's)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.bucket_notifications import (
    EVENT_TYPES,
    check_event_types,
    event_pattern,
    members_of,
    pattern_is_for,
    pattern_takes,
)
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.records import EVENTBRIDGE_FAMILIES, EVENTBRIDGE_TYPES

#: Every kind of event that S3 sends to EventBridge, by the S3 type it stands for.
SENT: dict[str, tuple[str, Any, Any]] = {
    **{
        f"s3:{family}": (name, None, None)
        for name, family in EVENTBRIDGE_FAMILIES.items()
        if "Other" not in family
    },
    **{f"s3:{s3_type}": detail for detail, s3_type in EVENTBRIDGE_TYPES.items()},
}
NOT_SENT = ("s3:Replication:", "s3:ReducedRedundancy", "s3:ObjectRetention")


def event(
    s3_type: str = "s3:ObjectCreated:Put", key: str = "in/a.csv", bucket: str = "landing"
) -> dict[str, Any]:
    name, reason, deletion_type = SENT[s3_type]
    detail = {"bucket": {"name": bucket}, "object": {"key": key}}
    more = {"reason": reason, "deletion-type": deletion_type}
    detail |= {member: value for member, value in more.items() if value}
    return {"source": "aws.s3", "detail-type": name, "detail": detail}


def matches(pattern: dict[str, Any], sent: dict[str, Any]) -> bool:
    from moto.events.models import EventPattern

    return bool(EventPattern.load(json.dumps(pattern)).matches_event(sent))


@pytest.mark.parametrize("wanted", [name for name in EVENT_TYPES if not name.startswith(NOT_SENT)])
@pytest.mark.parametrize("sent", SENT)
def test_each_type_chooses_its_members_and_no_other(wanted: str, sent: str) -> None:
    assert matches(event_pattern("landing", [wanted]), event(sent)) is (sent in members_of(wanted))


@given(
    st.lists(st.sampled_from([n for n in EVENT_TYPES if not n.startswith(NOT_SENT)]), min_size=1, max_size=4)
)
def test_several_types_choose_the_members_of_any(wanted: list[str]) -> None:
    types = check_event_types(wanted)
    pattern = event_pattern("landing", types)
    members = {member for name in types for member in members_of(name)}
    assert {sent for sent in SENT if matches(pattern, event(sent))} == members & set(SENT)


_texts = st.text("ab/*\\", max_size=4)


@given(_texts, _texts, st.text("ab/*\\", min_size=1, max_size=9))
def test_prefix_and_suffix_choose_as_s3_s_filter_does(prefix: str, suffix: str, key: str) -> None:
    pattern = event_pattern("landing", ["s3:ObjectCreated:*"], prefix, suffix)
    wildcards = [each for each in pattern["detail"].get("object", {}).get("key", []) if "wildcard" in each]
    # moto takes an escaped star for a star.
    if not any("\\" in str(each) for each in wildcards):
        assert matches(pattern, event(key=key)) is (key.startswith(prefix) and key.endswith(suffix))


def test_a_star_in_a_prefix_is_no_wildcard() -> None:
    pattern = event_pattern("landing", ["s3:ObjectCreated:*"], "a*", "\\b")
    assert pattern["detail"]["object"]["key"] == [{"wildcard": "a\\**\\\\b"}]


def test_keys_are_not_encoded_for_the_bus() -> None:
    pattern = event_pattern("landing", ["s3:ObjectCreated:*"], "in put/")
    assert pattern["detail"]["object"]["key"] == [{"prefix": "in put/"}]


def test_another_bucket_is_not_chosen() -> None:
    pattern = event_pattern("landing", ["s3:ObjectCreated:*"])
    assert matches(pattern, event())
    assert not matches(pattern, event(bucket="other"))


@pytest.mark.parametrize("name", [name for name in EVENT_TYPES if name.startswith(NOT_SENT)])
def test_what_s3_does_not_send_to_the_bus_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"events: .* to EventBridge"):
        event_pattern("landing", [name])


@pytest.mark.parametrize(
    ("pattern", "is_for"),
    [
        ({"detail": {"bucket": {"name": ["landing"]}}}, True),
        ({"detail": {"bucket": {"name": ["landing", "other"]}}}, False),
        ({"detail": {"bucket": {"name": ["other"]}}}, False),
        ({"detail": {"bucket": {"name": [{"prefix": "landing"}]}}}, False),
        ({"detail": {"bucket": {}}}, False),
        ({"detail": ["odd"]}, False),
        ({}, False),
    ],
)
def test_a_pattern_is_for_a_bucket_that_it_names_alone(pattern: dict[str, Any], is_for: bool) -> None:
    assert pattern_is_for(pattern, "landing") is is_for


@pytest.mark.parametrize("events", [["s3:ObjectCreated:*"], ["s3:ObjectCreated:Put", "s3:ObjectRemoved:*"]])
def test_a_pattern_takes_what_itself_and_a_narrower_one_want(events: list[str]) -> None:
    pattern = event_pattern("landing", events)
    assert pattern_takes(pattern, pattern)
    assert pattern_takes(pattern, event_pattern("landing", events, "in/", ".csv"))
    assert pattern_takes(pattern, event_pattern("landing", events[:1]))


@pytest.mark.parametrize(
    "wanted",
    [
        event_pattern("other", ["s3:ObjectCreated:*"], "in/"),
        event_pattern("landing", ["s3:ObjectRemoved:*"], "in/"),
        event_pattern("landing", ["s3:ObjectCreated:*"], "out/"),
        event_pattern("landing", ["s3:ObjectCreated:*"]),
    ],
)
def test_a_pattern_of_another_bucket_event_or_prefix_does_not_take_what_is_wanted(
    wanted: dict[str, Any],
) -> None:
    assert not pattern_takes(event_pattern("landing", ["s3:ObjectCreated:*"], "in/"), wanted)
