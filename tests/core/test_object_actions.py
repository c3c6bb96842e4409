"""What may be done to the object of an event, and where its copy goes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.object_actions import (
    acted,
    check_quarantine,
    check_tags,
    is_in_quarantine,
    quarantine_key,
)
from tests.core.filter_strategies import events, make_event


@pytest.mark.parametrize(
    "tags",
    [
        {},
        "class=gold",
        {str(number): "x" for number in range(11)},
        {"": "x"},
        {"aws:mine": "x"},
        {"k" * 129: "x"},
        {1: "x"},
        {"class": 1},
        {"class": "x" * 257},
    ],
    ids=str,
)
def test_tags_that_s3_would_not_take_are_refused_by_name(tags: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^tags"):
        check_tags(tags)


def test_ten_tags_of_full_length_are_taken() -> None:
    tags = {f"{number}".ljust(128, "k"): "v" * 256 for number in range(10)}
    assert check_tags(tags) == tags


@pytest.mark.parametrize(
    ("bucket", "prefix", "named"),
    [
        ("", "q/", "bucket"),
        ("s3://b", "q/", "bucket"),
        (None, "q/", "bucket"),
        ("b", None, "prefix"),
        ("b", "q" * 513, "prefix"),
    ],
)
def test_a_quarantine_that_cannot_be_is_refused_by_name(bucket: Any, prefix: Any, named: str) -> None:
    check_quarantine("b", "")
    with pytest.raises(ConfigurationError, match=f"^quarantine_{named}"):
        check_quarantine(bucket, prefix)


def test_the_event_of_a_copy_is_known() -> None:
    copy = make_event("q/inbox/1/a")
    assert is_in_quarantine(copy, "inbox", "q/")
    assert not is_in_quarantine(copy, "elsewhere", "q/")
    assert not is_in_quarantine(make_event("a"), "inbox", "q/")
    with pytest.raises(ConfigurationError, match="quarantine_prefix"):
        is_in_quarantine(make_event("a"), "inbox", "")


@given(events, st.text(max_size=100).filter(lambda text: text.isprintable()))
def test_a_copys_key_is_one_that_s3_takes_and_the_events_own(event: Any, prefix: str) -> None:
    key = quarantine_key(event, prefix)
    assert key == quarantine_key(event, prefix)
    assert key.startswith(prefix)
    assert len(key.encode()) <= 1024


def test_two_events_of_one_key_have_two_copies() -> None:
    one, other = (quarantine_key(make_event("a", version_id=version), "q/") for version in "12")
    assert one != other


def test_of_a_key_that_is_too_long_the_end_is_kept() -> None:
    key = quarantine_key(make_event("é" * 500 + ".csv"), "q/")
    assert key.endswith("é.csv")
    assert len(key.encode()) <= 1024


def test_what_does_not_apply_is_not_told() -> None:
    found = acted(make_event("a"), "gone")
    assert found.serialize() == {"outcome": "gone", "bucket": "inbox", "key": "a"}
    assert found.is_refused
    assert not acted(make_event("a"), "merged").is_refused
