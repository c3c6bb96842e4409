from __future__ import annotations

import copy
import json
from dataclasses import fields
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.envelopes import BadRecord, parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import BodyError
from tests.core.payload_bodies import (
    MOMENT,
    PAYLOADS,
    SECOND,
    one,
    parse,
    payload,
    payload_text,
    put,
    record,
)
from tests.strategies import plain_data, texts

# What each body of tests/payloads gives, beyond what they have in common.
_EXPECTED: dict[str, dict[str, Any]] = {
    "put": {"key": "in/2026/report.csv", "envelope": "s3-records"},
    "put-hive-key": {"key": "in/date=2026-10-05/region=eu/part-00000.snappy.parquet"},
    "put-odd-key": {"key": "in/red flower+(100%) ü 🌷.jpg"},
    "put-versioned": {"version_id": "3HL4kqtJlcpXrof3vjVBH40Nrjfkd"},
    "put-new-members": {"extra": {"tomorrow_event_data": {"what": {"deeper": [1, 2]}}}},
    "restore-completed": {
        "event_type": "ObjectRestore:Completed",
        "extra": {
            "glacier_event_data": {
                "restoreEventData": {
                    "lifecycleRestorationExpiryTime": "2026-10-12T00:00:00.000Z",
                    "lifecycleRestoreStorageClass": "GLACIER",
                }
            }
        },
    },
    "delete": {"event_type": "ObjectRemoved:Delete", "size": None, "etag": None},
    "delete-marker": {
        "event_type": "ObjectRemoved:DeleteMarkerCreated",
        "size": None,
        "version_id": "Qm1ar.k2rVersion",
    },
    "tags": {"event_type": "ObjectTagging:Put", "sequencer": None, "size": None},
    "sns-put": {"key": "in/2026/report.csv", "envelope": "sns-wrapped>s3-records"},
    "sns-eventbridge": {"key": "in/a+b c.csv", "envelope": "sns-wrapped>eventbridge"},
    "lambda-destination": {"envelope": "lambda-destination>s3-records"},
    "eventbridge-created": {
        "event_name": "Object Created",
        "event_type": "ObjectCreated:Put",
        "key": "in/2026/report.csv",
        "envelope": "eventbridge",
        "event_time": SECOND,
        "principal_id": "111122223333",
        "configuration_id": None,
        "extra": {"reason": "PutObject"},
    },
    "eventbridge-raw-key": {"key": "in/a+b c%20d.csv"},
    "eventbridge-delete-marker": {
        "event_type": "ObjectRemoved:DeleteMarkerCreated",
        "version_id": "Qm1ar.k2rVersion",
        "extra": {"reason": "DeleteObject", "deletion_type": "Delete Marker Created"},
    },
    "eventbridge-expired": {"event_type": "LifecycleExpiration:Delete", "principal_id": "s3.amazonaws.com"},
    "eventbridge-restore-completed": {
        "event_type": "ObjectRestore:Completed",
        "extra": {"restore_expiry_time": "2026-10-12T00:00:00Z", "source_storage_class": "GLACIER"},
    },
    "minio": {
        "event_name": "ObjectCreated:Put",
        "key": "in/red flower+1.jpg",
        "region": None,
        "envelope": "s3-compatible",
        "extra": {
            "event_source": "minio:s3",
            "content_type": "image/jpeg",
            "source": {"host": "192.0.2.9", "port": "", "userAgent": "mc"},
        },
    },
    "ceph": {
        "key": "in/red+flower%20.jpg",
        "version_id": None,
        "envelope": "s3-compatible-raw",
        "event_time": MOMENT.replace(microsecond=456789),
        "extra": {"event_source": "ceph:s3", "event_id": "1.2.abc"},
    },
    "scality": {"key": "in/a+b.txt", "size": 17, "etag": None, "sequencer": None, "request_id": None},
    "noobaa": {"key": "in/a%20b.txt", "size": 17, "envelope": "s3-compatible-raw"},
    "storagegrid": {"envelope": "sns-publish>s3-compatible", "region": None},
    "localstack": {"key": "in/a b.csv", "request_id": "e3b1c2d4"},
}


@pytest.mark.parametrize(("name", "want"), _EXPECTED.items())
def test_each_envelope_gives_the_event_it_holds(name: str, want: dict[str, Any]) -> None:
    parsed = parse_body(payload_text(name), message_id="m")
    (event,) = parsed.events
    assert {member: getattr(event, member) for member in want} == want
    assert (event.bucket, event.delivery_id) == ("landing-zone", "m#0")
    assert (parsed.bad, parsed.kind, parsed.envelope) == ((), "events", event.envelope)


def test_every_member_of_a_record_is_read() -> None:
    assert one(payload("put")) == ObjectEvent(
        event_name="ObjectCreated:Put",
        event_type="ObjectCreated:Put",
        bucket="landing-zone",
        key="in/2026/report.csv",
        envelope="s3-records",
        event_time=MOMENT,
        region="eu-west-1",
        sequencer="0068E1A2B3C4D5E6F7",
        size=2048,
        etag="9b2cf535f27731c974343645a3985328",
        request_id="7TRQ0M4Z8XK2VBN1",
        principal_id="AWS:AROAEXAMPLEROLE:uploader",
        source_ip="192.0.2.17",
        configuration_id="to-queue",
        delivery_id="m#0",
    )


@pytest.mark.parametrize("name", ["put", "eventbridge-created"])
def test_an_event_has_all_its_members_but_those_that_no_message_tells(name: str) -> None:
    told = [field.name for field in fields(ObjectEvent) if field.name != "facts"]
    assert list(vars(one(payload(name)))) == told
    assert one(payload(name)).facts is None


@pytest.mark.parametrize(
    ("name", "kind", "envelope"),
    [
        ("test-event", "test", "test-event"),
        ("sns-test-event", "test", "sns-wrapped>test-event"),
        ("noobaa-test-event", "test", "test-event"),
        ("empty", "none", "s3-records"),
    ],
)
def test_a_body_may_hold_no_event(name: str, kind: str, envelope: str) -> None:
    assert parse_body(payload_text(name)) == ((), (), kind, envelope)


def test_a_bad_record_does_not_cost_the_good_ones() -> None:
    parsed = parse_body(payload_text("three-records-second-bad"), message_id="m")
    assert [(event.key, event.delivery_id) for event in parsed.events] == [
        ("in/1.csv", "m#0"),
        ("in/3.csv", "m#2"),
    ]
    assert parsed.bad == (BadRecord(1, "no s3.object.key"),)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("foreign-cloudtrail", "eventSource 's3.amazonaws.com' is not S3"),
        ("foreign-eventbridge-api-call", "AWS API Call via CloudTrail"),
        ("foreign-sns-confirmation", "an SNS SubscriptionConfirmation; its URL is not followed"),
        ("foreign-lambda-sqs", "Lambda's form of an SQS message; the S3 event is its `body`"),
        ("other-major", "eventVersion '3.0' is another major version; this release reads 2"),
    ],
)
def test_a_look_alike_is_refused_by_name(name: str, reason: str) -> None:
    with pytest.raises(BodyError) as caught:
        parse_body(payload_text(name))
    assert reason in str(caught.value)
    assert "amazonaws.com/" not in str(caught.value)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "no members"),
        ([], "JSON list"),
        (None, "JSON NoneType"),
        ("s3", "JSON str"),
        ({"message": "hello", "other": 1}, "'message', 'other'"),
        ({"Records": None}, "Records should be a list"),
        ({"Records": "x"}, "Records should be a list"),
        ({"Records": [7]}, "record 0: JSON int, not an object"),
        ({"Records": [{}]}, "no eventName"),
        ({"Records": [{"EventSource": "aws:sns", "Sns": {}}]}, "Sns.Message"),
        ({"Records": [{"eventName": "x", "s3": []}]}, "no s3.bucket.name"),
        (
            {"Records": [{"eventName": "x", "s3": {"bucket": {"name": "b"}, "object": "k"}}]},
            "no s3.object.key",
        ),
        ({"source": "aws.s3", "detail-type": "Object Created"}, "without detail.bucket.name"),
        ({"source": "aws.s3", "detail-type": 7}, "detail-type is 7"),
        (
            {"TopicArn": "t", "Message": "CloudTrail validation message."},
            "in the SNS message: the body is not JSON",
        ),
        ({"Message": "no topic"}, "'Message'"),
        ({"Action": "Other", "Message": {}}, "'Action', 'Message'"),
        ({"requestPayload": None}, "JSON NoneType"),
    ],
)
def test_what_is_no_s3_event_is_refused_with_the_reason(document: Any, reason: str) -> None:
    with pytest.raises(BodyError) as caught:
        parse(document)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not JSON"),
        ("hello world", "not JSON"),
        ('{"Records": []} {}', "more text follows at character 15"),
        (b'{"Records": "\xff"}', "not UTF-8"),
        ('{"Records": "\ud800"}', "not UTF-8"),
        ('{"Records": "\\ud800"}', "half of a surrogate pair"),
        ("[" * 100_000, "nested too deep"),
        ('{"Records": NaN}', "NaN is not JSON"),
        ('{"Records": -Infinity}', "-Infinity is not JSON"),
    ],
)
def test_text_that_cannot_be_read_is_refused(body: str | bytes, reason: str) -> None:
    with pytest.raises(BodyError, match=reason):
        parse_body(body, message_id="m")


def test_a_number_of_ten_thousand_digits_is_refused() -> None:
    with pytest.raises(BodyError):
        parse_body(payload_text("put").replace("2048", "9" * 10_000))


@pytest.mark.parametrize("value", [10**30, -(10**30), 1e308 * 10, [[10**30]]])
def test_numbers_that_no_database_holds_are_refused(value: Any) -> None:
    text = json.dumps(record(tomorrow=value)).replace("Infinity", "1e999")
    with pytest.raises(BodyError, match="number is too long"):
        parse_body(text)


def test_nesting_that_would_break_those_who_store_the_event_is_refused() -> None:
    deep: Any = 1
    for _ in range(20):
        deep = {"in": [deep]}
    with pytest.raises(BodyError, match="nested too deep"):
        parse(record(tomorrow=deep))


def test_a_body_of_too_many_envelopes_is_refused() -> None:
    body = payload("put")
    for _ in range(6):
        body = {"requestPayload": body}
    with pytest.raises(BodyError, match="more than 5 envelopes"):
        parse(body)


def test_a_member_that_is_there_twice_counts_as_its_last() -> None:
    text = payload_text("put").replace('"key":', '"key":"first","key":')
    assert parse_body(text).events[0].key == "in/2026/report.csv"


def test_without_message_id_the_digest_of_the_body_stands_in() -> None:
    body = payload_text("put")
    digest = sha256(body.encode()).hexdigest()
    assert parse_body(body).events[0].delivery_id == f"{digest}#0"
    assert parse_body(body.encode()) == parse_body(body)


def test_text_beyond_ascii_is_read_as_text_or_bytes() -> None:
    body = json.dumps(put(key="ü"), ensure_ascii=False)
    assert parse_body(body, message_id="m") == parse_body(body.encode(), message_id="m")


def test_a_byte_order_mark_and_blanks_around_the_body_do_no_harm() -> None:
    assert parse_body("\ufeff\n " + payload_text("put") + " \n", message_id="m") == parse_body(
        payload_text("put"), message_id="m"
    )


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert one(put(key="🌷")).key == "🌷"


_ALL = sorted(path.stem for path in PAYLOADS.glob("*.json"))


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, each in inner for place in _places(each, (*path, name)))]


@given(st.data())
def test_no_change_to_a_body_brings_another_error_than_body_error(data: st.DataObject) -> None:
    body = copy.deepcopy(payload(data.draw(st.sampled_from(_ALL))))
    *path, last = data.draw(st.sampled_from(_places(body)[1:]))
    target = body
    for step in path:
        target = target[step]
    target[last] = data.draw(plain_data)
    try:
        parsed = parse(body)
    except BodyError:
        return
    for event in parsed.events:
        assert ObjectEvent.deserialize(json.loads(json.dumps(event.serialize()))) == event


@given(texts | st.binary())
def test_no_text_brings_another_error_than_body_error(body: str | bytes) -> None:
    with pytest.raises(BodyError):
        parse_body(body)


def test_an_event_of_ours_is_read_back_with_every_member_that_it_is_named_by() -> None:
    (event,) = parse_body(payload_text("put"), message_id="first").events
    body = json.dumps({"s3_event": event.serialize()})

    assert parse_body(body, message_id="second").events == (event,)


def test_an_event_of_ours_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(BodyError, match="object event"):
        parse_body(json.dumps({"s3_event": {"bucket": 3}}), message_id="m")
