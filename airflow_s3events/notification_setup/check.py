"""Finds what is wrong on the way from a bucket to its destinations, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_s3events.arns import Arn, bucket_arn, partition_of
from airflow_s3events.bucket_notifications import MAX_RULES, Rule, differences, pattern_takes, rules_of
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.notification_setup.calls import Aws
from airflow_s3events.notification_setup.changes import Place
from airflow_s3events.notification_setup.configure import Wanted, locate, plan
from airflow_s3events.notification_setup.destinations import (
    Destination,
    EventBridgeDestination,
    FunctionDestination,
    QueueDestination,
    TopicDestination,
    destinations_of,
    queues_of,
)
from airflow_s3events.notification_setup.event_rules import pattern_of, rule_arn
from airflow_s3events.notification_setup.findings import Finding, Report, error, note, warning
from airflow_s3events.notification_setup.judgement import judge_key, judge_object, judge_policy, judge_queue
from airflow_s3events.notification_setup.prove import probe_key, prove
from airflow_s3events.notification_setup.queues import read_queue
from airflow_s3events.notification_setup.trails import judge_trails
from airflow_s3events.policies import Grant

_NEAR = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What is to be looked at."""

    bucket: str
    bucket_owner: str | None = None
    #: An object whose events should come; None looks at no one object.
    key: str | None = None
    #: What should be there; None looks at what is there.
    wanted: Wanted | None = None
    #: How long the work on one message may take, where nobody extends its visibility.
    work_seconds: float = 0.0
    #: ``s3://bucket/prefix`` that the DAGs behind this bucket's events write to.
    writes_to: tuple[str, ...] = field(default=())
    #: Write a probe object under this prefix (the rule's own when None) and wait so long for its event.
    prove: bool = False
    prove_prefix: str | None = None
    prove_seconds: float = 60.0
    #: Look whether CloudTrail logs who writes and deletes objects.
    data_events: bool = False


def check(aws: Aws, inspection: Inspection, tell: Callable[[float], None] = lambda _: None) -> Report:
    """Return all that is wrong. Reads only, but for a probe where one is asked for.

    Args:
        aws: What is asked.
        inspection: What is looked at.
        tell: Told for how many seconds the probe's event has been waited for.

    Raises:
        OutageError: AWS is away.
    """
    try:
        place, before = locate(aws, inspection.bucket, inspection.bucket_owner)
    except ConfigurationError as refused:
        return Report.of([error(f"bucket {inspection.bucket}", str(refused))])
    rules = rules_of(before)
    findings = list(_judge_bucket(place, before, rules))
    if inspection.key is not None:
        findings += judge_object(place.bucket, inspection.key, rules, to_event_bridge=_has_switch(before))
    findings += _judge_wanted(aws, inspection.wanted, place)
    looker = Looker(aws=aws, place=place, work_seconds=inspection.work_seconds, wanted=inspection.wanted)
    for destination in _destinations(rules, inspection.wanted):
        findings += looker.look(destination)
    findings += _judge_loops(place, rules, inspection)
    if inspection.data_events:
        findings += _judge_trails(aws, place)
    if inspection.prove:
        findings += _prove(aws, place, rules, inspection, tell)
    return Report.of(findings)


def _judge_bucket(place: Place, before: dict[str, Any], rules: Sequence[Rule]) -> Iterator[Finding]:
    about = f"bucket {place.bucket}"
    has_switch = _has_switch(before)
    if not rules and not has_switch:
        yield error(about, "it notifies of nothing; configure a notification")
    if has_switch:
        yield note(about, "it sends every event to EventBridge")
    if len(rules) > _NEAR * MAX_RULES:
        yield warning(about, f"it has {len(rules)} of {MAX_RULES} notification configurations")


def _has_switch(before: dict[str, Any]) -> bool:
    return "EventBridgeConfiguration" in before


def _judge_wanted(aws: Aws, wanted: Wanted | None, place: Place) -> Iterator[Finding]:
    """What configuring it would change, or why it cannot be: overlaps, regions, keys, limits."""
    if wanted is None:
        return
    try:
        found = plan(aws, wanted)
    except ConfigurationError as refused:
        yield error(f"notification {wanted.notification_id!r}", str(refused))
        return
    for line in differences(found.before, found.after)[:-1]:
        yield error(f"bucket {place.bucket}", f"differs from what is wanted: {line}")
    for change in found.changes:
        yield warning(f"notification {wanted.notification_id!r}", "would change: " + "; ".join(change.lines))


def _destinations(rules: Sequence[Rule], wanted: Wanted | None) -> list[Destination]:
    """Every destination of the bucket; those of ``wanted`` first, with the connections that they name."""
    found: dict[str, Destination] = {}
    for one in wanted.destinations if wanted else ():
        found[_key(one)] = one
    for text in dict.fromkeys(rule.destination for rule in rules):
        if not {text, Arn.parse(text, setting="destination").name} & set(found):
            found[text] = destinations_of(text)[0]
    return list(found.values())


def _key(destination: Destination) -> str:
    if isinstance(destination, QueueDestination):
        return destination.queue
    if isinstance(destination, TopicDestination):
        return destination.topic
    return (
        destination.function if isinstance(destination, FunctionDestination) else f"rule {destination.rule}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Looker:
    """Looks at one destination after the other."""

    aws: Aws
    place: Place
    work_seconds: float
    wanted: Wanted | None

    def look(self, destination: Destination) -> list[Finding]:
        """Return what is wrong with one; what may not be looked at is a finding too."""
        looks: dict[type, Callable[[Any], Iterator[Finding]]] = {
            QueueDestination: self._queue,
            TopicDestination: self._topic,
            FunctionDestination: self._function,
            EventBridgeDestination: self._event_bridge,
        }
        try:
            return list(looks[type(destination)](destination))
        except ConfigurationError as refused:
            return [error(_key(destination), f"cannot be looked at: {refused}")]

    def _queue(self, wanted: QueueDestination) -> Iterator[Finding]:
        yield from self._queue_from(wanted, [self.place.sender])

    def _queue_from(self, wanted: QueueDestination, senders: list[Grant]) -> Iterator[Finding]:
        # Only what is there counts: no dead letter queue that would be made.
        there = replace(wanted, manage=False, dead_letter_queue=None)
        queue, dead = read_queue(self.aws, self.place, there)
        yield from judge_queue(queue, dead, senders, self.work_seconds)
        if queue.key:
            yield from self._key(queue.key, wanted.aws_conn_id, queue.arn.region, senders)

    def _key(self, key: str, conn: str | None, region: str, senders: list[Grant]) -> Iterator[Finding]:
        keys = self.aws.keys(conn, region)
        metadata = keys.describe(key)
        is_own = metadata is not None and metadata.get("KeyManager") != "AWS"
        policy = keys.policy(str(metadata["Arn"])) if is_own and metadata else None
        yield from judge_key(key, metadata, policy, senders)

    def _topic(self, wanted: TopicDestination) -> Iterator[Finding]:
        account = self.aws.account(wanted.aws_conn_id)
        arn = self.place.arn(wanted.topic, "sns", account, wanted.region_name, setting="topic")
        topics = self.aws.topics(wanted.aws_conn_id, arn.region)
        found = topics.attributes(arn)
        if found is None:
            yield error(arn, "there is no such topic; create it")
            return
        sender = self.place.sender
        yield from judge_policy(arn, found.get("Policy"), [(sender, sender.request(arn))])
        if key := found.get("KmsMasterKeyId"):
            yield from self._key(key, wanted.aws_conn_id, arn.region, [sender])
        for queue in wanted.queues:
            there, _ = read_queue(self.aws, self.place, replace(queue, manage=False))
            if topics.subscription(arn, there.arn) is None:
                yield error(there.arn, f"it is not subscribed to {arn}, or the subscription is not confirmed")
            yield from self._queue_from(queue, [Grant.of(arn)])

    def _function(self, wanted: FunctionDestination) -> Iterator[Finding]:
        arn = Arn.of_service(wanted.function, "lambda", setting="function")
        sender = self.place.sender
        policy = self.aws.functions(wanted.aws_conn_id, arn.region).policy(arn)
        yield from judge_policy(arn, policy, [(sender, sender.request(arn))])

    def _event_bridge(self, wanted: EventBridgeDestination) -> Iterator[Finding]:
        if wanted.queue is None or wanted.rule is None:
            return
        rule = rule_arn(self.place, wanted.rule)
        rules = self.aws.event_rules(self.place.region)
        found = rules.rule(rule)
        if found is None:
            yield error(rule, "there is no such rule; create it")
            return
        if found.get("State") != "ENABLED":
            yield error(rule, f"it is {found.get('State')}; enable it")
        pattern = pattern_of(found)
        if self.wanted is not None and not pattern_takes(pattern, self.wanted.pattern()):
            yield error(
                rule, f"its pattern does not take what is wanted of bucket {self.place.bucket}; configure it"
            )
        if '"detail-type"' not in json.dumps(pattern):
            yield warning(rule, "its pattern names no detail-type: CloudTrail's API calls match it too")
        there, _ = read_queue(self.aws, self.place, replace(wanted.queue, manage=False))
        if str(there.arn) not in {target.get("Arn") for target in rules.targets(rule)}:
            yield error(rule, f"{there.arn} is not among its targets")
        yield from self._queue_from(wanted.queue, [Grant.of(rule)])


def _judge_loops(place: Place, rules: Sequence[Rule], inspection: Inspection) -> Iterator[Finding]:
    """A DAG that writes where its own events come from starts itself again, for ever."""
    watched = [*rules]
    if inspection.wanted is not None:
        watched.append(inspection.wanted.rule_to(""))
    for address in inspection.writes_to:
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        for rule in watched if bucket == place.bucket else ():
            meets = prefix.startswith(rule.prefix) or rule.prefix.startswith(prefix)
            if meets and any(name.startswith("s3:ObjectCreated:") for name in rule.events):
                yield error(
                    f"bucket {place.bucket}",
                    f"a DAG writes to {address}, and rule {rule.id!r} sends what is created"
                    f" under {rule.prefix!r}: each run starts the next; write elsewhere, or narrow the rule",
                )


def _judge_trails(aws: Aws, place: Place) -> list[Finding]:
    try:
        trails = aws.trails(place.region).trails()
    except ConfigurationError as refused:
        return [error(f"bucket {place.bucket}", f"CloudTrail cannot be asked: {refused}")]
    return list(judge_trails(bucket_arn(place.bucket, partition=partition_of(place.region)), trails))


def _prove(
    aws: Aws,
    place: Place,
    rules: Sequence[Rule],
    inspection: Inspection,
    tell: Callable[[float], None],
) -> Iterator[Finding]:
    """The way that is wanted, or the first of the bucket's that ends in a queue."""
    ways = _wanted_ways(inspection.wanted) if inspection.wanted else _present_ways(rules)
    prefix = inspection.prove_prefix
    fitting = [way for way in ways if prefix is None or prefix.startswith(way[0].prefix)] or ways
    if not fitting:
        yield error(f"bucket {place.bucket}", "prove: none of its notifications ends in a queue; name one")
        return
    rule, queue = fitting[0]
    try:
        key = probe_key(rule, prefix)
        arn = read_queue(aws, place, replace(queue, manage=False))[0].arn
        yield prove(
            aws,
            place,
            key,
            arn,
            aws_conn_id=queue.aws_conn_id,
            timeout_seconds=inspection.prove_seconds,
            tell=tell,
        )
    except ConfigurationError as refused:
        yield error(f"notification {rule.id!r}", str(refused))


def _wanted_ways(wanted: Wanted) -> list[tuple[Rule, QueueDestination]]:
    queues = [queue for one in wanted.destinations for queue in queues_of(one)]
    return [(wanted.rule_to(""), queue) for queue in queues]


def _present_ways(rules: Sequence[Rule]) -> list[tuple[Rule, QueueDestination]]:
    return [(rule, QueueDestination(rule.destination)) for rule in rules if ":sqs:" in rule.destination]
