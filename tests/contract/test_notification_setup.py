"""Set-up against two emulators of AWS, for what they keep; what one of them lacks is said where it is."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from airflow_s3events.bucket_notifications import normalised
from airflow_s3events.envelopes import parse_body
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.identity import event_id
from airflow_s3events.notification_setup.configure import plan
from airflow_s3events.notification_setup.destinations import (
    EventBridgeDestination,
    FunctionDestination,
    QueueDestination,
    TopicDestination,
)
from airflow_s3events.policies import Grant, evaluate, parse_policy
from airflow_s3events.testing.bodies import eventbridge_created_body
from tests.setup_world import REGION, Calls, World, world_at


@pytest.fixture
def on_ministack(ministack_url: str, monkeypatch: pytest.MonkeyPatch) -> World:
    """For EventBridge: moto forgets the bucket's switch."""
    return world_at(ministack_url, monkeypatch)


def event_ids(message: dict[str, Any]) -> list[str]:
    return [event_id(event) for event in parse_body(message["Body"], message_id="m").events]


def sender_of(world: World) -> Grant:
    return Grant.of_bucket(world.bucket, world.hooks.account(None))


class TestQueues:
    def test_one_task_makes_queue_dead_letter_queue_and_notification(self, world: World) -> None:
        world.configure(QueueDestination(f"{world.name}-q"))
        queue, dead = world.attributes_of("q"), world.attributes_of("q-dlq")
        redrive = json.loads(queue["RedrivePolicy"])
        assert redrive["deadLetterTargetArn"] == dead["QueueArn"]
        assert int(redrive["maxReceiveCount"]) == 20
        assert (queue["MessageRetentionPeriod"], dead["MessageRetentionPeriod"]) == ("604800", "1209600")
        assert queue["VisibilityTimeout"] == "300"
        (rule,) = world.configuration()["QueueConfigurations"]
        assert (rule["Id"], rule["QueueArn"]) == ("ours", queue["QueueArn"])

    def test_the_queue_lets_this_bucket_in_and_no_other(self, world: World) -> None:
        from airflow_s3events.arns import Arn

        world.configure(QueueDestination(f"{world.name}-q"))
        attributes = world.attributes_of("q")
        policy, arn = parse_policy(attributes["Policy"]), Arn.parse(attributes["QueueArn"], setting="queue")
        assert evaluate(policy, sender_of(world).request(arn)).allowed
        assert not evaluate(policy, Grant.of_bucket("other", world.hooks.account(None)).request(arn)).allowed

    def test_an_object_s_event_arrives(self, world: World) -> None:
        world.configure(QueueDestination(f"{world.name}-q"), prefix="in/")
        world.receive("q")  # the test event
        world.client("s3").put_object(Bucket=world.bucket, Key="in/a.csv", Body=b"1")
        bodies = [json.loads(message["Body"]) for message in world.receive("q")]
        assert [body["Records"][0]["s3"]["configurationId"] for body in bodies] == ["ours"]

    def test_a_second_run_makes_no_writing_call(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        destination = QueueDestination(f"{world.name}-q", max_receive_count=7, retention_seconds=3600)
        world.configure(destination, prefix="in put/", suffix=".csv")
        calls = Calls().watch(monkeypatch)
        assert world.configure(destination, prefix="in put/", suffix=".csv") == []
        assert calls.made
        assert calls.writing == []

    def test_planning_makes_no_writing_call(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = Calls().watch(monkeypatch)
        lines = plan(world.hooks, world.wanted(QueueDestination(f"{world.name}-q"))).lines
        assert calls.writing == []
        assert [line for line in lines if not line.startswith(" ")] == [
            f"+ queue arn:aws:sqs:us-east-1:{world.hooks.account(None)}:{world.name}-q-dlq",
            f"+ queue arn:aws:sqs:us-east-1:{world.hooks.account(None)}:{world.name}-q",
            f"~ bucket {world.bucket}",
        ]

    def test_what_is_there_keeps_its_settings_and_its_policy(self, world: World) -> None:
        statement = {
            "Sid": "Theirs",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": "sqs:GetQueueUrl",
        }
        arn = world.queue("q", VisibilityTimeout="77", MessageRetentionPeriod="3600")
        policy = {"Version": "2012-10-17", "Id": "theirs", "Statement": [{**statement, "Resource": arn}]}
        sqs = world.client("sqs")
        sqs.set_queue_attributes(QueueUrl=world.queue_url("q"), Attributes={"Policy": json.dumps(policy)})
        world.configure(QueueDestination(f"{world.name}-q"))
        after = world.attributes_of("q")
        assert (after["VisibilityTimeout"], after["MessageRetentionPeriod"]) == ("77", "3600")
        merged = json.loads(after["Policy"])
        assert merged["Id"] == "theirs"
        assert merged["Statement"][0] == policy["Statement"][0]
        assert len(merged["Statement"]) == 3

    def test_a_redrive_policy_that_is_there_stays_unless_it_dead_letters_healthy_messages(
        self, world: World
    ) -> None:
        dead = world.queue("other")
        redrive = {"deadLetterTargetArn": dead, "maxReceiveCount": 5}
        world.queue("q", RedrivePolicy=json.dumps(redrive))
        world.configure(QueueDestination(f"{world.name}-q"))
        found = json.loads(world.attributes_of("q")["RedrivePolicy"])
        assert (found["deadLetterTargetArn"], int(found["maxReceiveCount"])) == (dead, 5)
        redrive["maxReceiveCount"] = 1
        sqs = world.client("sqs")
        sqs.set_queue_attributes(
            QueueUrl=world.queue_url("q"), Attributes={"RedrivePolicy": json.dumps(redrive)}
        )
        world.configure(QueueDestination(f"{world.name}-q"))
        assert int(json.loads(world.attributes_of("q")["RedrivePolicy"])["maxReceiveCount"]) == 20

    def test_what_would_lose_events_is_mended(self, world: World) -> None:
        world.queue("dead", MessageRetentionPeriod="3600")
        world.queue("q", MaximumMessageSize="1024")
        world.configure(QueueDestination(f"{world.name}-q", dead_letter_queue=f"{world.name}-dead"))
        assert int(world.attributes_of("q")["MaximumMessageSize"]) >= 65_536
        assert world.attributes_of("dead")["MessageRetentionPeriod"] == "1209600"

    def test_an_unmanaged_queue_is_not_touched(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.queue("q")
        calls = Calls().watch(monkeypatch)
        world.configure(QueueDestination(f"{world.name}-q", manage=False))
        assert calls.writing == ["PutBucketNotificationConfiguration"]


class TestKeys:
    def test_a_customer_s_key_lets_the_bucket_use_it(self, world: World) -> None:
        kms = world.client("kms")
        key = kms.create_key()["KeyMetadata"]
        before = json.loads(kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"])
        destination = QueueDestination(f"{world.name}-q", kms_key=key["KeyId"])
        world.configure(destination)
        policy = json.loads(kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"])
        assert policy["Statement"][: len(before["Statement"])] == before["Statement"]
        assert all(evaluate(policy, one).allowed for one in sender_of(world).key_requests(key["Arn"]))
        assert world.attributes_of("q")["KmsMasterKeyId"] == key["KeyId"]
        assert world.attributes_of("q-dlq")["KmsMasterKeyId"] == key["KeyId"]
        assert world.configure(destination) == []

    @pytest.mark.parametrize("asked", [True, False])
    def test_the_key_that_aws_manages_is_refused_and_nothing_is_changed(
        self, world: World, asked: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not asked:
            world.queue("q", KmsMasterKeyId="alias/aws/sqs")
        calls = Calls().watch(monkeypatch)
        with pytest.raises(ConfigurationError, match=r"kms_key.*AWS manages"):
            world.configure(QueueDestination(f"{world.name}-q", kms_key="alias/aws/sqs" if asked else None))
        assert calls.writing == []

    def test_a_key_that_is_not_there_is_refused(self, world: World) -> None:
        with pytest.raises(ConfigurationError, match=r"kms_key.*no key"):
            world.configure(
                QueueDestination(f"{world.name}-q", kms_key="11111111-2222-3333-4444-555555555555")
            )


class TestTopics:
    def test_one_topic_feeds_several_queues(self, world: World) -> None:
        queues = [QueueDestination(f"{world.name}-{name}") for name in ("a", "b")]
        destination = TopicDestination(f"{world.name}-topic", queues=queues)
        world.configure(destination)
        world.receive("a"), world.receive("b")  # the test events
        world.client("s3").put_object(Bucket=world.bucket, Key="x", Body=b"1")
        for name in ("a", "b"):
            (message,) = world.receive(name)
            assert json.loads(message["Body"])["Records"][0]["s3"]["object"]["key"] == "x"
        assert world.configure(destination) == []

    def test_raw_delivery_is_turned_off_where_that_is_asked_for(self, world: World) -> None:
        queue = QueueDestination(f"{world.name}-a")
        world.configure(TopicDestination(f"{world.name}-topic", queues=[queue]))
        changed = world.configure(TopicDestination(f"{world.name}-topic", queues=[queue], raw=False))
        assert [line.split()[0:2] for line in changed] == [["~", "subscription"]]
        assert world.configure(TopicDestination(f"{world.name}-topic", queues=[queue], raw=False)) == []


class TestFunctions:
    def test_a_function_lets_the_bucket_in_once(self, world: World, request: pytest.FixtureRequest) -> None:
        if "localstack" in request.node.name:
            pytest.skip(
                "LocalStack invokes a function before it takes the rule, and runs none without Docker"
            )
        arn = make_function(world)
        world.configure(FunctionDestination(arn))
        policy = json.loads(world.client("lambda").get_policy(FunctionName=arn)["Policy"])
        (statement,) = policy["Statement"]
        assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
        assert world.configure(FunctionDestination(arn)) == []
        world.remove(FunctionDestination(arn))
        assert world.hooks.functions(None, "us-east-1").policy(_arn(arn)) in (None, _EMPTY_POLICY(policy))


def _EMPTY_POLICY(policy: dict[str, Any]) -> str:  # noqa: N802 - a value, computed
    return json.dumps({**policy, "Statement": []})


def _arn(text: str) -> Any:
    from airflow_s3events.arns import Arn

    return Arn.parse(text, setting="function")


def make_function(world: World) -> str:
    import io
    import zipfile

    iam_role = f"arn:aws:iam::{world.hooks.account(None)}:role/any"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("f.py", "def handler(event, context):\n    return None\n")
    # ministack has no IAM here and asks for no role; moto's may be there already.
    with contextlib.suppress(ClientError, ResponseParserError):
        world.client("iam").create_role(RoleName="any", AssumeRolePolicyDocument="{}")
    answer = world.client("lambda").create_function(
        FunctionName=f"{world.name}-f",
        Runtime="python3.12",
        Role=iam_role,
        Handler="f.handler",
        Code={"ZipFile": packed.getvalue()},
    )
    return str(answer["FunctionArn"])


class TestEventBridge:
    def test_switch_rule_target_and_archive(self, on_ministack: World) -> None:
        world = on_ministack
        destination = EventBridgeDestination(
            rule=world.name, queue=QueueDestination(f"{world.name}-q"), archive=f"{world.name}-archive"
        )
        world.configure(destination, notification_id=world.name, prefix="in/", suffix=".csv")
        events = world.client("events")
        rule = events.describe_rule(Name=world.name)
        assert json.loads(rule["EventPattern"])["detail"]["object"] == {"key": [{"wildcard": "in/*.csv"}]}
        (target,) = events.list_targets_by_rule(Rule=world.name)["Targets"]
        assert target["Arn"] == world.attributes_of("q")["QueueArn"]
        assert target["DeadLetterConfig"] == {"Arn": world.attributes_of("q-dlq")["QueueArn"]}
        assert events.describe_archive(ArchiveName=f"{world.name}-archive")["RetentionDays"] == 14
        assert world.configuration() == {"EventBridgeConfiguration": {}}
        second = world.configure(destination, notification_id=world.name, prefix="in/", suffix=".csv")
        assert second == []

    def test_archived_events_are_replayed_through_the_rule(
        self, moto_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = world_at(moto_url, monkeypatch)
        queue = QueueDestination(f"{world.name}-q")
        destination = EventBridgeDestination(rule=world.name, queue=queue, archive=f"{world.name}-archive")
        # moto forgets the bucket's switch; all else is there by then.
        with pytest.raises(OutageError, match="our rules are gone"):
            world.configure(destination, notification_id=world.name, prefix="in/")
        event = json.loads(eventbridge_created_body(world.bucket, "in/a.csv"))
        entry = {
            "Source": "aws.s3",
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event["detail"]),
        }
        world.client("events").put_events(Entries=[entry])
        first = world.receive("q")
        hour, now = timedelta(hours=1), datetime.now(timezone.utc)
        world.hooks.event_rules(REGION).replay(f"{world.name}-archive", world.name, now - hour, now + hour)
        again = world.receive("q")
        assert [event_ids(message) for message in again] == [event_ids(message) for message in first] != []

    def test_replaying_an_archive_that_is_not_there_says_so(self, on_ministack: World) -> None:
        with pytest.raises(ConfigurationError, match="archive: there is none named 'nowhere'"):
            on_ministack.hooks.event_rules(REGION).replay("nowhere", "rule", None, None)

    def test_both_ways_at_once_and_a_shared_rule_keeps_its_other_target(self, on_ministack: World) -> None:
        world = on_ministack
        direct, other = QueueDestination(f"{world.name}-a"), QueueDestination(f"{world.name}-b")
        both = [direct, EventBridgeDestination(rule=world.name, queue=other)]
        world.configure(both, notification_id=world.name)
        theirs = world.queue("theirs")
        events = world.client("events")
        events.put_targets(Rule=world.name, Targets=[{"Id": "theirs", "Arn": theirs}])
        assert world.configure(both, notification_id=world.name) == []
        world.remove(both, notification_id=world.name, event_bridge_switch=True)
        assert world.configuration() == {}
        assert [t["Id"] for t in events.list_targets_by_rule(Rule=world.name)["Targets"]] == ["theirs"]


class TestRemoving:
    def test_after_configure_and_remove_the_bucket_and_the_queue_are_what_they_were(
        self, world: World
    ) -> None:
        theirs = world.queue("theirs")
        statement = {
            "Sid": "Theirs",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": "sqs:GetQueueUrl",
        }
        policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": theirs}]}
        sqs = world.client("sqs")
        sqs.set_queue_attributes(
            QueueUrl=world.queue_url("theirs"), Attributes={"Policy": json.dumps(policy)}
        )
        other = {"Id": "other", "QueueArn": theirs, "Events": ["s3:ObjectRemoved:*"]}
        world.put_configuration({"QueueConfigurations": [other]})
        before = world.configuration()
        destination = QueueDestination(f"{world.name}-q")
        world.configure(destination)
        world.remove(destination)
        assert normalised(world.configuration()) == normalised(before)
        assert json.loads(world.attributes_of("theirs")["Policy"]) == policy
        assert not world.attributes_of("q").get("Policy")
        assert world.remove(destination) == []

    def test_a_queue_that_another_rule_still_needs_keeps_its_statement(self, world: World) -> None:
        destination = QueueDestination(f"{world.name}-q")
        world.configure(destination, prefix="a/")
        world.configure(destination, prefix="b/", notification_id="second")
        policy = world.attributes_of("q")["Policy"]
        world.remove(destination)
        assert world.attributes_of("q")["Policy"] == policy
        assert [rule["Id"] for rule in world.configuration()["QueueConfigurations"]] == ["second"]

    def test_queues_go_only_when_asked_and_empty(self, world: World) -> None:
        destination = QueueDestination(f"{world.name}-q")
        world.configure(destination)
        url = world.queue_url("q")
        sqs = world.client("sqs")
        sqs.send_message(QueueUrl=url, MessageBody="x")
        before = world.configuration()
        with pytest.raises(ConfigurationError, match=r"delete_queues.*messages"):
            world.remove(destination, delete_queues=True)
        assert world.configuration() == before
        for message in world.receive("q"):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        world.remove(destination, delete_queues=True)
        assert world.hooks.queues(None, "us-east-1").attributes(_arn_of(world, "q")) is None
        assert world.hooks.queues(None, "us-east-1").attributes(_arn_of(world, "q-dlq")) is None

    def test_subscriptions_go_with_the_last_bucket_of_a_topic(self, world: World) -> None:
        destination = TopicDestination(f"{world.name}-topic", queues=[QueueDestination(f"{world.name}-a")])
        world.configure(destination)
        arn = world.configuration()["TopicConfigurations"][0]["TopicArn"]
        world.remove(destination)
        assert world.client("sns").list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"] == []
        assert (
            "s3.amazonaws.com"
            not in world.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"]
        )
        assert world.remove(destination) == []


def _arn_of(world: World, name: str) -> Any:
    from airflow_s3events.arns import Arn

    account = world.hooks.account(None)
    return Arn.parse(f"arn:aws:sqs:us-east-1:{account}:{world.name}-{name}", setting="queue")
