"""ARNs: what is read, what is refused."""

from __future__ import annotations

import pytest

from airflow_s3events.arns import Arn, bucket_arn, check_bucket, check_region, is_arn, partition_of
from airflow_s3events.exceptions import ConfigurationError


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:sqs:eu-west-1:111122223333:events",
        "arn:aws-cn:sns:cn-north-1:111122223333:events",
        "arn:aws:s3:::landing",
        "arn:aws:lambda:eu-west-1:111122223333:function:load:live",
        "arn:aws:events:eu-west-1:111122223333:rule/bus/landing",
    ],
)
def test_an_arn_is_read_and_put_together_again(text: str) -> None:
    assert is_arn(text)
    assert str(Arn.parse(text, setting="queue")) == text


@pytest.mark.parametrize(
    "text", ["", "events", "arn:aws:sqs", "arn::sqs:r:1:q", "arn:aws:sqs:r:1:", "urn:a:b:c:d:e"]
)
def test_what_is_no_arn_is_refused_by_the_setting_s_name(text: str) -> None:
    with pytest.raises(ConfigurationError, match="the_setting"):
        Arn.parse(text, setting="the_setting")


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:sns:eu-west-1:111122223333:events",
        "arn:aws:sqs::111122223333:events",
        "arn:aws:sqs:europe:111122223333:events",
        "arn:aws:sqs:eu-west-1::events",
        "arn:aws:sqs:eu-west-1:1111-2222-3333:events",
    ],
)
def test_an_arn_of_another_service_or_without_region_or_account_is_no_queue(text: str) -> None:
    with pytest.raises(ConfigurationError, match="the_setting"):
        Arn.of_service(text, "sqs", setting="the_setting")


@pytest.mark.parametrize(
    ("resource", "name"),
    [("events", "events"), ("function:load", "load"), ("rule/bus/landing", "landing"), ("a.fifo", "a.fifo")],
)
def test_the_name_is_the_last_part(resource: str, name: str) -> None:
    arn = Arn.parse(f"arn:aws:any:r:1:{resource}", setting="x")
    assert arn.name == name
    assert arn.is_fifo is resource.endswith(".fifo")


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("eu-west-1", "aws"),
        ("us-east-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eu-isoe-west-1", "aws-iso-e"),
        ("us-isof-south-1", "aws-iso-f"),
        ("eusc-de-east-1", "aws-eusc"),
    ],
)
def test_a_region_tells_its_partition(region: str, partition: str) -> None:
    assert check_region(region, setting="region_name") == region
    assert partition_of(region) == partition


def test_a_bucket_s_arn_has_neither_region_nor_account() -> None:
    assert bucket_arn("landing", partition="aws-cn") == "arn:aws-cn:s3:::landing"


@pytest.mark.parametrize(
    "bucket", ["s3://landing", "arn:aws:s3:::landing", "a/b", "", "ab", "x" * 256, "a--use1-az4--x-s3"]
)
def test_what_is_no_bucket_or_cannot_notify_is_refused(bucket: str) -> None:
    with pytest.raises(ConfigurationError, match="bucket_name"):
        check_bucket(bucket)


@pytest.mark.parametrize("bucket", ["landing", "my.bucket-1", "Old_Bucket", "x" * 63])
def test_a_bucket_s_name_is_taken(bucket: str) -> None:
    assert check_bucket(bucket) == bucket
