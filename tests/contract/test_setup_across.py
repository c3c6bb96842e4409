"""Set-up across accounts and regions, on moto: it alone keeps accounts apart."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from airflow_s3events.arns import Arn
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.notification_setup.destinations import QueueDestination, TopicDestination
from airflow_s3events.policies import Grant, evaluate, parse_policy
from tests.setup_world import World, connection

OTHER_ACCOUNT = "222222222222"
ROLE = f"arn:aws:iam::{OTHER_ACCOUNT}:role/setup"


@pytest.fixture
def world(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(moto_url))
    monkeypatch.setenv(
        "AIRFLOW_CONN_QUEUE_ACCOUNT",
        connection(moto_url, role_arn=ROLE, service_config={"sts": {"endpoint_url": moto_url}}),
    )
    made = World(moto_url)
    made.make_bucket()
    return made


def there(world: World, service: str, **settings: Any) -> Any:
    """A client in the other account."""
    credentials = world.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="test")["Credentials"]
    given = {"region_name": "us-east-1", **settings}
    return boto3.client(
        service,
        endpoint_url=world.url,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        **given,
    )


def attributes(client: Any, name: str) -> dict[str, str]:
    url = client.get_queue_url(QueueName=name)["QueueUrl"]
    return dict(client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"])


def test_a_queue_and_its_key_in_another_account_let_the_bucket_in(world: World) -> None:
    key = there(world, "kms").create_key()["KeyMetadata"]
    name = f"{world.name}-q"
    arn = Arn.parse(f"arn:aws:sqs:us-east-1:{OTHER_ACCOUNT}:{name}", setting="queue")
    destination = QueueDestination(str(arn), kms_key=key["Arn"], aws_conn_id="queue_account")
    world.configure(destination)
    found, sender = attributes(there(world, "sqs"), name), Grant.of_bucket(world.bucket, "123456789012")
    assert found["QueueArn"] == str(arn)
    assert evaluate(parse_policy(found["Policy"]), sender.request(arn)).allowed
    policy = there(world, "kms").get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"]
    assert all(evaluate(json.loads(policy), one).allowed for one in sender.key_requests(key["Arn"]))
    assert world.configuration()["QueueConfigurations"][0]["QueueArn"] == str(arn)
    assert world.configure(destination) == []


def test_the_bucket_s_owner_is_named_where_the_role_is_of_the_queue_s_account(world: World) -> None:
    there_first = World(world.url, aws_conn_id="queue_account")
    there_first.bucket = world.bucket
    with pytest.raises(ConfigurationError, match="bucket_owner"):
        there_first.configure(QueueDestination(f"{world.name}-q"), bucket_owner="1234")
    there_first.configure(QueueDestination(f"{world.name}-q"), bucket_owner="123456789012")
    (statement, _) = json.loads(attributes(there(world, "sqs"), f"{world.name}-q")["Policy"])["Statement"]
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}


def test_a_queue_of_another_account_can_be_left_to_its_owner(world: World) -> None:
    arn = f"arn:aws:sqs:us-east-1:{OTHER_ACCOUNT}:{world.name}-q"
    there(world, "sqs").create_queue(QueueName=f"{world.name}-q")
    world.configure(QueueDestination(arn, manage=False))
    assert world.configuration()["QueueConfigurations"][0]["QueueArn"] == arn


def test_one_topic_feeds_queues_in_two_regions(world: World) -> None:
    queues = [
        QueueDestination(f"{world.name}-{region}", region_name=region)
        for region in ("us-east-1", "eu-west-1")
    ]
    destination = TopicDestination(f"{world.name}-t", queues=queues)
    world.configure(destination)
    client = boto3.client(
        "sqs",
        endpoint_url=world.url,
        region_name="eu-west-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    topic = Arn.parse(world.configuration()["TopicConfigurations"][0]["TopicArn"], setting="topic")
    found = attributes(client, f"{world.name}-eu-west-1")
    queue = Arn.parse(found["QueueArn"], setting="queue")
    assert (topic.region, queue.region) == ("us-east-1", "eu-west-1")
    assert evaluate(parse_policy(found["Policy"]), Grant.of(topic).request(queue)).allowed
    assert world.configure(destination) == []


def test_the_bucket_s_own_region_counts_and_not_the_connection_s(world: World) -> None:
    s3 = boto3.client(
        "s3",
        endpoint_url=world.url,
        region_name="eu-west-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    world.bucket += "-eu"
    s3.create_bucket(Bucket=world.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    world.configure(f"{world.name}-q")
    arn = world.configuration()["QueueConfigurations"][0]["QueueArn"]
    assert Arn.parse(arn, setting="queue").region == "eu-west-1"
