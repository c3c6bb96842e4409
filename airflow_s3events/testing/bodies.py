"""Message bodies as S3, SNS and EventBridge send them."""

from __future__ import annotations

import itertools
import json
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID

_numbers = itertools.count(1)
_REGION = "us-east-1"
_ACCOUNT = "123456789012"
_EVENT_TIME = "2027-01-15T08:00:00.000Z"


def object_record(
    bucket: str,
    key: str,
    *,
    event_name: str = "ObjectCreated:Put",
    event_time: str = _EVENT_TIME,
    size: int | None = 1024,
    etag: str | None = "d41d8cd98f00b204e9800998ecf8427e",
    version_id: str | None = None,
    sequencer: str | None = None,
    region: str = _REGION,
) -> dict[str, Any]:
    """Return one record as S3 sends it to SQS; each call is another event, with a sequencer of its own.

    Args:
        bucket: Bucket name.
        key: Decoded; the record has it form-encoded, as S3 writes it.
        event_name: Without ``s3:``.
        event_time: ISO-8601, UTC, with milliseconds.
        size: Bytes; None leaves it out, as S3 does for deletes.
        etag: None leaves it out.
        version_id: None leaves it out: a bucket without versions.
        sequencer: None makes one that is higher than all before.
        region: Of the bucket.
    """
    number = next(_numbers)
    obj = {
        "key": quote_plus(key, safe="/"),
        "size": size,
        "eTag": etag,
        "versionId": version_id,
        "sequencer": sequencer or _sequencer(number),
    }
    return {
        "eventVersion": "2.6",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": event_time,
        "eventName": event_name,
        "userIdentity": {"principalId": "AWS:AROAEXAMPLE:loader"},
        "requestParameters": {"sourceIPAddress": "192.0.2.7"},
        "responseElements": {"x-amz-request-id": f"{number:016X}", "x-amz-id-2": f"id2/{number}"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "s3events-testing",
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": "A3NL1KOZZKEXAMPLE"},
                "arn": f"arn:aws:s3:::{bucket}",
            },
            "object": {name: value for name, value in obj.items() if value is not None},
        },
    }


def records_body(*records: dict[str, Any]) -> str:
    """Return the body of a message with these records."""
    return json.dumps({"Records": list(records)})


def object_created_body(bucket: str, key: str, **record: Any) -> str:
    """Return the body of a message with one record; arguments as for ``object_record``."""
    return records_body(object_record(bucket, key, **record))


def test_event_body(bucket: str) -> str:
    """Return the body that S3 sends when notifications are configured."""
    return json.dumps(
        {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": _EVENT_TIME,
            "Bucket": bucket,
            "RequestId": "5582815E1AEA5ADF",
            "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+YstdA6Knx4Ip8EXAMPLE",
        }
    )


# Not a test, though pytest would take the name for one.
test_event_body.__test__ = False  # type: ignore[attr-defined]


def sns_body(body: str, *, topic: str = "landing") -> str:
    """Return ``body`` as SNS wraps it for a subscribed queue without raw delivery."""
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": str(UUID(int=next(_numbers))),
            "TopicArn": f"arn:aws:sns:{_REGION}:{_ACCOUNT}:{topic}",
            "Subject": "Amazon S3 Notification",
            "Message": body,
            "Timestamp": _EVENT_TIME,
            "SignatureVersion": "1",
            "Signature": "EXAMPLE",
            "SigningCertURL": f"https://sns.{_REGION}.amazonaws.com/SimpleNotificationService-example.pem",
            "UnsubscribeURL": f"https://sns.{_REGION}.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=example",
        }
    )


def eventbridge_created_body(
    bucket: str,
    key: str,
    *,
    reason: str = "PutObject",
    size: int = 1024,
    etag: str = "d41d8cd98f00b204e9800998ecf8427e",
    version_id: str | None = None,
    sequencer: str | None = None,
) -> str:
    """Return an ``Object Created`` event as EventBridge sends it to SQS: the key is not encoded.

    Args:
        bucket: Bucket name.
        key: As you would pass it to S3.
        reason: ``PutObject``, ``POST Object``, ``CopyObject`` or ``CompleteMultipartUpload``.
        size: Bytes.
        etag: Entity tag.
        version_id: None leaves it out: a bucket without versions.
        sequencer: None makes one that is higher than all before.
    """
    number = next(_numbers)
    obj = {"key": key, "size": size, "etag": etag, "sequencer": sequencer or _sequencer(number)}
    if version_id is not None:
        obj["version-id"] = version_id
    return json.dumps(
        {
            "version": "0",
            "id": str(UUID(int=number)),
            "detail-type": "Object Created",
            "source": "aws.s3",
            "account": _ACCOUNT,
            "time": "2027-01-15T08:00:00Z",
            "region": _REGION,
            "resources": [f"arn:aws:s3:::{bucket}"],
            "detail": {
                "version": "0",
                "bucket": {"name": bucket},
                "object": obj,
                "request-id": f"{number:016X}",
                "requester": _ACCOUNT,
                "source-ip-address": "192.0.2.7",
                "reason": reason,
            },
        }
    )


def _sequencer(number: int) -> str:
    return f"{0x0067_8A5F_0000_0000_00 + number:018X}"
