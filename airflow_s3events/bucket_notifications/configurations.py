"""Whole configurations, as S3 gives and takes them: merge ours in, take ours out, compare, measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_s3events.arns import Arn
from airflow_s3events.bucket_notifications.rules import KINDS, Rule
from airflow_s3events.exceptions import ConfigurationError

#: What ``GetBucketNotificationConfiguration`` returns, without its ``ResponseMetadata``.
Configuration = Mapping[str, Any]

MAX_RULES = 100
"""Configurations of one bucket; AWS names it among the service quotas of S3."""

_EVENT_BRIDGE = "EventBridgeConfiguration"


def rules_of(configuration: Configuration) -> list[Rule]:
    """Return every rule, of queues, topics and functions."""
    return [rule for rules in _lists(configuration).values() for rule, _ in rules]


def merged(
    configuration: Configuration, wanted: Iterable[Rule], *, event_bridge: bool = False
) -> dict[str, Any]:
    """Return ``configuration`` with the ``wanted`` rules in it, all else exactly as it was.

    A rule with the ``Id`` of a wanted one makes room for it, whatever its destination; one that says the same
    already stays in S3's own words. ``event_bridge`` turns the bucket's switch on; nothing here turns it off.
    """
    rules = {rule.id: rule for rule in wanted}
    after = _kept(configuration, lambda rule: rules.get(rule.id, rule) == rule)
    there = rules_of(after)
    _add(after, [rule for rule in rules.values() if rule not in there])
    if event_bridge:
        after.setdefault(_EVENT_BRIDGE, {})
    return after


def replaced(wanted: Iterable[Rule], *, event_bridge: bool = False) -> dict[str, Any]:
    """Return a configuration of the ``wanted`` rules alone: everything of others is gone."""
    return merged({}, wanted, event_bridge=event_bridge)


def without(
    configuration: Configuration, ids: Iterable[str], *, event_bridge: bool = False
) -> dict[str, Any]:
    """Return ``configuration`` without the rules of these ``Id``s, all else exactly as it was.

    ``event_bridge`` takes the bucket's switch away too, whoever turned it on.
    """
    gone = set(ids)
    after = _kept(configuration, lambda rule: rule.id not in gone)
    if event_bridge:
        after.pop(_EVENT_BRIDGE, None)
    return after


def normalised(configuration: Configuration) -> dict[str, Any]:
    """Return what the configuration means, so that two that mean the same are equal.

    Order, the spelling of filters, empty filters and empty lists do not count; members that this version does
    not know do.
    """
    known = {name for name, _ in KINDS.values()} | {"ResponseMetadata"}
    meant: dict[str, Any] = {name: value for name, value in configuration.items() if name not in known}
    for name, rules in _lists(configuration).items():
        if rules:
            meant[name] = sorted((_meaning(rule, entry) for rule, entry in rules), key=str)
    return meant


def differences(before: Configuration, after: Configuration) -> list[str]:
    """Return the change as lines to read: ``+`` comes, ``-`` goes, ``=`` stays. None when nothing changes."""
    old, new = Counter(rules_of(before)), Counter(rules_of(after))
    gone = [f"- rule {rule}" for rule in (old - new).elements()]
    come = [f"+ rule {rule}" for rule in (new - old).elements()]
    switch = {(False, True): ["+ EventBridge on"], (True, False): ["- EventBridge off"]}
    lines = gone + come + switch.get((_EVENT_BRIDGE in before, _EVENT_BRIDGE in after), [])
    return [*lines, f"= {(old & new).total()} other rules stay"] if lines else []


def check_limits(configuration: Configuration) -> None:
    """Refuse a configuration with more rules than a bucket can have.

    Raises:
        ConfigurationError: It has more than ``MAX_RULES``.
    """
    count = len(rules_of(configuration))
    if count > MAX_RULES:
        raise ConfigurationError(
            f"bucket_name: the bucket would have {count} rules, and S3 takes {MAX_RULES} at most; remove"
            " some, or use EventBridgeDestination, which needs none"
        )


def _lists(configuration: Configuration) -> dict[str, list[tuple[Rule, Mapping[str, Any]]]]:
    return {
        name: [(Rule.read(entry, arn), entry) for entry in configuration.get(name, [])]
        for name, arn in KINDS.values()
    }


def _kept(configuration: Configuration, is_kept: Callable[[Rule], bool]) -> dict[str, Any]:
    after = {name: value for name, value in configuration.items() if name != "ResponseMetadata"}
    for name, rules in _lists(configuration).items():
        if name in after:
            after[name] = [entry for rule, entry in rules if is_kept(rule)]
            if not after[name]:
                del after[name]
    return after


def _add(after: dict[str, Any], rules: Iterable[Rule]) -> None:
    for rule in rules:
        name, _ = KINDS[Arn.parse(rule.destination, setting="destination").service]
        after[name] = [*after.get(name, []), rule.entry()]


def _meaning(rule: Rule, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry with its filter and events in one spelling; members that are unknown here stay."""
    rest = {name: value for name, value in entry.items() if name not in ("Filter", "Events")}
    unknown = {name: value for name, value in entry.get("Filter", {}).items() if name != "Key"}
    filters = {"prefix": rule.prefix, "suffix": rule.suffix, **({"Filter": unknown} if unknown else {})}
    return {**rest, "Events": list(rule.events), **filters}
