"""The embedded AWS of the demo notifies in the form that AWS documents: nothing holds only there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from airflow_s3events.demo.aws_server import Arrivals
from airflow_s3events.envelopes import parse_body


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    with EmbeddedAws(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture(scope="module")
def bucket(aws: EmbeddedAws) -> NotifyingBucket:
    bucket = aws.notifying_bucket("versioned", versioned=True, max_receive_count=2)
    assert [json.loads(body)["Event"] for body in _bodies(aws, bucket.queue_url)] == ["s3:TestEvent"]
    return bucket


def _bodies(aws: EmbeddedAws, queue_url: str) -> list[str]:
    """Take what waits in a queue."""
    answer = aws.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)
    for message in answer.get("Messages", ()):
        aws.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return [message["Body"] for message in answer.get("Messages", ())]


def _objects(aws: EmbeddedAws, bucket: NotifyingBucket) -> list[dict[str, Any]]:
    records = [json.loads(body)["Records"][0] for body in _bodies(aws, bucket.queue_url)]
    return [{"eventName": record["eventName"], **record["s3"]["object"]} for record in records]


def test_keys_are_form_encoded_and_come_back_as_they_were(aws: EmbeddedAws, bucket: NotifyingBucket) -> None:
    key = "a b+c/100%25 é.txt"
    aws.s3.put_object(Bucket=bucket.bucket, Key=key, Body=b"1")
    (body,) = _bodies(aws, bucket.queue_url)
    assert json.loads(body)["Records"][0]["s3"]["object"]["key"] == "a+b%2Bc/100%2525+%C3%A9.txt"
    assert [event.key for event in parse_body(body).events] == [key]


def test_sequencers_rise_and_versions_are_those_of_the_answer(
    aws: EmbeddedAws, bucket: NotifyingBucket
) -> None:
    versions = [aws.s3.put_object(Bucket=bucket.bucket, Key="k", Body=b"1")["VersionId"] for _ in range(3)]
    objects = _objects(aws, bucket)
    sequencers = [object_["sequencer"] for object_ in objects]
    assert sequencers == sorted(set(sequencers))
    assert {len(sequencer) for sequencer in sequencers} == {18}
    assert [object_["versionId"] for object_ in objects] == versions


def test_a_delete_marker_has_its_own_version_and_no_size(aws: EmbeddedAws, bucket: NotifyingBucket) -> None:
    aws.s3.put_object(Bucket=bucket.bucket, Key="deleted", Body=b"1")
    marker = aws.s3.delete_object(Bucket=bucket.bucket, Key="deleted")["VersionId"]
    deleted = _objects(aws, bucket)[-1]
    assert deleted["eventName"] == "ObjectRemoved:DeleteMarkerCreated"
    assert deleted["versionId"] == marker
    assert "size" not in deleted


def test_without_versions_there_is_no_version_id_and_a_delete_has_no_etag(aws: EmbeddedAws) -> None:
    plain = aws.notifying_bucket("plain")
    aws.s3.put_object(Bucket=plain.bucket, Key="k", Body=b"1")
    aws.s3.delete_object(Bucket=plain.bucket, Key="k")
    _test_event, *bodies = _bodies(aws, plain.queue_url)
    created, removed = (json.loads(body)["Records"][0] for body in bodies)
    assert "versionId" not in created["s3"]["object"]
    assert removed["eventName"] == "ObjectRemoved:Delete"
    assert sorted(removed["s3"]["object"]) == ["key", "sequencer"]


def test_the_redrive_policy_moves_a_message_after_its_receives(
    aws: EmbeddedAws, bucket: NotifyingBucket
) -> None:
    aws.sqs.send_message(QueueUrl=bucket.queue_url, MessageBody="poison")
    for _ in range(3):
        aws.sqs.receive_message(QueueUrl=bucket.queue_url, VisibilityTimeout=0)
    assert aws.counts(bucket.queue_url) == (0, 0)
    assert _bodies(aws, bucket.dlq_url) == ["poison"]


async def test_a_long_poll_ends_its_nap_when_a_notification_arrives() -> None:
    arrivals = Arrivals()
    nap = asyncio.create_task(arrivals.nap(3600.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not nap.done()
    arrivals.ring()
    await asyncio.wait_for(nap, 10.0)
