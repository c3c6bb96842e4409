"""An SNS topic between bucket and queues: created or let open for S3, each queue subscribed."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_s3events.arns import Arn
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.notification_setup.calls import Aws, Topics
from airflow_s3events.notification_setup.changes import Change, Place, missing_grants
from airflow_s3events.notification_setup.destinations import TopicDestination
from airflow_s3events.notification_setup.keys import plan_key
from airflow_s3events.notification_setup.queues import plan_queue, resolve_queue
from airflow_s3events.policies import (
    TOPIC_LIMITS,
    Grant,
    check_limits,
    grant,
    merged,
    parse_policy,
    policy_text,
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
    after = merged(policy, [*statements, *([tls_only(arn)] if wanted.tls_only else [])])
    attributes = {} if after == policy else {"Policy": policy_text(after)}
    if wanted.kms_key and wanted.kms_key != (found or {}).get("KmsMasterKeyId"):
        attributes["KmsMasterKeyId"] = wanted.kms_key
    check_limits(after, TOPIC_LIMITS, setting=setting)
    if found is None:
        lines = (f"+ topic {arn}", *map("    {}".format, sorted(attributes)))
        return [Change(lines=lines, make=lambda: topics.create(arn, attributes))]
    return [_set(topics, arn, name, value) for name, value in attributes.items()]


def _set(topics: Topics, arn: Arn, name: str, value: str) -> Change:
    lines = (f"~ topic {arn}", f"    {name}")
    return Change(lines=lines, make=lambda: topics.set_attribute(arn, name, value))


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
