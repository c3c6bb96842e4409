"""Set-up that is overtaken or stopped: nothing of others is lost, the next run finishes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from airflow_s3events.bucket_notifications import Rule, merged, normalised, overlap, without
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.notification_setup.buckets import bring, farewell, wish
from airflow_s3events.notification_setup.configure import Plan, apply, plan
from airflow_s3events.notification_setup.destinations import (
    QueueDestination,
    TopicDestination,
)
from tests.notification_strategies import rules
from tests.setup_world import SETTLE, Calls, World, connection


def rule(world: World, name: str, prefix: str) -> Rule:
    destination = f"arn:aws:sqs:us-east-1:{world.hooks.account(None)}:{world.name}-theirs"
    return Rule(id=name, destination=destination, events=("s3:ObjectCreated:*",), prefix=prefix)


# Others, at the same time


@pytest.mark.timeout(400)
def test_two_tasks_at_once_both_end_up_in_fifty_times(
    ministack_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(ministack_url))
    rounds, overtaken = 50, 0
    calls = Calls().watch(monkeypatch)
    for number in range(rounds):
        world = World(ministack_url)
        world.make_bucket()
        theirs = world.open_queue("theirs")
        entry = {"Id": "theirs", "QueueArn": theirs, "Events": ["s3:ObjectRemoved:*"]}
        world.put_configuration({"QueueConfigurations": [entry]})
        calls.made.clear()
        _configure_at_once(world, theirs, "ab")
        found = {one["Id"] for one in world.configuration()["QueueConfigurations"]}
        assert found == {"a", "b", "theirs"}, f"round {number}"
        overtaken += calls.writing.count("PutBucketNotificationConfiguration") > 2
    print(
        f"{rounds} times two tasks at once: both rules there each time; {overtaken} times one was overtaken"
    )


def _configure_at_once(world: World, queue: str, names: str) -> None:
    """Plan one by one, then put at the same moment, each with hooks of its own as two processes have."""
    start = threading.Barrier(len(names))

    def configure(task: World, found: Plan) -> None:
        start.wait()
        apply(task.hooks, found, settle_seconds=SETTLE, tell=_ignore)

    threads = []
    for name in names:
        task = World(world.url)
        task.bucket = world.bucket
        destination = QueueDestination(queue, manage=False)
        found = plan(task.hooks, task.wanted(destination, notification_id=name, prefix=f"{name}/"))
        threads.append(threading.Thread(target=configure, args=(task, found)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _ignore(_: str) -> None:
    pass


class Overtaken:
    """S3, where another task puts its own configuration between our read and our put, some times."""

    def __init__(self, world: World, theirs: Callable[[dict[str, Any]], dict[str, Any]], times: int) -> None:
        self._buckets = world.hooks.buckets()
        self._theirs, self._left = theirs, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._buckets, name)

    def put_configuration(self, bucket: str, configuration: Any, owner: str) -> None:
        before = self._buckets.configuration(bucket, owner)
        self._buckets.put_configuration(bucket, configuration, owner)
        if self._left:
            self._left -= 1
            # Read before ours was there, put after it.
            self._buckets.put_configuration(bucket, self._theirs(before), owner)


def _bring(world: World, buckets: Any, ours: Rule) -> Any:
    owner = world.hooks.account(None)
    return bring(
        buckets, world.bucket, owner, wish([ours], event_bridge=False), settle_seconds=0, is_fresh=False
    )


@pytest.mark.parametrize("times", [1, 2])
def test_a_task_that_was_overwritten_puts_its_rule_again(world: World, times: int) -> None:
    world.open_queue("theirs")
    theirs = rule(world, "theirs", "t/")
    buckets = Overtaken(world, lambda before: merged(before, [theirs]), times)
    _bring(world, buckets, rule(world, "ours", "o/"))
    found = world.configuration()["QueueConfigurations"]
    assert sorted(one["Id"] for one in found) == ["ours", "theirs"]


def test_a_tool_that_replaces_again_and_again_is_told(world: World) -> None:
    world.open_queue("theirs")
    buckets = Overtaken(world, lambda _: merged({}, [rule(world, "theirs", "t/")]), 9)
    with pytest.raises(OutageError, match=r"bucket_name.*after 3 puts our rules are gone again"):
        _bring(world, buckets, rule(world, "ours", "o/"))


def test_what_was_there_right_before_the_put_is_kept(world: World) -> None:
    world.open_queue("theirs")
    world.put_configuration(merged({}, [rule(world, "theirs", "t/")]))
    before = world.configuration()
    brought = _bring(world, world.hooks.buckets(), rule(world, "ours", "o/"))
    assert normalised(brought.before) == normalised(before)
    assert normalised(brought.after) == normalised(world.configuration())


def test_replacing_is_refused_when_others_have_put_since_it_was_looked_at(world: World) -> None:
    world.open_queue("theirs")
    found = plan(world.hooks, world.wanted(QueueDestination(f"{world.name}-q"), mode="replace"))
    world.put_configuration(merged({}, [rule(world, "theirs", "t/")]))
    with pytest.raises(ConfigurationError, match="mode='replace'"):
        apply(world.hooks, found, settle_seconds=0, tell=print)
    assert [one["Id"] for one in world.configuration()["QueueConfigurations"]] == ["theirs"]


def test_replacing_drops_the_rules_of_others(world: World) -> None:
    world.open_queue("theirs")
    world.put_configuration(merged({}, [rule(world, "theirs", "t/")]))
    world.configure(QueueDestination(f"{world.name}-q"), mode="replace")
    assert [one["Id"] for one in world.configuration()["QueueConfigurations"]] == ["ours"]
    assert world.configure(QueueDestination(f"{world.name}-q"), mode="replace") == []


# S3 that cannot yet


def _failing(
    monkeypatch: pytest.MonkeyPatch, operation: str, code: str, message: str, times: int
) -> Iterator[int]:
    """Let the first calls of an operation fail as AWS does; the iterator counts all of its calls."""
    make, calls = BaseClient._make_api_call, count()

    def sometimes(client: Any, name: str, parameters: Any) -> Any:
        if name == operation and next(calls) < times:
            status = {"HTTPStatusCode": 409 if code == "OperationAborted" else 400}
            raise ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": status}, name)
        return make(client, name, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", sometimes)
    return calls


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("OperationAborted", "A conflicting conditional operation is currently in progress"),
        ("InvalidArgument", "Unable to validate the following destination configurations"),
    ],
)
def test_a_busy_bucket_and_a_policy_not_yet_visible_are_waited_for(
    code: str, message: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = _failing(monkeypatch, "PutBucketNotificationConfiguration", code, message, 2)
    world.configure(QueueDestination(f"{world.name}-q"))
    assert next(failures) >= 3
    assert world.configuration()["QueueConfigurations"][0]["Id"] == "ours"


def test_a_destination_that_s3_refuses_although_nothing_is_new_is_told_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.queue("q")
    message = "Unable to validate the following destination configurations"
    failures = _failing(monkeypatch, "PutBucketNotificationConfiguration", "InvalidArgument", message, 99)
    with pytest.raises(ConfigurationError, match=message):
        world.configure(QueueDestination(f"{world.name}-q", manage=False))
    assert next(failures) == 1


# Stopped in the middle


WAYS: dict[str, Callable[[World], Any]] = {
    "queue": lambda world: QueueDestination(f"{world.name}-q"),
    "topic": lambda world: TopicDestination(f"{world.name}-t", queues=[QueueDestination(f"{world.name}-q")]),
}


@pytest.mark.parametrize("way", WAYS)
def test_stopped_after_any_call_the_next_run_finishes(
    way: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stop_after in count(1):
        fresh = World(world.url)
        fresh.make_bucket()
        with monkeypatch.context() as patching:
            is_stopped = _configure_and_stop(fresh, WAYS[way](fresh), stop_after, patching)
        fresh.configure(WAYS[way](fresh))
        assert [one["Id"] for group in fresh.configuration().values() for one in group] == ["ours"]
        assert fresh.configure(WAYS[way](fresh)) == []
        if not is_stopped:
            break
    assert stop_after > 3


def _configure_and_stop(
    world: World, destination: Any, stop_after: int, monkeypatch: pytest.MonkeyPatch
) -> bool:
    """Set up, and die right after so many writing calls; return whether it came to that."""
    seen = Calls().watch(monkeypatch)
    call = BaseClient._make_api_call

    def stopping(client: Any, name: str, parameters: Any) -> Any:
        answer = call(client, name, parameters)
        if len(seen.writing) >= stop_after:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(BaseClient, "_make_api_call", stopping)
    try:
        world.configure(destination)
    except KeyboardInterrupt:
        return True
    return False


# The law, on what an emulator keeps


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rules, max_size=3, unique_by=lambda one: one.id), rules)
def test_after_configure_and_remove_the_other_rules_are_what_they_were(
    world: World, theirs: list[Rule], ours: Rule
) -> None:
    assume(all(map(_is_known, (*theirs, ours))))
    theirs, ours = [_here(world, one) for one in theirs], _here(world, ours)
    assume(
        not any(overlap(one, other) for one in (*theirs, ours) for other in (*theirs, ours) if one != other)
    )
    world.put_configuration(merged({}, theirs))
    before = world.configuration()
    owner, buckets = world.hooks.account(None), world.hooks.buckets()
    _bring(world, buckets, ours)
    assert normalised(world.configuration()) == normalised(merged(before, [ours]))
    gone = farewell([ours.id], event_bridge=False)
    bring(buckets, world.bucket, owner, gone, settle_seconds=0, is_fresh=False)
    assert normalised(world.configuration()) == normalised(without(before, [ours.id]))


def _here(world: World, one: Rule) -> Rule:
    """The rule with a destination of this world, made and let open where it is not there."""
    name = one.destination.rpartition(":")[2]
    service = one.destination.split(":")[2]
    if service == "lambda":
        # LocalStack invokes a function before it takes the rule, and runs none without Docker.
        return replace(one, destination=world.open_queue("f"))
    return replace(one, destination=world.open_queue(name) if service == "sqs" else world.open_topic(name))


def _is_known(one: Rule) -> bool:
    """Moto knows the event types of before 2026."""
    new = ("s3:ObjectAnnotation", "s3:ObjectRetention")
    return not any(name.startswith(new) for name in one.events)
