"""Bad input to set-up: one error that names the setting, and nothing is changed."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable

import pytest

from airflow_s3events.bucket_notifications import Rule, merged
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.notification_setup.destinations import (
    EventBridgeDestination,
    QueueDestination,
    TopicDestination,
)
from tests.setup_world import Calls, World, connection


def rule(world: World, name: str, prefix: str) -> Rule:
    destination = f"arn:aws:sqs:us-east-1:{world.hooks.account(None)}:{world.name}-theirs"
    return Rule(id=name, destination=destination, events=("s3:ObjectCreated:*",), prefix=prefix)


def wrong_event(world: World) -> None:
    world.configure("q", events=["s3:ObjectCreate:*"])


def wrong_arn(world: World) -> None:
    world.configure("arn:aws:dynamodb:us-east-1:111122223333:table/t")


def wrong_region(world: World) -> None:
    world.configure(f"arn:aws:sqs:eu-west-1:{world.hooks.account(None)}:q")


def topic_elsewhere(world: World) -> None:
    world.configure(TopicDestination(f"arn:aws:sns:eu-west-1:{world.hooks.account(None)}:t"))


def another_account(world: World) -> None:
    world.configure("arn:aws:sqs:us-east-1:999999999999:q")


def long_prefix(world: World) -> None:
    world.configure("q", prefix="x" * 1025)


def long_pattern(world: World) -> None:
    world.configure(EventBridgeDestination(queue=QueueDestination("q")), prefix="x" * 200, suffix="x" * 200)


def overlapping(world: World) -> None:
    world.open_queue("theirs")
    world.put_configuration(merged({}, [rule(world, "theirs", "in/")]))
    world.configure("q", prefix="in/2026/")


def no_bucket(world: World) -> None:
    world.bucket += "-missing"
    world.configure("q")


def fifo(world: World) -> None:
    world.configure("q.fifo")


def fifo_topic(world: World) -> None:
    world.configure(TopicDestination("t.fifo"))


def two_direct(world: World) -> None:
    world.configure(["q", "r"])


def denied(world: World) -> None:
    arn = world.queue("q")
    statement = {"Sid": "Nobody", "Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": arn}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    client = world.client("sqs")
    client.set_queue_attributes(QueueUrl=world.queue_url("q"), Attributes={"Policy": json.dumps(policy)})
    world.configure(f"{world.name}-q")


def full_policy(world: World) -> None:
    arn = world.queue("q")
    allow = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sqs:GetQueueUrl", "Resource": arn}
    policy = {"Version": "2012-10-17", "Statement": [{**allow, "Sid": f"s{n}"} for n in range(20)]}
    client = world.client("sqs")
    client.set_queue_attributes(QueueUrl=world.queue_url("q"), Attributes={"Policy": json.dumps(policy)})
    world.configure(f"{world.name}-q")


def retention(world: World) -> None:
    world.configure(QueueDestination("q", retention_seconds=7200, dead_letter_retention_seconds=3600))


def receive_count(world: World) -> None:
    world.configure(QueueDestination("q", max_receive_count=2))


def wrong_mode(world: World) -> None:
    world.configure("q", mode="overwrite")


def wrong_rule_name(world: World) -> None:
    world.configure(EventBridgeDestination(rule="a rule", queue=QueueDestination("q")))


def not_on_the_bus(world: World) -> None:
    world.configure(EventBridgeDestination(), events=["s3:Replication:*"])


#: What is asked for, and the setting that the error must name.
BAD: dict[Callable[[World], None], str] = {
    wrong_event: "events: .*did you mean 's3:ObjectCreated",
    wrong_arn: "queue: .*dynamodb",
    wrong_region: "queue: .*eu-west-1.*TopicDestination",
    topic_elsewhere: "topic: .*eu-west-1",
    another_account: "aws_conn_id of QueueDestination: .*999999999999",
    long_prefix: "prefix: 1,025 characters",
    long_pattern: "pattern has",
    overlapping: "'ours'.*overlaps with rule 'theirs'",
    no_bucket: "bucket_name: there is no such bucket",
    fifo: "queue: q.fifo is FIFO",
    fifo_topic: "topic: .*FIFO",
    two_direct: "destinations: .*TopicDestination",
    denied: "statement Nobody of its policy denies",
    full_policy: "policy would have 2. statements",
    retention: "dead_letter_retention_seconds",
    receive_count: "max_receive_count=2",
    wrong_mode: "mode='overwrite'",
    wrong_rule_name: "rule: 'a rule'",
    not_on_the_bus: "does not send s3:Replication",
}


#: Writing calls that a case makes before it asks.
PREPARING: dict[Callable[[World], None], list[str]] = {
    overlapping: ["CreateQueue", "SetQueueAttributes", "PutBucketNotificationConfiguration"],
    denied: ["CreateQueue", "SetQueueAttributes"],
    full_policy: ["CreateQueue", "SetQueueAttributes"],
}


@pytest.mark.parametrize("ask", BAD, ids=lambda ask: ask.__name__)
def test_bad_input_is_one_error_that_names_the_setting_and_changes_nothing(
    ask: Callable[[World], None], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls().watch(monkeypatch)
    with pytest.raises(ConfigurationError, match=BAD[ask]):
        ask(world)
    assert calls.writing == PREPARING.get(ask, [])


def test_a_role_without_rights_is_told_so_before_anything_is_changed(
    moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = World(moto_url)
    owner.make_bucket()
    iam = owner.client("iam")
    iam.create_user(UserName=owner.name)
    key = iam.create_access_key(UserName=owner.name)["AccessKey"]
    extra = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(moto_url, **extra).replace("AKIATEST", ""))

    def enforce(value: bytes) -> None:
        headers = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{moto_url}/moto-api/reset-auth", data=value, headers=headers)  # noqa: S310
        urllib.request.urlopen(request).close()  # noqa: S310 - loopback

    calls = Calls().watch(monkeypatch)
    enforce(b"0")
    try:
        with pytest.raises(ConfigurationError, match=r"aws_conn_id: its role may not.*s3events iam"):
            owner.configure(QueueDestination(f"{owner.name}-q"))
    finally:
        enforce(b"1000000000")
    assert calls.writing == []
