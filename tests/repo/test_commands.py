"""The commands of the pages that need AWS, run line by line against an emulator of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from airflow_s3events.cli import main
from airflow_s3events.testing import object_created_body
from tests import emulators
from tests.repo.block_fates import EMULATED, fate
from tests.repo.pages import PAGES, blocks

BLOCKS = [block for block in blocks(*PAGES) if fate(block) == "emulated"]
#: What the pages say of the exit status where it is not 0 in the world below.
STATUS = {
    # 4: no letter meets the criteria; none is ten days old.
    "s3events dead-letters purge landing-events-dlq --older-than 864000": 4,
}


@pytest.fixture(scope="module")
def world() -> Iterator[dict[str, str]]:
    """The buckets and queues of the pages, and letters in the dead letter queue; settings that lead there."""
    with emulators.moto_server() as url:
        settings = {
            "AWS_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
        }
        clients = [_client(name, url) for name in ("s3", "sqs")]
        _make(*clients)
        yield settings


def _client(service: str, url: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )


def _make(s3: Any, sqs: Any) -> None:
    _queue(sqs, "landing-events-parked")
    letters = _queue(sqs, "landing-events-dlq", MessageRetentionPeriod="1209600")
    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "s3.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": _arn(sqs, letters).removesuffix("-dlq"),
                }
            ],
        }
    )
    redrive = json.dumps({"deadLetterTargetArn": _arn(sqs, letters), "maxReceiveCount": 20})
    events = _queue(sqs, "landing-events", RedrivePolicy=redrive, Policy=policy)
    landing = _queue(sqs, "landing")
    sqs.send_message(QueueUrl=landing, MessageBody=object_created_body("landing", "in/waits.csv"))
    for body, attributes in (
        ("no JSON", {"s3events.reason": "the body is not JSON: Expecting value"}),
        (object_created_body("landing", "in/2026/a.csv"), {"s3events.dag_id": "process_object"}),
    ):
        texts = {name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()}
        sqs.send_message(QueueUrl=letters, MessageBody=body, MessageAttributes=texts)
    s3.create_bucket(Bucket="landing-zone", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    rule = {
        "Id": "airflow-orders",
        "QueueArn": _arn(sqs, events),
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "orders/"}]}},
    }
    s3.put_bucket_notification_configuration(
        Bucket="landing-zone", NotificationConfiguration={"QueueConfigurations": [rule]}
    )


def _queue(sqs: Any, name: str, **attributes: str) -> str:
    url: str = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url


def _arn(sqs: Any, url: str) -> str:
    arn: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return arn


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_each_line_ends_as_its_page_says(
    block: Any, world: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in world.items():
        monkeypatch.setenv(name, value)
    for line in block.text.splitlines():
        assert main(shlex.split(line)[1:]) == STATUS.get(line, 0), f"{line}\n{capsys.readouterr()}"


def test_every_command_that_is_to_be_run_is_on_a_page() -> None:
    shown = "\n".join(block.text for block in BLOCKS)
    assert [command for command in EMULATED if command not in shown] == []
