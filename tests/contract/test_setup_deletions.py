"""Queues are deleted only where nobody else needs them, and no message is in them at the end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_s3events.arns import Arn
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.notification_setup.destinations import (
    EventBridgeDestination,
    QueueDestination,
    TopicDestination,
)
from airflow_s3events.notification_setup.remove import Unwanted, plan_removal, remove
from tests.setup_world import SETTLE, Calls, World, world_at


def beside(world: World) -> World:
    """The same names, with a bucket of its own."""
    other = World(world.url)
    other.name = world.name
    other.make_bucket()
    return other


def destination(world: World, **members: Any) -> QueueDestination:
    return QueueDestination(f"{world.name}-q", **members)


def work_off(world: World, *names: str) -> None:
    """Take the test events that S3 sends at set-up out."""
    for name in names:
        world.client("sqs").purge_queue(QueueUrl=world.queue_url(name))


def is_there(world: World, name: str) -> bool:
    arn = f"arn:aws:sqs:us-east-1:{world.hooks.account(None)}:{world.name}-{name}"
    return world.hooks.queues(None, "us-east-1").attributes(Arn.parse(arn, setting="queue")) is not None


def set_policy(world: World, *statements: dict[str, Any]) -> None:
    """Add statements of another team."""
    policy = json.loads(world.attributes_of("q")["Policy"])
    policy["Statement"] += statements
    attributes = {"Policy": json.dumps(policy)}
    world.client("sqs").set_queue_attributes(QueueUrl=world.queue_url("q"), Attributes=attributes)


def allow(world: World, principal: Any, action: Any = "sqs:SendMessage") -> dict[str, Any]:
    arn = world.attributes_of("q")["QueueArn"]
    return {"Sid": "T", "Effect": "Allow", "Principal": principal, "Action": action, "Resource": arn}


def refused(world: World, given: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Be refused before anything is changed; return why."""
    calls = Calls().watch(monkeypatch)
    with pytest.raises(ConfigurationError, match="delete_queues") as caught:
        world.remove(given, delete_queues=True)
    assert calls.writing == []
    return str(caught.value)


def test_a_queue_that_another_bucket_sends_to_is_not_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = beside(world)
    for one in (world, other):
        one.configure(destination(world))
    work_off(world, "q")
    why = refused(world, destination(world), monkeypatch)
    assert f"lets in s3.amazonaws.com for arn:aws:s3:::{other.bucket}, whose messages would be lost" in why


@pytest.mark.parametrize("principal", ["*", {"AWS": ["999999999999"]}, {"AWS": "arn:aws:iam::1:role/r"}])
@pytest.mark.parametrize("action", ["SQS:SendMessage", ["sqs:GetQueueUrl", "sqs:Send*"], "*"])
def test_a_queue_that_others_may_send_to_is_not_deleted(
    principal: Any, action: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.configure(destination(world))
    work_off(world, "q")
    set_policy(world, allow(world, principal, action))
    assert "lets in" in refused(world, destination(world), monkeypatch)


def test_a_queue_whose_policy_names_its_own_account_and_readers_is_deleted(world: World) -> None:
    world.configure(destination(world))
    work_off(world, "q")
    account = world.hooks.account(None)
    owner = allow(world, {"AWS": f"arn:aws:iam::{account}:root"}, "SQS:*")
    set_policy(world, owner, {**allow(world, {"AWS": "*"}, "sqs:ReceiveMessage"), "Sid": "R"})
    world.remove(destination(world), delete_queues=True)
    assert [is_there(world, name) for name in ("q", "q-dlq")] == [False, False]


def test_a_dead_letter_queue_of_another_queue_is_not_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.configure(destination(world))
    work_off(world, "q")
    dead = world.attributes_of("q-dlq")["QueueArn"]
    world.queue("other", RedrivePolicy=json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 5}))
    why = refused(world, destination(world), monkeypatch)
    assert f"takes the dead letters of {world.name}-other too" in why


def test_a_message_that_comes_after_the_plan_keeps_its_queue(world: World) -> None:
    world.configure(destination(world))
    work_off(world, "q")
    unwanted = Unwanted.of(
        bucket=world.bucket,
        notification_id="ours",
        destinations=destination(world),
        delete_queues=True,
    )
    found = plan_removal(world.hooks, unwanted)
    world.client("sqs").send_message(QueueUrl=world.queue_url("q"), MessageBody="x")
    with pytest.raises(ConfigurationError, match="holds about 1 messages"):
        found.changes[0].make()
    with pytest.raises(ConfigurationError, match="holds about 1 messages"):
        remove(world.hooks, found, settle_seconds=SETTLE, tell=print)
    assert len(world.receive("q")) == 1


def test_a_queue_that_somebody_else_has_deleted_since_the_plan_is_gone_without_a_word(world: World) -> None:
    world.configure(destination(world))
    work_off(world, "q")
    unwanted = Unwanted.of(
        bucket=world.bucket,
        notification_id="ours",
        destinations=destination(world),
        delete_queues=True,
    )
    found = plan_removal(world.hooks, unwanted)
    world.client("sqs").delete_queue(QueueUrl=world.queue_url("q"))
    for change in found.changes:
        change.make()
    assert not is_there(world, "q-dlq")


def test_a_queue_that_two_destinations_of_one_removal_end_in_is_deleted(
    ministack_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_at(ministack_url, monkeypatch)  # moto forgets the bucket's switch
    both = [destination(world), EventBridgeDestination(world.name, queue=destination(world))]
    world.configure(both)
    work_off(world, "q")
    told = world.remove(both, delete_queues=True)
    assert [line.rpartition(":")[2] for line in told if line.startswith("- queue")] == [
        f"{world.name}-q",
        f"{world.name}-q-dlq",
    ]
    assert [is_there(world, name) for name in ("q", "q-dlq")] == [False, False]


def test_a_queue_behind_a_topic_is_deleted_with_the_last_bucket(world: World) -> None:
    topic, other = TopicDestination(f"{world.name}-t", queues=[destination(world)]), beside(world)
    for one in (world, other):
        one.configure(topic)
    work_off(world, "q")
    other.remove(topic, delete_queues=True)
    assert is_there(world, "q")
    world.remove(topic, delete_queues=True)
    assert not is_there(world, "q")
