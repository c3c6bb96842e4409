"""EventBridge rules of several owners: one that is not for this bucket alone is nobody's but its owner's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.notification_setup.check import Inspection, check
from airflow_s3events.notification_setup.configure import Wanted, plan
from airflow_s3events.notification_setup.destinations import EventBridgeDestination, QueueDestination
from airflow_s3events.notification_setup.event_rules import default_rule_name
from tests.setup_world import Calls, World, world_at


@pytest.fixture
def world(ministack_url: str, monkeypatch: pytest.MonkeyPatch) -> World:
    """On ministack: moto forgets the bucket's switch."""
    return world_at(ministack_url, monkeypatch)


def beside(world: World) -> World:
    """The same names, with a bucket of its own."""
    other = World(world.url)
    other.name = world.name
    other.make_bucket()
    return other


def through_the_bus(world: World, rule: str | None = None) -> EventBridgeDestination:
    return EventBridgeDestination(rule, queue=QueueDestination(f"{world.name}-q"))


def patterns(world: World) -> dict[str, Any]:
    """The bucket that each rule of this world is for."""
    rules = world.client("events").list_rules(NamePrefix=world.name)["Rules"]
    found = {rule["Name"]: json.loads(rule["EventPattern"])["detail"]["bucket"]["name"] for rule in rules}
    return {name: found[name] for name in sorted(found)}


def make_rule(world: World, bucket: str) -> str:
    """Another team's rule, switched off; return its name."""
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
    world.client("events").put_rule(Name=world.name, EventPattern=json.dumps(pattern), State="DISABLED")
    return world.name


def test_two_buckets_with_notifications_of_one_id_have_a_rule_each(world: World) -> None:
    a, b = beside(world), beside(world)
    for one in (a, b):
        one.configure(through_the_bus(world), notification_id=world.name)
    names = {f"{world.name}-{one.bucket}": [one.bucket] for one in (a, b)}
    assert patterns(world) == names
    a.remove(through_the_bus(world), notification_id=world.name)
    assert list(patterns(world)) == [f"{world.name}-{b.bucket}"]
    assert b.configure(through_the_bus(world), notification_id=world.name) == []


def test_the_name_of_a_rule_keeps_to_64_characters_and_tells_long_buckets_apart() -> None:
    names = {default_rule_name("b" * 62 + end, "airflow-orders") for end in "xy"}
    assert [len(name) for name in names] == [64, 64]
    assert default_rule_name("landing-zone", "airflow-orders") == "airflow-orders-landing-zone"


def test_a_rule_of_that_name_for_another_bucket_is_refused_before_anything_is_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = make_rule(world, "theirs")
    calls = Calls().watch(monkeypatch)
    with pytest.raises(ConfigurationError, match=r"rule: there is a rule .* give rule= of EventBridge"):
        world.configure(through_the_bus(world, name))
    assert calls.writing == []


def test_a_rule_that_another_made_since_the_plan_is_not_overwritten(world: World) -> None:
    changes = plan(world.hooks, world.wanted(through_the_bus(world, world.name))).changes
    make_rule(world, "theirs")
    (put,) = [change for change in changes if change.lines[0].startswith("+ rule")]
    with pytest.raises(ConfigurationError, match="rule: there is a rule"):
        put.make()
    assert patterns(world) == {world.name: ["theirs"]}


def test_a_rule_for_another_bucket_stays_with_its_targets_at_a_removal_that_says_so(world: World) -> None:
    other = beside(world)
    destination = through_the_bus(world, world.name)
    other.configure(destination)
    policy = world.attributes_of("q")["Policy"]
    (line,) = world.remove(destination)
    assert "stays: its pattern is not for bucket" in line
    assert patterns(world) == {world.name: [other.bucket]}
    assert len(world.client("events").list_targets_by_rule(Rule=world.name)["Targets"]) == 1
    assert world.attributes_of("q")["Policy"] == policy


def _errors(world: World, wanted: Wanted) -> str:
    return "\n".join(map(str, check(world.hooks, Inspection(bucket=world.bucket, wanted=wanted)).errors))


@pytest.mark.parametrize("members", [{"prefix": "out/"}, {"events": ["s3:ObjectRemoved:*"]}])
def test_a_rule_whose_pattern_does_not_take_what_is_wanted_is_an_error(
    world: World, members: dict[str, Any]
) -> None:
    destination = through_the_bus(world)
    world.configure(destination, prefix="in/")
    assert _errors(world, world.wanted(destination, prefix="in/")) == ""
    found = _errors(world, world.wanted(destination, **{"prefix": "in/", **members}))
    assert "its pattern does not take what is wanted of bucket" in found


def test_a_rule_of_another_bucket_is_an_error_of_a_check(world: World) -> None:
    other = beside(world)
    destination = through_the_bus(world, world.name)
    other.configure(destination)
    found = _errors(world, world.wanted(destination))
    assert "its pattern does not take what is wanted" in found
    assert "give rule= of EventBridgeDestination another name" in found
