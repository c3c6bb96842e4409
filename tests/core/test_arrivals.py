"""What a sensor waits for, and whether it has come."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events import filters as f
from airflow_s3events.arrivals import MAX_OBJECTS, Awaited, Keys, Manifest, Marker, Objects, awaited_of
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.looks import Content, Head, Location, object_event
from tests.core.arrival_fakes import InMemoryBucket, heads
from tests.core.filter_strategies import filters as any_filters

_key_texts = st.text("ab/_.", min_size=1, max_size=5)
places = st.builds(Location, st.sampled_from(["b", "c"]), _key_texts)
buckets = st.builds(
    InMemoryBucket,
    st.dictionaries(places, st.sampled_from([b"", b"a\nb", b"a/b"]), max_size=8),
    page_size=st.integers(1, 4),
)
filters = any_filters.filter(lambda each: "event_type" not in json.dumps(each.serialize()))
keys_awaited = st.builds(Keys, st.lists(places, min_size=1, max_size=4, unique=True).map(tuple), filters)
objects_awaited = st.builds(
    Objects, st.sampled_from(["b", "c"]), st.text("ab/", max_size=2), st.integers(1, 4), filters
)
markers_awaited = st.builds(Marker, places, filters)
manifests_awaited = st.builds(Manifest, places, filters)
awaited = keys_awaited | objects_awaited | markers_awaited | manifests_awaited


def places_of(bucket: InMemoryBucket, what: Awaited) -> list[str]:
    return [event.uri for event in bucket.seen(what).events]


# Laws


@given(keys_awaited, buckets)
def test_keys_have_come_when_each_is_there_and_matches(what: Keys, bucket: InMemoryBucket) -> None:
    fit = [each for each in what.keys if each in bucket.contents and what.when(bucket.event(each))]
    seen = bucket.seen(what)
    assert seen.has_arrived == (len(fit) == len(what.keys))
    assert [event.uri for event in seen.events] == ([each.uri for each in fit] if seen.has_arrived else [])


@given(objects_awaited, buckets)
def test_objects_have_come_when_enough_that_match_are_there(what: Objects, bucket: InMemoryBucket) -> None:
    fit = [
        each
        for each in sorted(bucket.contents)
        if each.bucket == what.bucket
        and each.key.startswith(what.prefix)
        and not each.key.endswith("/")
        and what.when(bucket.event(each))
    ]
    seen = bucket.seen(what)
    assert seen.has_arrived == (len(fit) >= what.count)
    assert [event.uri for event in seen.events] == [
        each.uri for each in fit[: what.count] if seen.has_arrived
    ]


@given(awaited, buckets, places)
def test_where_a_look_begins_does_not_change_its_answer(
    what: Awaited, bucket: InMemoryBucket, first: Location
) -> None:
    assert bucket.seen(what, first).events == bucket.seen(what).events


@given(awaited, buckets, st.integers(1, 10))
def test_the_size_of_a_page_does_not_change_the_answer(
    what: Awaited, bucket: InMemoryBucket, page_size: int
) -> None:
    assert InMemoryBucket(bucket.contents, page_size).seen(what) == bucket.seen(what)


@given(awaited, buckets, places)
def test_what_a_new_object_completes_its_event_concerns(
    what: Awaited, bucket: InMemoryBucket, place: Location
) -> None:
    """So a watch may pass over every event that does not concern it."""
    before = bucket.seen(what)
    bucket.contents[place] = b"a\nb"
    if bucket.seen(what).has_arrived and not before.has_arrived:
        assert what.concerns(bucket.event(place))


@given(keys_awaited | objects_awaited, buckets)
def test_an_event_of_what_was_found_concerns(what: Awaited, bucket: InMemoryBucket) -> None:
    assert all(what.concerns(event) for event in bucket.seen(what).events)


@given(awaited, buckets)
def test_what_has_not_come_is_said_in_words(what: Awaited, bucket: InMemoryBucket) -> None:
    seen = bucket.seen(what)
    assert bool(seen.missing) != seen.has_arrived
    assert not seen.missing or not seen.events


@given(keys_awaited, buckets)
def test_while_the_same_key_is_absent_one_question_is_enough(what: Keys, bucket: InMemoryBucket) -> None:
    seen = bucket.seen(what)
    if not seen.has_arrived:
        bucket.questions.clear()
        bucket.seen(what, seen.absent)
        assert len(bucket.questions) == 1


@given(awaited)
def test_plain_data_of_what_is_awaited_reads_back_as_the_same(what: Awaited) -> None:
    assert Awaited.deserialize(json.loads(json.dumps(what.serialize()))) == what


# The four kinds


@pytest.mark.parametrize(("keys", "words"), [("a", "s3://b/a"), ("abc", "s3://b/a and 2 more")])
def test_keys_are_named_by_the_first(keys: str, words: str) -> None:
    assert str(Keys(tuple(Location("b", key) for key in keys))) == words


def test_a_key_that_is_there_but_does_not_match_is_named_with_the_filter() -> None:
    bucket = InMemoryBucket()
    bucket.put("a", content=b"")
    seen = bucket.seen(Keys((Location("b", "a"),), f.size(min_bytes=1)))
    assert seen.missing == "s3://b/a, which is there but does not match: size is at least 1 bytes"


def test_missing_objects_are_counted() -> None:
    bucket = InMemoryBucket()
    bucket.put("in/a", "in/")
    assert bucket.seen(Objects("b", "in/", 3)).missing == "2 of 3 objects under s3://b/in/"


def test_a_listing_ends_with_the_last_object_that_is_needed() -> None:
    bucket = InMemoryBucket(page_size=2)
    bucket.put(*"abcdefgh")
    bucket.seen(Objects("b", count=3))
    assert len(bucket.questions) == 2


def test_a_marker_comes_before_its_parts_and_hidden_ones_are_none() -> None:
    bucket = InMemoryBucket()
    bucket.put("out/_SUCCESS", "out/b", "out/x/a", "out/_temporary/c", "out/x/.crc", "out/x/", "other/d")
    assert places_of(bucket, Marker(Location("b", "out/_SUCCESS"))) == [
        "s3://b/out/_SUCCESS",
        "s3://b/out/b",
        "s3://b/out/x/a",
    ]


def test_the_parts_of_a_marker_that_is_no_hidden_name_do_not_hold_it_twice() -> None:
    bucket = InMemoryBucket()
    bucket.put("done", "a")
    assert places_of(bucket, Marker(Location("b", "done"))) == ["s3://b/done", "s3://b/a"]


def test_only_the_parts_of_a_marker_are_asked_to_match() -> None:
    bucket = InMemoryBucket()
    bucket.put("out/a.csv", "out/a.txt")
    bucket.put("out/_SUCCESS", content=b"")
    what = Marker(Location("b", "out/_SUCCESS"), f.suffix(".csv") & f.size(min_bytes=1))
    assert places_of(bucket, what) == ["s3://b/out/_SUCCESS", "s3://b/out/a.csv"]


def test_without_a_marker_its_folder_is_not_listed() -> None:
    bucket = InMemoryBucket()
    bucket.put("out/a")
    assert bucket.seen(Marker(Location("b", "out/_SUCCESS"))).missing == "s3://b/out/_SUCCESS"
    assert bucket.questions == [Head(Location("b", "out/_SUCCESS"))]


def test_a_manifest_comes_before_what_it_lists_in_its_order() -> None:
    bucket = InMemoryBucket()
    bucket.put("z", "a")
    bucket.put("x", bucket="c")
    bucket.put("m", content=b"z\ns3://c/x\na\n")
    assert places_of(bucket, Manifest(Location("b", "m"))) == ["s3://b/m", "s3://b/z", "s3://c/x", "s3://b/a"]


def test_a_manifest_without_one_of_its_parts_has_not_come() -> None:
    bucket = InMemoryBucket()
    bucket.put("a")
    bucket.put("m", content=b"a\nlate")
    assert bucket.seen(Manifest(Location("b", "m"))).absent == Location("b", "late")


def test_a_manifest_that_is_not_there_has_not_come() -> None:
    bucket = InMemoryBucket()
    seen = bucket.seen(Manifest(Location("b", "m")))
    assert (seen.missing, bucket.questions) == ("s3://b/m and what it lists", [Content(Location("b", "m"))])


def test_a_marker_with_too_many_parts_is_refused() -> None:
    bucket = InMemoryBucket()
    bucket.put("out/_SUCCESS", *(f"out/{number}" for number in range(MAX_OBJECTS + 1)))
    with pytest.raises(
        ConfigurationError, match="marker_key: s3://b/out/_SUCCESS has more than 10,000 parts"
    ):
        bucket.seen(Marker(Location("b", "out/_SUCCESS")))


def test_a_manifest_with_too_many_parts_is_refused() -> None:
    bucket = InMemoryBucket()
    bucket.put("m", content=b"\n".join(b"%d" % number for number in range(MAX_OBJECTS + 1)))
    with pytest.raises(ConfigurationError, match="manifest_key: s3://b/m has more than 10,000 parts"):
        bucket.seen(Manifest(Location("b", "m")))
    assert heads(bucket) == []


def test_any_event_concerns_a_manifest_since_its_parts_are_known_to_a_look_only() -> None:
    bucket = InMemoryBucket()
    bucket.put("a")
    assert Manifest(Location("b", "m")).concerns(bucket.event(Location("b", "a")))


# The event of an object


def test_the_event_of_an_object_says_that_it_was_created_but_not_how() -> None:
    event = object_event(
        Location("b", "k"), size=1, etag='"abc"', modified=None, version_id="v", envelope="s3-object"
    )
    assert event.is_created
    assert f.event_type("ObjectCreated:*")(event)
    assert not f.event_type("ObjectCreated:Put")(event)
    assert (event.etag, event.version_id) == ("abc", "v")


def test_the_null_version_is_none_as_in_notifications() -> None:
    event = object_event(
        Location("b", "k"), size=1, etag=None, modified=None, version_id="null", envelope="s3-object"
    )
    assert (event.etag, event.version_id) == (None, None)


# From settings


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"bucket_key": "s3://b/a/b.csv"}, Keys((Location("b", "a/b.csv"),))),
        ({"bucket_key": "a?b#c", "bucket_name": "b"}, Keys((Location("b", "a?b#c"),))),
        (
            {"bucket_key": ["s3://c/x", "y", "y"], "bucket_name": "b"},
            Keys((Location("c", "x"), Location("b", "y"))),
        ),
        ({"prefix": "", "bucket_name": "b"}, Objects("b")),
        ({"prefix": "s3://b/in/", "count": 3}, Objects("b", "in/", 3)),
        ({"prefix": "s3://b"}, Objects("b")),
        ({"marker_key": "s3://b/out/_SUCCESS"}, Marker(Location("b", "out/_SUCCESS"))),
        ({"manifest_key": "m", "bucket_name": "b"}, Manifest(Location("b", "m"))),
        ({"prefix": "s3://b/", "when": {"suffix": ".csv"}}, Objects("b", "", 1, f.suffix(".csv"))),
        ({"prefix": "s3://b/", "when": ~f.suffix(".tmp")}, Objects("b", "", 1, ~f.suffix(".tmp"))),
    ],
)
def test_settings_say_what_is_awaited(settings: Any, what: Awaited) -> None:
    assert awaited_of(**settings) == what


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "nothing to wait for: give one of bucket_key, prefix, marker_key, manifest_key"),
        ({"bucket_key": "s3://b/a", "prefix": "s3://b/"}, "bucket_key and prefix"),
        ({"bucket_key": "a"}, "bucket_key='a'.*bucket_name"),
        ({"bucket_key": "s3://b/"}, "bucket_key.*empty"),
        ({"bucket_key": "s3:///a"}, "bucket_key"),
        ({"bucket_key": []}, "bucket_key: 0 keys"),
        ({"bucket_key": [1], "bucket_name": "b"}, "bucket_key=1: give text"),
        ({"bucket_key": ["x"] * (MAX_OBJECTS + 1), "bucket_name": "b"}, "bucket_key: 10001 keys"),
        ({"bucket_key": "s3://b/a", "count": 2}, "count=2"),
        ({"prefix": "s3://b/", "count": 0}, "count=0"),
        ({"prefix": "s3://b/", "count": True}, "count=True"),
        ({"prefix": "s3://b/", "count": MAX_OBJECTS + 1}, "count=10001"),
        ({"prefix": "in/"}, "prefix"),
        ({"marker_key": "_SUCCESS"}, "marker_key"),
        ({"manifest_key": "m"}, "manifest_key"),
        ({"prefix": "s3://b/", "when": {"nonsense": 1}}, "nonsense"),
        ({"prefix": "s3://b/", "when": f.suffix("x") | ~f.event_type("ObjectCreated:Put")}, "event_type"),
    ],
)
def test_settings_that_cannot_work_are_named(settings: Any, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        awaited_of(**settings)
