"""An SNS topic between bucket and queues: created or let open for S3, each queue subscribed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from airflow_s3events.arns import Arn
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.notification_setup.calls import Attributes, Aws, Topics
from airflow_s3events.notification_setup.changes import Change, Place, missing_grants, policy_with
from airflow_s3events.notification_setup.destinations import TopicDestination
from airflow_s3events.notification_setup.keys import plan_key
from airflow_s3events.notification_setup.queues import plan_queue, resolve_queue
from airflow_s3events.policies import (
    TOPIC_LIMITS,
    Grant,
    Statement,
    grant,
    parse_policy,
    tls_only,
)


def resolve_topic(aws: Aws, place: Place, wanted: TopicDestination) -> Arn:
    """Return the ARN of a wanted topic.

    Raises:
        ConfigurationError: It is in another region than the bucket, or of another account.
    """
    account = aws.account(wanted.aws_conn_id)
    arn = place.arn(wanted.topic, "sns", account, wanted.region_name, setting="topic")
    place.check_near(arn, setting="topic")
    if arn.account != account:
        raise ConfigurationError(
            f"aws_conn_id of TopicDestination: {arn} is of account {arn.account}, and this connection is of"
            f" {account}; name a connection with a role there"
        )
    return arn


def plan_topic(aws: Aws, place: Place, wanted: TopicDestination) -> list[Change]:
    """Return what has to be done so that the bucket reaches the topic, and the topic its queues.

    Raises:
        ConfigurationError: It cannot be done; nothing was changed.
    """
    arn = resolve_topic(aws, place, wanted)
    topics = aws.topics(wanted.aws_conn_id, arn.region)
    found = topics.attributes(arn)
    key = wanted.kms_key or (found or {}).get("KmsMasterKeyId")
    changes = plan_key(aws, wanted.aws_conn_id, arn.region, key, [place.sender]) if key else []
    changes += _plan(topics, arn, found, place, wanted)
    for queue in wanted.queues:
        changes += plan_queue(aws, place, queue, [Grant.of(arn)])
        endpoint = resolve_queue(aws, place, queue)
        changes += _plan_subscription(topics, arn, endpoint, is_new=found is None, raw=wanted.raw)
    return changes


def _plan(
    topics: Topics, arn: Arn, found: Mapping[str, str] | None, place: Place, wanted: TopicDestination
) -> list[Change]:
    setting = f"topic {arn.name!r}"
    policy = parse_policy((found or {}).get("Policy"))
    missing = missing_grants(policy, [(place.sender, place.sender.request(arn))], setting=setting)
    statements = [grant(sender, arn) for sender in missing]
    statements += [tls_only(arn)] if wanted.tls_only else []
    attributes = _with_statements(arn, found, statements)
    key = wanted.kms_key
    other = {"KmsMasterKeyId": key} if key and key != (found or {}).get("KmsMasterKeyId") else {}
    if found is None:
        lines = (f"+ topic {arn}", *map("    {}".format, sorted(attributes | other)))
        return [Change(lines=lines, make=lambda: _create(topics, arn, other, statements))]
    changes = [_change(arn, "Policy", lambda: _let_in(topics, arn, statements))] if attributes else []
    return changes + [
        _change(arn, name, partial(topics.set_attribute, arn, name, value)) for name, value in other.items()
    ]


def _change(arn: Arn, name: str, make: Callable[[], None]) -> Change:
    return Change(lines=(f"~ topic {arn}", f"    {name}"), make=make)


def _create(topics: Topics, arn: Arn, attributes: Attributes, statements: Sequence[Statement]) -> None:
    """Create the topic; one that another task has made since the plan keeps its settings."""
    if topics.attributes(arn) is None:
        topics.create(arn, {**attributes, **_with_statements(arn, None, statements)})
    else:
        _let_in(topics, arn, statements)


def _let_in(topics: Topics, arn: Arn, statements: Sequence[Statement]) -> None:
    """Set the policy as it is now with ``statements``: others may have set it since the plan."""
    for name, value in _with_statements(arn, topics.attributes(arn), statements).items():
        topics.set_attribute(arn, name, value)


def _with_statements(arn: Arn, found: Attributes | None, statements: Sequence[Statement]) -> dict[str, str]:
    """Return the attribute of a policy with ``statements``; nothing where they are in it."""
    there, setting = (found or {}).get("Policy"), f"topic {arn.name!r}"
    text = policy_with(there, statements, TOPIC_LIMITS, setting=setting)
    return {} if text is None else {"Policy": text}


def _plan_subscription(topics: Topics, topic: Arn, queue: Arn, *, is_new: bool, raw: bool) -> list[Change]:
    there = None if is_new else topics.subscription(topic, queue)
    form = "raw" if raw else "in SNS's envelope"
    if there is None:
        lines = (f"+ subscription of {queue} to {topic}, {form}",)
        return [Change(lines=lines, make=lambda: topics.subscribe(topic, queue, raw=raw))]
    if (there.get("RawMessageDelivery", "false") == "true") is raw:
        return []
    arn = there["SubscriptionArn"]
    lines = (f"~ subscription of {queue} to {topic}, {form}",)
    return [Change(lines=lines, make=lambda: topics.set_raw(arn, raw=raw))]
