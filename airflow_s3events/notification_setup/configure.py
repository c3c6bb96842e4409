"""Sets up the way from a bucket to its destinations: all of it planned before anything is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_s3events.arns import check_account, check_bucket
from airflow_s3events.bucket_notifications import (
    Rule,
    check_event_types,
    differences,
    event_pattern,
    normalised,
)
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.notification_setup.buckets import Brought, Wish, bring, replacement, wish
from airflow_s3events.notification_setup.calls import Aws
from airflow_s3events.notification_setup.changes import Change, Place
from airflow_s3events.notification_setup.destinations import (
    Destination,
    EventBridgeDestination,
    FunctionDestination,
    QueueDestination,
    TopicDestination,
    destinations_of,
)
from airflow_s3events.notification_setup.event_rules import default_rule_name, plan_event_bridge
from airflow_s3events.notification_setup.functions import plan_function, resolve_function
from airflow_s3events.notification_setup.queues import plan_queue, resolve_queue
from airflow_s3events.notification_setup.rounds import make, read_back
from airflow_s3events.notification_setup.topics import plan_topic, resolve_topic

MODES = ("merge", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events of which bucket go where, as it is asked for."""

    bucket: str
    notification_id: str
    events: tuple[str, ...]
    destinations: tuple[Destination, ...]
    prefix: str = ""
    suffix: str = ""
    #: Account that owns the bucket; the connection's own when None.
    bucket_owner: str | None = None
    mode: str = "merge"

    @classmethod
    def of(
        cls, *, bucket: str, notification_id: str, events: Any, destinations: Any, mode: str, **more: Any
    ) -> Wanted:
        """Return what the settings of an operator mean.

        Raises:
            ConfigurationError: One of them cannot work whatever AWS says; names it.
        """
        if mode not in MODES:
            raise ConfigurationError(f"mode={mode!r}: give 'merge', or 'replace' to drop the rules of others")
        wanted = cls(
            bucket=check_bucket(bucket),
            notification_id=notification_id,
            events=check_event_types(events),
            destinations=destinations_of(destinations, rule=default_rule_name(bucket, notification_id)),
            mode=mode,
            **more,
        )
        wanted.check()
        return wanted

    def check(self) -> None:
        """Look at everything that can be judged without AWS; raises ``ConfigurationError``."""
        if self.bucket_owner is not None:
            check_account(self.bucket_owner, setting="bucket_owner")
        if len(self.direct) > 1:
            raise ConfigurationError(
                "destinations: S3 sends an event to one queue, topic or function only; for several use one"
                " TopicDestination with several queues, or EventBridgeDestination beside a direct one"
            )
        Rule(
            id=self.notification_id,
            destination="",
            events=self.events,
            prefix=self.prefix,
            suffix=self.suffix,
        ).check()
        if self.event_bridge:
            self.pattern()

    @property
    def direct(self) -> list[Destination]:
        """Destinations that S3 sends to by itself."""
        return [one for one in self.destinations if not isinstance(one, EventBridgeDestination)]

    @property
    def event_bridge(self) -> bool:
        """Whether the bucket's switch is wanted."""
        return any(isinstance(one, EventBridgeDestination) for one in self.destinations)

    def pattern(self) -> dict[str, Any]:
        """Return the EventBridge pattern of the same choice of events."""
        return event_pattern(self.bucket, self.events, self.prefix, self.suffix)

    def rule_to(self, destination: object) -> Rule:
        """Return the bucket's rule that leads to a destination."""
        return Rule(
            id=self.notification_id,
            destination=str(destination),
            events=self.events,
            prefix=self.prefix,
            suffix=self.suffix,
        ).check()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that would be done, in its order; the bucket comes last, since S3 tries each destination."""

    wanted: Wanted
    place: Place
    changes: list[Change]
    #: The bucket's configuration as it was read, and as it would be.
    before: dict[str, Any]
    after: dict[str, Any]
    wish: Wish
    rules: list[Rule] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """The plan to read; empty when there is nothing to do."""
        return [line for change in self.changes for line in change.lines] + self.bucket_lines

    @property
    def bucket_lines(self) -> list[str]:
        """What would change in the bucket's configuration."""
        found = differences(self.before, self.after)
        return [f"~ bucket {self.place.bucket}", *(f"    {line}" for line in found)] if found else []


def locate(aws: Aws, bucket: str, bucket_owner: str | None) -> tuple[Place, dict[str, Any]]:
    """Return where the bucket is, and its configuration.

    Raises:
        ConfigurationError: There is no such bucket, or it is not to be read.
    """
    owner = bucket_owner or aws.account(None)
    buckets = aws.buckets()
    before = buckets.configuration(bucket, owner)
    return Place(bucket=bucket, region=buckets.region(bucket, owner), owner=owner), before


def plan(aws: Aws, wanted: Wanted) -> Plan:
    """Return what has to be done. Reads only.

    Raises:
        ConfigurationError: It cannot be done; says what to change.
        OutageError: AWS is away.
    """
    place, before = locate(aws, wanted.bucket, wanted.bucket_owner)
    rules = [wanted.rule_to(_resolve(aws, place, one)) for one in wanted.direct]
    if wanted.mode == "merge":
        change = wish(rules, event_bridge=wanted.event_bridge)
    else:
        change = replacement(rules, event_bridge=wanted.event_bridge, expected=before)
    after = change(before)
    changes = [found for one in wanted.destinations for found in _plan(aws, place, wanted, one)]
    return Plan(
        wanted=wanted, place=place, changes=changes, before=before, after=after, wish=change, rules=rules
    )


def apply(aws: Aws, found: Plan, *, settle_seconds: float, tell: Callable[[str], None]) -> Brought:
    """Do what a plan says, and what of it another task has overwritten once more.

    Stopped in the middle, what was done stays and harms nothing: the next run plans what is left.

    Returns:
        The bucket's configuration from before and after.

    Raises:
        ConfigurationError: AWS refuses something.
        OutageError: AWS is away, or somebody overwrites it again and again.
    """
    make(found.changes, tell)
    is_put = normalised(found.before) != normalised(found.after)
    brought = Brought(before=found.before, after=found.before)
    if is_put:
        brought = _bring(aws, found, settle_seconds=settle_seconds, tell=tell)
    if found.changes:
        read_back(
            lambda: plan(aws, found.wanted).changes,
            settle_seconds=settle_seconds,
            is_settled=is_put,
            tell=tell,
        )
    return brought


def _bring(aws: Aws, found: Plan, *, settle_seconds: float, tell: Callable[[str], None]) -> Brought:
    brought = bring(
        aws.buckets(),
        found.place.bucket,
        found.place.owner,
        found.wish,
        settle_seconds=settle_seconds,
        is_fresh=bool(found.changes),
        mend=lambda: make(plan(aws, found.wanted).changes, tell),
    )
    for line in found.bucket_lines:
        tell(line)
    return brought


def _resolve(aws: Aws, place: Place, destination: Destination) -> object:
    if isinstance(destination, QueueDestination):
        arn = resolve_queue(aws, place, destination)
        place.check_near(arn, setting="queue")
        return arn
    if isinstance(destination, TopicDestination):
        return resolve_topic(aws, place, destination)
    assert isinstance(destination, FunctionDestination)  # noqa: S101 - direct ones are of these three
    return resolve_function(place, destination)


def _plan(aws: Aws, place: Place, wanted: Wanted, destination: Destination) -> list[Change]:
    if isinstance(destination, QueueDestination):
        return plan_queue(aws, place, destination, [place.sender])
    if isinstance(destination, TopicDestination):
        return plan_topic(aws, place, destination)
    if isinstance(destination, FunctionDestination):
        return plan_function(aws, place, destination)
    return plan_event_bridge(aws, place, destination, wanted.pattern())
