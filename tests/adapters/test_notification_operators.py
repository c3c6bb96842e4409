"""The operators of set-up as tasks: their settings, what they return, how they fail."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from typing import Any, cast

import pytest

from airflow_s3events import (
    EventBridgeDestination,
    QueueDestination,
    S3CheckNotificationOperator,
    S3ConfigureNotificationOperator,
    S3RemoveNotificationOperator,
    TopicDestination,
)
from airflow_s3events._compat import DAG
from airflow_s3events.cli import main
from airflow_s3events.exceptions import ConfigurationError
from tests.core.test_terminal import Terminal
from tests.lines import AIRFLOW, serialized
from tests.setup_world import Calls, World

DESTINATIONS: dict[str, Any] = {
    "a name": "q",
    "a queue": QueueDestination("q", max_receive_count=30),
    "a topic": TopicDestination("t", queues=[QueueDestination("a"), QueueDestination("b")]),
    "two ways": ["q", EventBridgeDestination(queue=QueueDestination("r"))],
}
OPERATORS = (S3CheckNotificationOperator, S3ConfigureNotificationOperator, S3RemoveNotificationOperator)
of_every_kind = pytest.mark.parametrize("kind", OPERATORS)


@pytest.fixture
def world(endpoint: str) -> World:
    made = World(endpoint)
    made.make_bucket()
    return made


def task(kind: Any, **settings: Any) -> Any:
    given = {"bucket_name": "landing", "notification_id": "ours", "destinations": "q", **settings}
    return kind(task_id="task", **given)


def configure(world: World, **settings: Any) -> Any:
    given = {"bucket_name": world.bucket, "destinations": f"{world.name}-q", "settle_seconds": 0, **settings}
    return task(S3ConfigureNotificationOperator, **given).execute({})


def check(world: World, **settings: Any) -> Any:
    given = {"bucket_name": world.bucket, "destinations": f"{world.name}-q", **settings}
    return task(S3CheckNotificationOperator, **given).execute({})


# Settings


@pytest.mark.parametrize("destinations", DESTINATIONS.values(), ids=DESTINATIONS)
@of_every_kind
def test_destinations_of_every_kind_go_through_airflow_s_serialisation(kind: Any, destinations: Any) -> None:
    with DAG(dag_id="setup", schedule=None) as dag:
        one = task(kind, destinations=destinations)
    assert copy.deepcopy(one).destinations == destinations
    assert [found.task_type for found in serialized(dag).tasks] == [kind.__name__]


@of_every_kind
def test_names_are_templated_and_values_stay_what_they_are(kind: Any) -> None:
    queue = QueueDestination("q")
    one = task(kind, bucket_name="{{ a }}", prefix="{{ a }}/", destinations=["{{ a }}", queue])
    one.render_template_fields(cast("Any", {"a": "x"}))
    assert (one.bucket_name, one.prefix, one.destinations) == ("x", "x/", ["x", queue])


@of_every_kind
def test_nothing_is_looked_up_when_a_dag_file_is_parsed(kind: Any) -> None:
    assert task(kind, bucket_name="no such bucket!", aws_conn_id="no-such-connection").bucket_name


def test_a_dry_run_of_ours_does_not_hide_the_method_that_airflow_gives_a_task_by_that_name() -> None:
    assert "dry_run" not in vars(task(S3ConfigureNotificationOperator, dry_run=True))


# Configure


def test_a_dry_run_shows_what_would_be_done_and_does_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls().watch(monkeypatch)
    result = configure(world, dry_run=True, prefix="in/")
    assert calls.writing == []
    assert result["dry_run"] is True
    assert [line for line in result["changes"] if line.strip().startswith("+ rule")] == [
        "    + rule 'ours': s3:ObjectCreated:* under 'in/' to "
        f"arn:aws:sqs:us-east-1:{world.hooks.account(None)}:{world.name}-q"
    ]


def test_the_result_is_json_and_holds_the_configuration_from_before(world: World) -> None:
    theirs = {"Id": "theirs", "QueueArn": world.queue("theirs"), "Events": ["s3:ObjectRemoved:*"]}
    world.put_configuration({"QueueConfigurations": [theirs]})
    result = json.loads(json.dumps(configure(world)))
    assert [one["Id"] for one in result["before"]["QueueConfigurations"]] == ["theirs"]
    assert sorted(one["Id"] for one in result["after"]["QueueConfigurations"]) == ["ours", "theirs"]
    # What was kept restores what was there.
    world.hooks.buckets().put_configuration(world.bucket, result["before"], world.hooks.account(None))
    assert [one["Id"] for one in world.configuration()["QueueConfigurations"]] == ["theirs"]


def test_a_second_run_says_that_there_is_nothing_to_do(world: World) -> None:
    configure(world)
    assert configure(world)["changes"] == []


# Remove


def test_removes_what_was_configured(world: World) -> None:
    configure(world)
    remove = {"bucket_name": world.bucket, "destinations": f"{world.name}-q", "settle_seconds": 0}
    shown = task(S3RemoveNotificationOperator, **remove, dry_run=True).execute({})
    assert world.configuration() != {}
    done = task(S3RemoveNotificationOperator, **remove).execute({})
    assert done["changes"] == shown["changes"] != []
    assert world.configuration() == {}
    assert task(S3RemoveNotificationOperator, **remove).execute({})["changes"] == []


@of_every_kind
def test_a_notification_needs_an_id(kind: Any, world: World) -> None:
    if kind is not S3CheckNotificationOperator:
        with pytest.raises(ConfigurationError, match="notification_id"):
            task(kind, bucket_name=world.bucket, notification_id="").execute({})


# Check


def texts(findings: list[dict[str, str]], weight: str = "error") -> str:
    return "\n".join(one["text"] for one in findings if one["weight"] == weight)


def test_what_was_configured_is_right(world: World) -> None:
    configure(world)
    assert [one for one in check(world) if one["weight"] != "note"] == []


def test_a_bucket_that_notifies_of_nothing_fails_the_task(world: World) -> None:
    with pytest.raises(ConfigurationError, match="it notifies of nothing"):
        check(world, notification_id=None)


def test_a_missing_bucket_is_a_finding(world: World) -> None:
    found = check(world, bucket_name=f"{world.bucket}-missing", fail_on_error=False)
    assert "there is no such bucket" in texts(found)


def test_drift_is_found(world: World) -> None:
    configure(world, prefix="old/")
    found = check(world, prefix="new/", fail_on_error=False)
    assert "differs from what is wanted: - rule 'ours'" in texts(found)
    assert "differs from what is wanted: + rule 'ours'" in texts(found)


def test_a_queue_that_is_gone_is_found(world: World) -> None:
    configure(world)
    world.client("sqs").delete_queue(QueueUrl=world.queue_url("q"))
    assert "there is no such queue" in texts(check(world, notification_id=None, fail_on_error=False))


def test_a_policy_that_lost_its_statement_is_found(world: World) -> None:
    configure(world)
    world.client("sqs").set_queue_attributes(QueueUrl=world.queue_url("q"), Attributes={"Policy": ""})
    found = check(world, notification_id=None, fail_on_error=False)
    assert "does not let s3.amazonaws.com" in texts(found)


def test_the_key_of_aws_is_found(world: World) -> None:
    configure(world)
    attributes = {"KmsMasterKeyId": "alias/aws/sqs"}
    world.client("sqs").set_queue_attributes(QueueUrl=world.queue_url("q"), Attributes=attributes)
    assert "the key that AWS manages" in texts(check(world, notification_id=None, fail_on_error=False))


def test_a_topic_without_its_subscription_is_found(world: World) -> None:
    destination = TopicDestination(f"{world.name}-t", queues=[QueueDestination(f"{world.name}-q")])
    configure(world, destinations=destination)
    assert texts(check(world, destinations=destination)) == ""
    sns = world.client("sns")
    (topic,) = [rule["TopicArn"] for rule in world.configuration()["TopicConfigurations"]]
    for one in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]:
        sns.unsubscribe(SubscriptionArn=one["SubscriptionArn"])
    found = check(world, destinations=destination, fail_on_error=False)
    assert "it is not subscribed" in texts(found)


@pytest.mark.parametrize("broken", ["disabled", "gone", "target"])
def test_a_broken_rule_is_found(world: World, broken: str) -> None:
    destination = EventBridgeDestination(rule=world.name, queue=QueueDestination(f"{world.name}-q"))
    configure(world, destinations=destination)
    assert texts(check(world, destinations=destination)) == ""
    events = world.client("events")
    (target,) = events.list_targets_by_rule(Rule=world.name)["Targets"]
    if broken == "disabled":
        events.disable_rule(Name=world.name)
    else:
        events.remove_targets(Rule=world.name, Ids=[target["Id"]])
    if broken == "gone":
        events.delete_rule(Name=world.name)
    wanted = {"disabled": "DISABLED; enable it", "gone": "no such rule", "target": "not among its targets"}
    found = check(world, destinations=destination, fail_on_error=False)
    assert wanted[broken] in texts(found)


@pytest.mark.parametrize(
    ("writes_to", "is_loop"), [("in/out/", True), ("in/", True), ("", True), ("out/", False)]
)
def test_a_dag_that_writes_where_its_events_come_from_is_found(
    world: World, writes_to: str, is_loop: bool
) -> None:
    configure(world, prefix="in/")
    found = check(world, prefix="in/", writes_to=[f"s3://{world.bucket}/{writes_to}"], fail_on_error=False)
    assert ("each run starts the next" in texts(found)) is is_loop


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="assets came with Airflow 3")
def test_an_asset_says_where_a_dag_writes(world: World) -> None:
    from airflow.sdk import Asset

    configure(world)
    found = check(world, writes_to=[Asset(uri=f"s3://{world.bucket}/any")], fail_on_error=False)
    assert "each run starts the next" in texts(found)


@pytest.mark.parametrize("destination", ["queue", "topic", "enveloped"])
def test_the_proof_writes_one_object_waits_for_its_event_and_leaves_nothing(
    world: World, destination: str
) -> None:
    queue = QueueDestination(f"{world.name}-q")
    to: Any = queue
    if destination != "queue":
        to = TopicDestination(f"{world.name}-t", queues=[queue], raw=destination == "topic")
    configure(world, destinations=to, prefix="in/")
    url = world.queue_url("q")
    world.client("sqs").purge_queue(QueueUrl=url)
    world.client("sqs").send_message(QueueUrl=url, MessageBody="somebody else's")
    found = check(world, destinations=to, prefix="in/", prove=True, prove_seconds=20)
    assert "the event of a probe object arrived after" in texts(found, "note")
    assert "Contents" not in world.client("s3").list_objects_v2(Bucket=world.bucket)
    assert [message["Body"] for message in world.receive("q")] == ["somebody else's"]


def test_a_proof_without_an_event_is_an_error_and_leaves_nothing(world: World) -> None:
    configure(world, prefix="in/")
    world.put_configuration({"EventBridgeConfiguration": {}})
    found = check(world, prefix="in/", prove=True, prove_seconds=0.5, fail_on_error=False)
    assert "no event of s3://" in texts(found)
    assert "Contents" not in world.client("s3").list_objects_v2(Bucket=world.bucket)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"prove_prefix": "elsewhere/"}, "prove_prefix: 'elsewhere/' is not under 'in/'"),
        ({"events": ["s3:ObjectRemoved:*"]}, "does not send s3:ObjectCreated:Put"),
    ],
)
def test_a_proof_that_would_tell_nothing_is_refused(world: World, settings: Any, text: str) -> None:
    found = check(world, prefix="in/", prove=True, fail_on_error=False, **settings)
    assert text in texts(found)
    assert "Contents" not in world.client("s3").list_objects_v2(Bucket=world.bucket)


def test_a_proof_needs_a_queue(world: World) -> None:
    found = check(world, notification_id=None, prove=True, fail_on_error=False)
    assert "none of its notifications ends in a queue" in texts(found)


# s3events check


def test_the_command_prints_the_same_report(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    configure(world)
    aws = ["--aws-conn-id", "aws_default"]
    asked = ["check", "--bucket", world.bucket, "--id", "ours", "--queue", f"{world.name}-q", *aws]
    assert main(asked) == 0
    world.client("sqs").delete_queue(QueueUrl=world.queue_url("q-dlq"))
    assert main(["check", "--bucket", world.bucket, "--prove", "--prove-seconds", "20", *aws]) == 3
    out = capsys.readouterr().out
    assert "its dead letter queue" in out
    assert "the event of a probe object arrived" in out


def test_on_a_terminal_the_proof_shows_how_long_it_has_waited(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(world)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    asked = ["check", "--bucket", world.bucket, "--prove", "--prove-seconds", "20"]
    assert main([*asked, "--aws-conn-id", "aws_default"]) == 0
    assert "the probe's event is awaited, 0 of 20 s" in terminal.getvalue()
    assert "awaited" not in capsys.readouterr().out


def test_the_command_prints_nothing_but_its_report_where_nobody_told_airflow_where_to_log(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["check", "--bucket", world.bucket, "--aws-conn-id", "aws_default"]
    command = [sys.executable, "-m", "airflow_s3events", *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == main(asked)
    assert done.stdout == capsys.readouterr().out


def test_the_command_refuses_half_of_what_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--bucket", "landing", "--id", "ours"]) == 2
    assert "--queue" in capsys.readouterr().err


def test_the_command_says_that_aws_is_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], unused_tcp_port: int
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused_tcp_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert main(["check", "--bucket", "landing", "--region", "us-east-1"]) == 5
    assert "Could not connect" in capsys.readouterr().err
