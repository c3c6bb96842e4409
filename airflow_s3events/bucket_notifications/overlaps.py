"""Two rules for the same events: S3 refuses them, and says so only when everything else is done."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from airflow_s3events.bucket_notifications.event_types import members_of
from airflow_s3events.bucket_notifications.rules import Rule
from airflow_s3events.exceptions import ConfigurationError


def overlap(one: Rule, other: Rule) -> frozenset[str]:
    """Return the event types of which some key could be meant by both rules; empty where none could.

    S3's own test: prefixes overlap when one begins with the other, suffixes when one ends with the other, and
    an empty one overlaps with all
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html).
    """
    prefixes = one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)
    suffixes = one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix)
    if not (prefixes and suffixes):
        return frozenset()
    both = _members(one) & _members(other)
    return frozenset(name for name in both if not name.endswith(":*")) or both


def check_overlaps(rules: Iterable[Rule], wanted: Iterable[Rule]) -> None:
    """Refuse ``wanted`` rules that overlap with one of ``rules``, or with each other.

    Rules of ``rules`` among themselves are S3's affair: it took them.

    Args:
        rules: All rules as they would be put.
        wanted: Those of them that are ours.

    Raises:
        ConfigurationError: Names the two rules, and what to change.
    """
    every = list(rules)
    for ours in wanted:
        for other in every:
            if other != ours and (types := overlap(ours, other)):
                raise ConfigurationError(_text(ours, other, types))


def _members(rule: Rule) -> frozenset[str]:
    return frozenset(chain.from_iterable(map(members_of, rule.events)))


def _text(ours: Rule, other: Rule, types: frozenset[str]) -> str:
    if (ours.destination, ours.events, ours.prefix, ours.suffix) == (
        other.destination,
        other.events,
        other.prefix,
        other.suffix,
    ):
        return (
            f"notification_id: the same rule is there by another id; give {other.id!r}, or remove that rule"
        )
    return (
        f"events, prefix or suffix: rule {ours} overlaps with rule {other} for {', '.join(sorted(types))},"
        " and S3 sends an event to one destination only; make prefixes or suffixes disjoint, or send both"
        " through one TopicDestination or EventBridgeDestination"
    )
