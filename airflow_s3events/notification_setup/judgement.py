"""What is wrong with a queue, a topic, a key or a function, judged from what AWS says of it. No calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_s3events.arns import Arn
from airflow_s3events.bucket_notifications import Rule
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.notification_setup.findings import Finding, error, note, warning
from airflow_s3events.notification_setup.keys import check_key
from airflow_s3events.notification_setup.queues import (
    LEAST_MESSAGE_BYTES,
    LEAST_RECEIVES,
    MAX_RECEIVE_COUNT,
    FoundQueue,
)
from airflow_s3events.policies import (
    QUEUE_LIMITS,
    Grant,
    Limits,
    Policy,
    Request,
    Verdict,
    evaluate,
    parse_policy,
    policy_text,
    statements_of,
)

_NEAR = 0.9
#: Messages in flight: SQS hands out no more at about 120,000, without an error on long polling
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html).
_MAX_IN_FLIGHT = 120_000
_DEFAULTS = {"MaximumMessageSize": "1048576", "MessageRetentionPeriod": "345600", "VisibilityTimeout": "30"}


def judge_queue(
    queue: FoundQueue, dead: FoundQueue | None, senders: Sequence[Grant], work_seconds: float
) -> Iterator[Finding]:
    """Yield what is wrong with a queue, for those who send to it and for who works on its messages.

    Args:
        queue: The queue.
        dead: The queue of its redrive policy; None without one.
        senders: Who must get through.
        work_seconds: How long the work on one message may take; 0 where the consumer extends visibility.
    """
    if queue.attributes is None:
        yield error(queue.arn, "there is no such queue; create it, S3 drops what it cannot deliver")
        return
    yield from judge_policy(queue.arn, queue.attributes.get("Policy"), _requests(senders, queue.arn))
    yield from _judge_near(queue.arn, parse_policy(queue.attributes.get("Policy")), QUEUE_LIMITS)
    yield from _judge_settings(queue, work_seconds)
    yield from _judge_redrive(queue, dead)


def judge_object(bucket: str, key: str, rules: Sequence[Rule], *, to_event_bridge: bool) -> Iterator[Finding]:
    """Yield whether the creation of an object is told to anybody, and to whom."""
    takers = [
        rule
        for rule in rules
        if key.startswith(rule.prefix)
        and key.endswith(rule.suffix)
        and any(name.startswith("s3:ObjectCreated:") for name in rule.events)
    ]
    for rule in takers:
        yield note(f"object {key}", f"rule {rule} takes it, if it was there when the object was written")
    if not takers and not to_event_bridge:
        there = "; ".join(map(str, rules)) or "none"
        yield error(f"object {key}", f"no rule of bucket {bucket} sends its creation; there are: {there}")
    if to_event_bridge:
        yield note(f"object {key}", "EventBridge gets its events; whether a rule there takes them, see there")


def judge_policy(
    target: Arn | str, text: str | None, requests: Sequence[tuple[Grant, Request]]
) -> Iterator[Finding]:
    """Yield which senders a policy keeps out."""
    policy = parse_policy(text)
    for sender, request in requests:
        decision = evaluate(policy, request)
        who = f"{sender.service} for {sender.source}"
        if decision.verdict is Verdict.UNSURE:
            yield warning(
                target, f"whether its policy lets {who} in hangs on {', '.join(decision.statements)}"
            )
        elif not decision.allowed:
            yield error(target, f"its policy does not let {who} in ({request.action}: {decision}); add it")


def judge_key(
    key: str, metadata: Mapping[str, Any] | None, policy: str | None, senders: Sequence[Grant]
) -> Iterator[Finding]:
    """Yield whether ``senders`` can use a key."""
    try:
        found = check_key(key, None if metadata is None else dict(metadata))
    except ConfigurationError as refused:
        yield error(key, str(refused))
        return
    arn = str(found["Arn"])
    yield from judge_policy(arn, policy, [(s, request) for s in senders for request in s.key_requests(arn)])


def _requests(senders: Sequence[Grant], target: Arn) -> list[tuple[Grant, Request]]:
    return [(sender, sender.request(target)) for sender in senders]


def _judge_near(target: Arn, policy: Policy, limits: Limits) -> Iterator[Finding]:
    size, count = len(policy_text(policy).encode()), len(statements_of(policy))
    if size > _NEAR * limits.max_bytes:
        yield warning(target, f"its policy has {size:,} of {limits.max_bytes:,} bytes")
    if count > _NEAR * (limits.max_statements or count + 1):
        yield warning(target, f"its policy has {count} of {limits.max_statements} statements")


def _judge_settings(queue: FoundQueue, work_seconds: float) -> Iterator[Finding]:
    size, visibility = _number(queue, "MaximumMessageSize"), _number(queue, "VisibilityTimeout")
    if size < LEAST_MESSAGE_BYTES:
        yield error(
            queue.arn, f"MaximumMessageSize is {size:,} bytes, and events have up to 64 KB; set 262,144"
        )
    if visibility < work_seconds:
        yield warning(
            queue.arn,
            f"VisibilityTimeout is {visibility} s, shorter than the work ({work_seconds:g} s): messages come"
            " again while they are worked on",
        )
    in_flight = queue.number("ApproximateNumberOfMessagesNotVisible", "0")
    if in_flight > _NEAR * _MAX_IN_FLIGHT:
        yield warning(queue.arn, f"about {in_flight:,} messages are in flight, of {_MAX_IN_FLIGHT:,} at most")
    if not queue.key and (queue.attributes or {}).get("SqsManagedSseEnabled") == "false":
        yield note(queue.arn, "its messages are not encrypted at rest; SSE-SQS costs nothing")


def _judge_redrive(queue: FoundQueue, dead: FoundQueue | None) -> Iterator[Finding]:
    if dead is None:
        yield warning(
            queue.arn, "it has no dead letter queue: what cannot be read comes again until its retention ends"
        )
        return
    count = int(str(queue.redrive.get("maxReceiveCount", MAX_RECEIVE_COUNT)))
    if count < LEAST_RECEIVES:
        yield error(queue.arn, f"maxReceiveCount is {count}: healthy messages end as dead letters; set 20")
    elif count < MAX_RECEIVE_COUNT:
        yield warning(
            queue.arn, f"maxReceiveCount is {count}: some outages dead-letter healthy messages; set 20"
        )
    if dead.attributes is None:
        yield error(queue.arn, f"its dead letter queue {dead.arn} is not there; create it")
        return
    waits, keeps = _number(queue, "MessageRetentionPeriod"), _number(dead, "MessageRetentionPeriod")
    if keeps <= waits:
        yield warning(
            dead.arn,
            f"it keeps messages for {keeps:,} s, no longer than {queue.arn.name} ({waits:,} s), and a dead"
            " letter keeps the date of its first arrival; give it 1,209,600",
        )


def _number(queue: FoundQueue, name: str) -> int:
    return queue.number(name, _DEFAULTS[name])
