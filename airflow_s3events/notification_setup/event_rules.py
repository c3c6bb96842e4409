"""The EventBridge way: a rule on the bucket owner's default bus, with a queue as its target."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from airflow_s3events.arns import Arn, partition_of
from airflow_s3events.bucket_notifications import pattern_is_for
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.notification_setup.calls import Aws, EventRules
from airflow_s3events.notification_setup.changes import Change, Place
from airflow_s3events.notification_setup.destinations import EventBridgeDestination, QueueDestination
from airflow_s3events.notification_setup.queues import plan_queue, read_queue
from airflow_s3events.policies import Grant

#: S3 sends to this bus alone.
_BUS = "default"
#: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
_MAX_TARGETS = 5
_MAX_PATTERN_CHARACTERS = 4096
_MAX_NAME_CHARACTERS = 64
_TARGET_ID = "s3events"


def default_rule_name(bucket: str, notification_id: str) -> str:
    """Return the name of a rule for which none is given.

    A rule has one pattern, so that two buckets with notifications of the same id need two. Where the name
    would be too long its end is a hash of it.
    """
    name = f"{notification_id}-{bucket}"
    if len(name) <= _MAX_NAME_CHARACTERS:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _MAX_NAME_CHARACTERS - 9]}-{mark}"


def pattern_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pattern of a rule as EventBridge describes it; empty for one that runs by the clock."""
    pattern: dict[str, Any] = json.loads(found.get("EventPattern") or "{}")
    return pattern


def rule_arn(place: Place, name: str) -> Arn:
    """Return the ARN of a rule on the default bus.

    Raises:
        ConfigurationError: EventBridge takes no such name.
    """
    if (
        not 1 <= len(name) <= _MAX_NAME_CHARACTERS
        or not name.replace("-", "a").replace(".", "a").isidentifier()
    ):
        raise ConfigurationError(
            f"rule: {name!r}: give 1 to {_MAX_NAME_CHARACTERS} of A-Z a-z 0-9 . _ -, beginning with a letter"
        )
    return Arn(
        partition=partition_of(place.region),
        service="events",
        region=place.region,
        account=place.owner,
        resource=f"rule/{name}",
    )


def bus_arn(place: Place) -> Arn:
    """Return the ARN of the default bus."""
    return Arn(
        partition=place.partition,
        service="events",
        region=place.region,
        account=place.owner,
        resource=f"event-bus/{_BUS}",
    )


def plan_event_bridge(
    aws: Aws, place: Place, wanted: EventBridgeDestination, pattern: Mapping[str, Any]
) -> list[Change]:
    """Return what has to be done so that events that match ``pattern`` reach the queue of ``wanted``.

    Raises:
        ConfigurationError: It cannot be done; nothing was changed.
    """
    text = json.dumps(pattern, sort_keys=True)
    if len(text) > _MAX_PATTERN_CHARACTERS:
        raise ConfigurationError(
            f"events, prefix or suffix: their pattern has {len(text):,} characters, and EventBridge takes"
            f" {_MAX_PATTERN_CHARACTERS:,}; name fewer"
        )
    rules = aws.event_rules(place.region)
    changes: list[Change] = []
    if wanted.queue is not None:
        rule = rule_arn(place, str(wanted.rule))
        changes += plan_queue(aws, place, wanted.queue, [Grant.of(rule)], [Grant.of(rule)])
        changes += _plan_rule(rules, rule, place.bucket, text)
        changes += _plan_target(rules, rule, target_of(aws, place, wanted.queue))
    if wanted.archive is not None:
        changes += _plan_archive(rules, place, wanted, text)
    return changes


def target_of(aws: Aws, place: Place, wanted: QueueDestination) -> dict[str, Any]:
    """Return the rule's target: the queue, and its dead letter queue for what cannot be delivered there.

    Raises:
        ConfigurationError: The queue is in another region or account than the rule.
    """
    queue, dead = read_queue(aws, place, wanted)
    if (queue.arn.region, queue.arn.account) != (place.region, place.owner):
        raise ConfigurationError(
            f"queue: {queue.arn} is not in region {place.region} and account {place.owner}, where the rule"
            " is; use a queue there"
        )
    target: dict[str, Any] = {"Id": f"{_TARGET_ID}-{queue.arn.name}"[:64], "Arn": str(queue.arn)}
    return target | ({} if dead is None else {"DeadLetterConfig": {"Arn": str(dead.arn)}})


def _plan_rule(rules: EventRules, rule: Arn, bucket: str, pattern: str) -> list[Change]:
    found = _own(rules, rule, bucket)
    is_on = found is not None and found.get("State") == "ENABLED"
    if found is not None and is_on and pattern_of(found) == json.loads(pattern):
        return []

    def make() -> None:
        # Once more: another may have made a rule of this name since the plan.
        _own(rules, rule, bucket)
        rules.put(rule, pattern)

    lines = (f"{'+' if found is None else '~'} rule {rule}", f"    pattern: {pattern}")
    return [Change(lines=lines, make=make)]


def _own(rules: EventRules, rule: Arn, bucket: str) -> dict[str, Any] | None:
    """Return the rule if it is ours to change; None where there is none."""
    found = rules.rule(rule)
    if found is None:
        return None
    if found.get("ManagedBy"):
        raise ConfigurationError(f"rule: {rule.name!r} belongs to {found['ManagedBy']}; give another name")
    if not pattern_is_for(pattern_of(found), bucket):
        raise ConfigurationError(
            f"rule: there is a rule {rule.name!r}, and its pattern is not for bucket {bucket} alone: putting"
            " ours over it would stop the events of others; give rule= of EventBridgeDestination another name"
        )
    return found


def _plan_target(rules: EventRules, rule: Arn, target: Mapping[str, Any]) -> list[Change]:
    found = [] if rules.rule(rule) is None else rules.targets(rule)
    if any(one.get("Arn") == target["Arn"] and one.items() >= _but_id(target).items() for one in found):
        return []
    others = [one for one in found if one["Id"] != target["Id"]]
    if len(others) >= _MAX_TARGETS:
        raise ConfigurationError(
            f"rule: {rule.name!r} has {len(others)} targets, the most of a rule; give another name"
        )
    lines = (f"+ target {target['Arn']} of rule {rule.name}",)
    return [Change(lines=lines, make=lambda: rules.put_target(rule, target))]


def _plan_archive(
    rules: EventRules, place: Place, wanted: EventBridgeDestination, pattern: str
) -> list[Change]:
    name = str(wanted.archive)
    if rules.archive(name) is not None:
        return []
    lines = (f"+ archive {name} of the default bus, {wanted.archive_days or 'unlimited'} days",)
    bus = bus_arn(place)
    return [Change(lines=lines, make=lambda: rules.create_archive(name, bus, pattern, wanted.archive_days))]


def _but_id(target: Mapping[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in target.items() if member != "Id"}
