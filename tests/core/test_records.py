from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given

from airflow_s3events.exceptions import BodyError
from tests.core.payload_bodies import MOMENT, SECOND, detail, one, parse, payload, put, record
from tests.strategies import keys


@given(keys)
def test_a_key_of_s3_is_decoded_once(key: str) -> None:
    encoded = quote_plus(key, safe="/")
    assert one(put(key=encoded)).key == key


@given(keys)
def test_a_key_encoded_by_localstack_is_decoded_once(key: str) -> None:
    assert one(put(key=quote(key))).key == key


@given(keys)
def test_a_key_of_eventbridge_is_left_as_it_is(key: str) -> None:
    assert one(detail(object={"key": key})).key == key


@given(keys)
def test_a_key_of_ceph_is_left_as_it_is(key: str) -> None:
    body = payload("ceph")
    body["Records"][0]["s3"]["object"]["key"] = key
    assert one(body).key == key


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "key should be text"),
        (7, "key should be text"),
        ("%ED%A0%80", "key is not UTF-8"),
        ("%FF", "key is not UTF-8"),
        ("a" * 1025, "1,025 bytes"),
        ("%C3%BC" * 513, "1,026 bytes"),
    ],
)
def test_a_key_that_s3_cannot_have_is_refused(key: Any, reason: str) -> None:
    with pytest.raises(BodyError, match=reason):
        parse(put(key=key))


def test_a_lone_percent_sign_is_left_as_it_is() -> None:
    assert one(put(key="100%25 or 100%")).key == "100% or 100%"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"eventName": 7}, "eventName should be text"),
        ({"eventName": ""}, "eventName should be text"),
        ({"eventName": "s3:"}, "eventName should be text"),
        ({"eventVersion": 2.1}, "eventVersion 2.1"),
        ({"eventSource": 7}, "eventSource should be text"),
        ({"eventSource": "aws:dynamodb"}, "'aws:dynamodb' is not S3"),
        ({"eventSource": "minio:s3", "eventVersion": "3.0"}, "reads 1 or 2"),
    ],
)
def test_a_wrong_member_of_a_record_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(BodyError) as caught:
        parse(record(**change))
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"awsRegion": 7}, "region"),
        ({"responseElements": {"x-amz-request-id": 7}}, "request_id"),
        ({"userIdentity": {"principalId": 7}}, "principal_id"),
        ({"requestParameters": {"sourceIPAddress": 7}}, "source_ip"),
    ],
)
def test_what_is_said_beside_the_object_is_kept_unread_where_it_is_no_text(
    change: dict[str, Any], name: str
) -> None:
    event = one(record(**change))
    assert (getattr(event, name), event.extra) == (None, {name: 7})


def test_an_account_that_a_transformer_wrote_as_a_number_does_not_cost_the_event() -> None:
    event = one(detail(requester=123456789012))
    assert (event.principal_id, event.extra["principal_id"]) == (None, 123456789012)


@pytest.mark.parametrize("name", ["versionId", "sequencer", "eTag"])
def test_what_tells_an_object_from_another_must_be_text(name: str) -> None:
    with pytest.raises(BodyError, match="should be text, not int"):
        parse(put(**{name: 7}))


@pytest.mark.parametrize("name", [None, "", 7])
def test_a_bucket_needs_a_name(name: Any) -> None:
    body = payload("put")
    body["Records"][0]["s3"]["bucket"]["name"] = name
    with pytest.raises(BodyError, match="bucket"):
        parse(body)


@pytest.mark.parametrize("source", [["aws:s3"], {"a": 1}, 7, True])
def test_a_source_that_is_no_text_is_refused(source: Any) -> None:
    with pytest.raises(BodyError, match="eventSource"):
        parse(record(eventSource=source))


@pytest.mark.parametrize("member", ["userIdentity", "requestParameters", "responseElements"])
@pytest.mark.parametrize("value", [None, "text", []])
def test_who_asked_is_none_where_the_store_does_not_say(member: str, value: Any) -> None:
    event = one(record(**{member: value}))
    names = {
        "userIdentity": "principal_id",
        "requestParameters": "source_ip",
        "responseElements": "request_id",
    }
    assert getattr(event, names[member]) is None


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.99", "2", None])
def test_every_minor_version_is_accepted(version: str | None) -> None:
    assert one(record(eventVersion=version)).key == "in/2026/report.csv"


def test_a_record_without_source_and_version_is_taken_for_s3() -> None:
    body = payload("put")
    del body["Records"][0]["eventSource"], body["Records"][0]["eventVersion"]
    assert one(body) == one(payload("put"))


@pytest.mark.parametrize(
    ("name", "event_type"),
    [
        ("PutObject", "ObjectCreated:Put"),
        ("CopyObject", "ObjectCreated:Copy"),
        ("CompleteMultipartUpload", "ObjectCreated:CompleteMultipartUpload"),
        ("DeleteObject", "ObjectRemoved:Delete"),
    ],
)
def test_a_record_made_of_an_event_of_cloudtrail_has_its_key_as_it_is(name: str, event_type: str) -> None:
    """As published transformers make them: CloudTrail's name and key, and no ``eventSource``."""
    thing = {"key": "in/a+b 100%25.txt", "eTag": "", "versionId": "", "isDeleteMarker": ""}
    s3 = {"bucket": {"name": "landing-zone"}, "object": thing}
    event = one({"Records": [{"eventName": name, "eventTime": "2026-10-05T10:20:30Z", "s3": s3}]})
    assert (event.key, event.event_name, event.event_type) == ("in/a+b 100%25.txt", name, event_type)
    assert (event.etag, event.version_id, event.event_time) == ("", None, SECOND)


def test_a_name_of_cloudtrail_in_a_record_of_s3_changes_nothing() -> None:
    event = one(record(eventName="PutObject"))
    assert (event.key, event.event_type) == ("in/2026/report.csv", "PutObject")


def test_a_key_of_storj_is_decoded_once() -> None:
    body = put(key="dir/my+file%2Btest+%281%29.txt")
    body["Records"][0]["eventSource"] = "storj:s3"
    event = one(body)
    assert (event.key, event.envelope) == ("dir/my file+test (1).txt", "s3-compatible")


def test_an_empty_sequencer_is_kept_as_it_was_sent() -> None:
    assert (one(put(sequencer="")).sequencer, one(put(sequencer=None)).sequencer) == ("", None)


def test_the_object_may_be_called_get_object() -> None:
    body = payload("put")
    s3 = body["Records"][0]["s3"]
    s3["get_object"] = s3.pop("object")
    assert one(body) == one(payload("put"))


@pytest.mark.parametrize(
    ("sent", "size"), [("17", 17), ("0", 0), (0, 0), (2**63 - 1, 2**63 - 1), (None, None)]
)
def test_a_size_is_a_number_of_bytes(sent: Any, size: int | None) -> None:
    event = one(put(size=sent))
    assert (event.size, event.extra) == (size, {})


@pytest.mark.parametrize("sent", ["", "-1", "1.5", "²", -1, 1.5, True, [1]])
def test_a_size_that_cannot_be_read_is_kept_beside_the_event(sent: Any) -> None:
    event = one(put(size=sent))
    assert (event.size, event.extra) == (None, {"size": sent})


def test_a_size_that_no_database_holds_is_kept_as_text() -> None:
    event = one(put(size=2**63))
    assert (event.size, event.extra) == (None, {"size": "9223372036854775808"})


@pytest.mark.parametrize(
    ("sent", "moment"),
    [
        ("2026-10-05T10:20:30.456Z", MOMENT),
        ("2026-10-05T10:20:30Z", SECOND),
        ("2026-10-05T10:20:30.4Z", MOMENT.replace(microsecond=400000)),
        ("2026-10-05T10:20:30.456789123Z", MOMENT.replace(microsecond=456789)),
        ("2026-10-05T12:20:30.456+02:00", MOMENT),
        ("2026-10-05T10:20:30.456", MOMENT),
        ("2026-10-05T10:20:30.Z", SECOND),
        (None, None),
    ],
)
def test_a_time_is_read_in_utc(sent: str | None, moment: datetime | None) -> None:
    event = one(record(eventTime=sent))
    assert (event.event_time, event.extra) == (moment, {})


@pytest.mark.parametrize(
    "sent", ["", "yesterday", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", 1759659630]
)
def test_a_time_that_cannot_be_read_is_kept_beside_the_event(sent: Any) -> None:
    event = one(record(eventTime=sent))
    assert (event.event_time, event.extra) == (None, {"event_time": sent})


_DETAIL_TYPES = [
    ("Object Created", "PutObject", None, "ObjectCreated:Put"),
    ("Object Created", "POST Object", None, "ObjectCreated:Post"),
    ("Object Created", "CopyObject", None, "ObjectCreated:Copy"),
    ("Object Created", "CompleteMultipartUpload", None, "ObjectCreated:CompleteMultipartUpload"),
    ("Object Created", "Tomorrow", None, "ObjectCreated:Other"),
    ("Object Created", ["unhashable"], None, "ObjectCreated:Other"),
    ("Object Deleted", "DeleteObject", "Permanently Deleted", "ObjectRemoved:Delete"),
    ("Object Deleted", "DeleteObject", "Delete Marker Created", "ObjectRemoved:DeleteMarkerCreated"),
    ("Object Deleted", "Lifecycle Expiration", "Permanently Deleted", "LifecycleExpiration:Delete"),
    (
        "Object Deleted",
        "Lifecycle Expiration",
        "Delete Marker Created",
        "LifecycleExpiration:DeleteMarkerCreated",
    ),
    ("Object Deleted", "ObjectRemoved", None, "ObjectRemoved:Other"),
    ("Object Restore Initiated", None, None, "ObjectRestore:Post"),
    ("Object Restore Completed", None, None, "ObjectRestore:Completed"),
    ("Object Restore Expired", None, None, "ObjectRestore:Delete"),
    ("Object Storage Class Changed", None, None, "LifecycleTransition"),
    ("Object Access Tier Changed", None, None, "IntelligentTiering"),
    ("Object ACL Updated", None, None, "ObjectAcl:Put"),
    ("Object Tags Added", None, None, "ObjectTagging:Put"),
    ("Object Tags Deleted", None, None, "ObjectTagging:Delete"),
    ("Object Annotation Created", "PutObjectAnnotation", None, "ObjectAnnotation:Put"),
    ("Object Annotation Removed", "DeleteObjectAnnotation", None, "ObjectAnnotation:Delete"),
    ("Object Of Tomorrow", "Unknown", None, "Object Of Tomorrow"),
]


@pytest.mark.parametrize(("name", "reason", "deletion_type", "event_type"), _DETAIL_TYPES)
def test_eventbridge_speaks_of_the_same_events_as_s3(
    name: str, reason: Any, deletion_type: str | None, event_type: str
) -> None:
    body = detail(reason=reason, **{"deletion-type": deletion_type}) | {"detail-type": name}
    event = one(body)
    assert (event.event_name, event.event_type) == (name, event_type)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"version": "1"}, "detail.version '1'"),
        ({"event-version": "2.0"}, "event-version '2.0'"),
        ({"event-version": 1}, "event-version 1"),
        ({"object": {"key": ""}}, "key should be text"),
        ({"bucket": {"name": ""}}, "bucket name"),
        ({"object": {"key": "k", "etag": 7}}, "etag"),
    ],
)
def test_a_wrong_member_of_eventbridge_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(BodyError) as caught:
        parse(detail(**change))
    assert named in str(caught.value)


def test_eventbridge_may_leave_its_versions_out() -> None:
    body = payload("eventbridge-created")
    del body["detail"]["version"], body["detail"]["event-version"]
    assert one(body) == one(payload("eventbridge-created"))


def test_what_eventbridge_says_beyond_is_kept() -> None:
    body = detail(bucket={"name": "landing-zone", "aws-generated-tags": {"aws:x": "y"}})
    body["detail"]["object"]["has-object-annotation"] = True
    event = one(body | {"replay-name": "again"})
    assert event.extra == {
        "reason": "PutObject",
        "aws_generated_tags": {"aws:x": "y"},
        "has_object_annotation": True,
        "replay_name": "again",
    }


def test_what_s3_says_beyond_has_the_same_names_as_through_eventbridge() -> None:
    body = put(hasObjectAnnotation=True)
    body["Records"][0]["s3"]["bucket"]["awsGeneratedTags"] = {"aws:x": "y"}
    assert one(body).extra == {"aws_generated_tags": {"aws:x": "y"}, "has_object_annotation": True}


def test_moto_spells_the_etag_of_eventbridge_as_s3_does() -> None:
    assert one(detail(object={"key": "k", "eTag": "e"})).etag == "e"
