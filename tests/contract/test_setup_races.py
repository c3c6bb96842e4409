"""Set-up of several buckets at the same time: a policy that they share lets each of them in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from airflow_s3events.arns import Arn
from airflow_s3events.exceptions import OutageError
from airflow_s3events.notification_setup.changes import Change
from airflow_s3events.notification_setup.configure import Plan, apply, plan
from airflow_s3events.notification_setup.destinations import QueueDestination, TopicDestination
from airflow_s3events.notification_setup.remove import Removal, Unwanted, plan_removal, remove
from airflow_s3events.notification_setup.rounds import read_back
from airflow_s3events.policies import Grant, Request, evaluate, parse_policy
from tests.setup_world import SETTLE, World, world_at

#: Seconds: a policy takes more calls than a bucket's configuration.
_SETTLE_POLICY = 4 * SETTLE


def beside(world: World) -> World:
    """The same names, with hooks and a bucket of its own."""
    other = World(world.url)
    other.name = world.name
    other.make_bucket()
    return other


def _ignore(_: str) -> None:
    pass


def _apply(world: World, found: Plan) -> None:
    apply(world.hooks, found, settle_seconds=SETTLE, tell=_ignore)


def _sender(world: World) -> Grant:
    return Grant.of_bucket(world.bucket, world.hooks.account(None))


def _is_let_in(policy: str | None, request: Request) -> bool:
    return evaluate(parse_policy(policy), request).allowed


class Queue:
    """A queue that is there, and whether its policy lets a bucket in."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.destination: Any = QueueDestination(f"{world.name}-q")

    def lets_in(self, bucket: World) -> bool:
        found = self.world.attributes_of("q")
        arn = Arn.parse(found["QueueArn"], setting="queue")
        return _is_let_in(found.get("Policy"), _sender(bucket).request(arn))


class Topic:
    """The same of a topic."""

    def __init__(self, world: World) -> None:
        self.topic = Arn.parse(
            f"arn:aws:sns:us-east-1:{world.hooks.account(None)}:{world.name}-t", setting="topic"
        )
        self.world = world
        self.destination: Any = TopicDestination(
            self.topic.resource, queues=[QueueDestination(f"{world.name}-q")]
        )

    def lets_in(self, bucket: World) -> bool:
        answer = self.world.client("sns").get_topic_attributes(TopicArn=str(self.topic))
        return _is_let_in(answer["Attributes"]["Policy"], _sender(bucket).request(self.topic))


class Key:
    """The same of the key of a queue."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.key = world.client("kms").create_key()["KeyMetadata"]
        self.destination: Any = QueueDestination(f"{world.name}-q", kms_key=self.key["KeyId"])

    def lets_in(self, bucket: World) -> bool:
        kms = self.world.client("kms")
        policy = kms.get_key_policy(KeyId=self.key["KeyId"], PolicyName="default")["Policy"]
        return all(_is_let_in(policy, one) for one in _sender(bucket).key_requests(self.key["Arn"]))


WAYS: list[Callable[[World], Any]] = [Queue, Topic, Key]


@pytest.mark.parametrize("is_there", [True, False], ids=["there", "new"])
@pytest.mark.parametrize("way", WAYS)
def test_two_buckets_that_were_planned_before_either_was_set_up_are_both_let_in(
    way: Callable[[World], Any], is_there: bool, world: World
) -> None:
    shared = way(world)
    a, b = beside(world), beside(world)
    if is_there:
        world.configure(shared.destination)
    plans = [(one, plan(one.hooks, one.wanted(shared.destination))) for one in (a, b)]
    for one, found in plans:
        _apply(one, found)
    assert [shared.lets_in(one) for one in (a, b)] == [True, True]


def _removal(world: World, destination: Any) -> Removal:
    unwanted = Unwanted.of(bucket=world.bucket, notification_id="ours", destinations=destination)
    return plan_removal(world.hooks, unwanted)


@pytest.mark.parametrize("way", [Queue, Topic])
def test_a_bucket_that_is_set_up_while_another_is_taken_down_is_let_in(
    way: Callable[[World], Any], world: World
) -> None:
    shared, other = way(world), beside(world)
    world.configure(shared.destination)
    found = _removal(world, shared.destination)
    other.configure(shared.destination)
    remove(world.hooks, found, settle_seconds=SETTLE, tell=_ignore)
    assert [shared.lets_in(one) for one in (world, other)] == [False, True]


@pytest.mark.parametrize("way", [Queue, Topic])
def test_a_change_of_a_removal_takes_nothing_that_came_after_its_plan(
    way: Callable[[World], Any], world: World
) -> None:
    shared, other = way(world), beside(world)
    world.configure(shared.destination)
    (strip, *_) = _removal(world, shared.destination).changes if way is Topic else _strips(world, shared)
    other.configure(shared.destination)
    strip.make()
    assert [shared.lets_in(one) for one in (world, other)] == [False, True]


def _strips(world: World, shared: Any) -> list[Change]:
    # The bucket's rule goes first in a removal.
    world.put_configuration({})
    return _removal(world, shared.destination).changes


def test_the_subscription_of_a_topic_stays_for_a_bucket_that_was_set_up_meanwhile(world: World) -> None:
    shared, other = Topic(world), beside(world)
    world.configure(shared.destination)
    found = _removal(world, shared.destination)
    other.configure(shared.destination)
    remove(world.hooks, found, settle_seconds=SETTLE, tell=_ignore)
    topics = world.client("sns").list_subscriptions_by_topic(TopicArn=str(shared.topic))
    assert len(topics["Subscriptions"]) == 1


class Overwritten:
    """SQS, where another task that read before us sets its own policy right after ours, some times."""

    def __init__(self, world: World, times: int) -> None:
        self._queues = world.hooks.queues(None, "us-east-1")
        self._left = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queues, name)

    def set_attributes(self, queue: Arn, attributes: dict[str, str]) -> None:
        before = (self._queues.attributes(queue) or {}).get("Policy", "")
        self._queues.set_attributes(queue, attributes)
        if self._left and "Policy" in attributes:
            self._left -= 1
            self._queues.set_attributes(queue, {"Policy": before})


@pytest.mark.parametrize("times", [1, 2])
def test_a_policy_that_was_overwritten_is_set_again(
    times: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Queue(world)
    world.queue("q")
    queues = Overwritten(world, times)
    monkeypatch.setattr(world.hooks, "queues", lambda *_: queues)
    world.configure(shared.destination)
    assert shared.lets_in(world)


def test_a_policy_that_is_overwritten_again_and_again_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.queue("q")
    queues = Overwritten(world, 9)
    monkeypatch.setattr(world.hooks, "queues", lambda *_: queues)
    with pytest.raises(OutageError, match=r"after 3 rounds this is still to be done: ~ queue .*policy: s3"):
        world.configure(Queue(world).destination)


def test_statements_that_another_task_put_back_are_taken_away_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Queue(world)
    world.configure(shared.destination)
    queues = Overwritten(world, 1)
    monkeypatch.setattr(world.hooks, "queues", lambda *_: queues)
    world.remove(shared.destination)
    assert not shared.lets_in(world)


def test_what_is_settled_already_is_read_back_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []
    monkeypatch.setattr("airflow_s3events.notification_setup.rounds.pause", paused.append)
    read_back(list, settle_seconds=2.0, is_settled=True, tell=_ignore)
    assert paused == []
    read_back(list, settle_seconds=2.0, is_settled=False, tell=_ignore)
    assert paused == [2.0]


@pytest.mark.timeout(400)
def test_two_buckets_at_once_are_both_let_into_one_managed_queue_fifty_times(
    ministack_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_at(ministack_url, monkeypatch)
    both, name = [beside(world), beside(world)], world.name
    for number in range(50):
        world.name = f"{name}-{number}"
        for one in both:
            one.bucket = one.make_bucket(f"{one.bucket.partition('-bucket')[0]}-bucket-{number}")
        shared = Queue(world)
        world.queue("q")
        _configure_at_once(both, shared.destination)
        assert [shared.lets_in(one) for one in both] == [True] * 2, f"round {number}"
        ids = [[rule["Id"] for rule in one.configuration()["QueueConfigurations"]] for one in both]
        assert ids == [["ours"], ["ours"]], f"round {number}"


def _configure_at_once(worlds: list[World], destination: Any) -> None:
    """Plan one by one, then do at the same moment, each with hooks of its own as two processes have."""
    start = threading.Barrier(len(worlds))

    def configure(one: World, found: Plan) -> None:
        start.wait()
        apply(one.hooks, found, settle_seconds=_SETTLE_POLICY, tell=_ignore)

    plans = [(one, plan(one.hooks, one.wanted(destination))) for one in worlds]
    threads = [threading.Thread(target=configure, args=one) for one in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
