"""Takes the way from a bucket to its destinations away: what set-up adds, and nothing that others need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_s3events.arns import Arn, check_bucket
from airflow_s3events.bucket_notifications import differences, normalised, pattern_is_for, rules_of
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.notification_setup.buckets import Brought, Wish, bring, farewell
from airflow_s3events.notification_setup.calls import Attributes, Aws, EventRules, Queues, Topics
from airflow_s3events.notification_setup.changes import Change, Place
from airflow_s3events.notification_setup.configure import locate
from airflow_s3events.notification_setup.deletions import Deletions
from airflow_s3events.notification_setup.destinations import (
    Destination,
    EventBridgeDestination,
    FunctionDestination,
    QueueDestination,
    TopicDestination,
    destinations_of,
)
from airflow_s3events.notification_setup.event_rules import default_rule_name, pattern_of, rule_arn, target_of
from airflow_s3events.notification_setup.functions import resolve_function
from airflow_s3events.notification_setup.queues import FoundQueue, read_queue
from airflow_s3events.notification_setup.rounds import make, read_back
from airflow_s3events.notification_setup.topics import resolve_topic
from airflow_s3events.policies import (
    Grant,
    Policy,
    parse_policy,
    policy_text,
    statements_of,
    tls_only,
    without,
)
from airflow_s3events.policies.grants import SID_PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwanted:
    """What is to go."""

    bucket: str
    notification_id: str
    destinations: tuple[Destination, ...] = ()
    bucket_owner: str | None = None
    #: The bucket's EventBridge switch too, whoever turned it on.
    event_bridge_switch: bool = False
    #: The queues and dead letter queues too, if they are empty and nobody else needs them.
    delete_queues: bool = False

    @classmethod
    def of(cls, *, bucket: str, notification_id: str, destinations: Any, **more: Any) -> Unwanted:
        """Return what the settings of an operator mean.

        Raises:
            ConfigurationError: One of them cannot work whatever AWS says; names it.
        """
        if not notification_id:
            raise ConfigurationError("notification_id: give the id of the rule that is to go")
        rule = default_rule_name(bucket, notification_id)
        found = destinations_of(destinations, rule=rule) if destinations else ()
        return cls(bucket=check_bucket(bucket), notification_id=notification_id, destinations=found, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """All that would be done: the bucket first, so that nothing is sent any more when the rest goes."""

    unwanted: Unwanted
    place: Place
    before: dict[str, Any]
    after: dict[str, Any]
    wish: Wish
    changes: list[Change]
    #: What stays although it was named, and why; lines to read.
    stays: list[str]

    @property
    def lines(self) -> list[str]:
        """The removal to read; empty when there is nothing to do or to say."""
        found = differences(self.before, self.after)
        bucket = [f"~ bucket {self.place.bucket}", *(f"    {line}" for line in found)] if found else []
        return [*bucket, *(line for change in self.changes for line in change.lines), *self.stays]


def plan_removal(aws: Aws, unwanted: Unwanted, *, without_queues: bool = False) -> Removal:
    """Return what has to be done. Reads only.

    Args:
        aws: What is asked.
        unwanted: What is to go.
        without_queues: Leave queues out: SQS answers for one that is deleted for up to a minute.

    Raises:
        ConfigurationError: It cannot be done, or a queue that is to be deleted is needed, or not empty.
    """
    place, before = locate(aws, unwanted.bucket, unwanted.bucket_owner)
    wish = farewell([unwanted.notification_id], event_bridge=unwanted.event_bridge_switch)
    after = wish(before)
    remover = Remover(
        aws=aws,
        place=place,
        unwanted=unwanted,
        kept=frozenset(rule.destination for rule in rules_of(after)),
        without_queues=without_queues,
    )
    changes = [change for one in unwanted.destinations for change in remover.plan(one)]
    changes += remover.deletions.plan()
    return Removal(
        unwanted=unwanted,
        place=place,
        before=before,
        after=after,
        wish=wish,
        changes=changes,
        stays=remover.stays,
    )


def remove(aws: Aws, found: Removal, *, settle_seconds: float, tell: Callable[[str], None]) -> Brought:
    """Do what a removal says; return the bucket's configuration from before and after.

    What comes after the bucket is planned anew: others may have begun to use it while the bucket settled.

    Raises:
        ConfigurationError: AWS refuses something, or a queue that is to be deleted cannot go any more.
        OutageError: AWS is away, or somebody overwrites it again and again.
    """
    unwanted = found.unwanted
    brought = Brought(before=found.before, after=found.before)
    if normalised(found.before) != normalised(found.after):
        place = found.place
        brought = bring(
            aws.buckets(),
            place.bucket,
            place.owner,
            found.wish,
            settle_seconds=settle_seconds,
            is_fresh=False,
        )
        for line in differences(found.before, found.after):
            tell(line)
    again = plan_removal(aws, unwanted)
    make(again.changes, tell)
    for line in again.stays:
        tell(line)
    if again.changes:
        read_back(
            lambda: plan_removal(aws, unwanted, without_queues=unwanted.delete_queues).changes,
            settle_seconds=settle_seconds,
            is_settled=False,
            tell=tell,
        )
    return brought


@dataclass(frozen=True, slots=True, kw_only=True)
class Remover:
    """Plans the removal of one destination after the other."""

    aws: Aws
    place: Place
    unwanted: Unwanted
    #: Destinations of the rules that stay in the bucket: nothing of theirs is touched.
    kept: frozenset[str]
    without_queues: bool
    #: Filled while planning: see ``Removal``.
    stays: list[str] = field(default_factory=list)
    #: Filled while planning: only all destinations together say who else sends to a queue.
    deletions: Deletions = field(default_factory=Deletions)

    def plan(self, destination: Destination) -> list[Change]:
        """Return what has to be done to one."""
        if isinstance(destination, QueueDestination):
            return self._queue(destination, [self.place.sender])
        if isinstance(destination, TopicDestination):
            return self._topic(destination)
        if isinstance(destination, FunctionDestination):
            return self._function(destination)
        return self._event_bridge(destination)

    def _queue(
        self, wanted: QueueDestination, senders: Sequence[Grant], dead_letter_senders: Sequence[Grant] = ()
    ) -> list[Change]:
        """Statements of ``senders``, or the queues whole."""
        if not wanted.manage or self.without_queues:
            return []
        queue, dead = read_queue(self.aws, self.place, wanted)
        if str(queue.arn) in self.kept:
            return []
        queues = self.aws.queues(wanted.aws_conn_id, queue.arn.region)
        found = [(queue, senders), *([] if dead is None else [(dead, dead_letter_senders)])]
        if not self.unwanted.delete_queues:
            return [change for one, which in found for change in _strip(queues, one, which)]
        for one, which in found:
            self.deletions.add(queues, one, which, takes_dead_letters=one is dead)
        return []

    def _topic(self, wanted: TopicDestination) -> list[Change]:
        """The bucket's statement; the subscriptions too, where no other bucket sends to the topic."""
        arn = resolve_topic(self.aws, self.place, wanted)
        topics = self.aws.topics(wanted.aws_conn_id, arn.region)
        found = topics.attributes(arn)
        if found is None or str(arn) in self.kept:
            return []
        sender = self.place.sender
        changes = [] if _stripped(found, arn, [sender]) is None else [_strip_topic(topics, arn, sender)]
        if _lets_s3_in(_without(found, arn, [sender])):
            return changes
        for queue in wanted.queues:
            changes += self._subscription(topics, arn, queue)
            changes += self._queue(queue, [Grant.of(arn)])
        return changes

    def _subscription(self, topics: Topics, topic: Arn, queue: QueueDestination) -> list[Change]:
        there = topics.subscription(topic, read_queue(self.aws, self.place, queue)[0].arn)
        if there is None:
            return []
        name = there["SubscriptionArn"]
        return [Change(lines=(f"- subscription {name}",), make=lambda: topics.unsubscribe(name))]

    def _function(self, wanted: FunctionDestination) -> list[Change]:
        arn = resolve_function(self.place, wanted)
        functions = self.aws.functions(wanted.aws_conn_id, arn.region)
        sid = self.place.sender.sid(str(arn))
        there = {one.get("Sid") for one in statements_of(parse_policy(functions.policy(arn)))}
        if str(arn) in self.kept or sid not in there:
            return []
        lines = (f"~ function {arn}", "    policy: our statement goes")
        return [Change(lines=lines, make=lambda: functions.remove_permission(arn, sid))]

    def _event_bridge(self, wanted: EventBridgeDestination) -> list[Change]:
        """Our target, the rule when no other target is left; an archive stays, since it holds events."""
        if wanted.queue is None:
            return []
        rules = self.aws.event_rules(self.place.region)
        rule = rule_arn(self.place, str(wanted.rule))
        sender = [Grant.of(rule)]
        found = rules.rule(rule)
        if found is not None and not pattern_is_for(pattern_of(found), self.place.bucket):
            # Its statement in the queue stays as well: others get their events by it.
            self.stays.append(f"= rule {rule} stays: its pattern is not for bucket {self.place.bucket} alone")
            return []
        changes = [] if found is None else self._rule(rules, rule, wanted.queue)
        return changes + self._queue(wanted.queue, sender, sender)

    def _rule(self, rules: EventRules, rule: Arn, queue: QueueDestination) -> list[Change]:
        target, targets = target_of(self.aws, self.place, queue), rules.targets(rule)
        name = target["Id"]
        ours = [one for one in targets if one["Id"] == name]
        lines = (f"- target {target['Arn']} of rule {rule.name}",)
        changes = [Change(lines=lines, make=lambda: rules.remove_target(rule, name))] if ours else []
        if len(ours) < len(targets):
            return changes
        return [*changes, Change(lines=(f"- rule {rule}",), make=lambda: rules.delete(rule))]


def _strip(queues: Queues, queue: FoundQueue, senders: Sequence[Grant]) -> list[Change]:
    """Our statements out of the policy; the one for TLS with the last of them."""
    if _stripped(queue.attributes, queue.arn, senders) is None:
        return []

    def make() -> None:
        # As it is now: others may have set it since the plan.
        text = _stripped(queues.attributes(queue.arn), queue.arn, senders)
        if text is not None:
            queues.set_attributes(queue.arn, {"Policy": text})

    lines = (f"~ queue {queue.arn}", "    policy: our statements go")
    return [Change(lines=lines, make=make)]


def _stripped(found: Attributes | None, target: Arn, senders: Sequence[Grant]) -> str | None:
    """Return the text of the policy without our statements; None where there are none in it."""
    after = _without(found, target, senders)
    if after == parse_policy((found or {}).get("Policy")):
        return None
    return policy_text(after) if statements_of(after) else ""


def _without(found: Attributes | None, target: Arn, senders: Sequence[Grant]) -> Policy:
    policy = parse_policy((found or {}).get("Policy"))
    after = without(policy, [sender.sid(str(target)) for sender in senders])
    tls = str(tls_only(target)["Sid"])
    sids = [str(statement.get("Sid", "")) for statement in statements_of(after)]
    if any(sid.startswith(SID_PREFIX) and sid != tls for sid in sids):
        return after
    return without(after, [tls])


def _strip_topic(topics: Topics, topic: Arn, sender: Grant) -> Change:
    def make() -> None:
        # As it is now: others may have set it since the plan.
        now = topics.attributes(topic)
        if _stripped(now, topic, [sender]) is not None:
            topics.set_attribute(topic, "Policy", policy_text(_without(now, topic, [sender])))

    lines = (f"~ topic {topic}", "    policy: our statements go")
    return Change(lines=lines, make=make)


def _lets_s3_in(policy: Policy) -> bool:
    return any("s3.amazonaws.com" in str(one.get("Principal")) for one in statements_of(policy))
