"""KMS keys of queues and topics: a customer's key lets the sender in, AWS's own key never can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.notification_setup.calls import Aws, Keys
from airflow_s3events.notification_setup.changes import Change, missing_grants, policy_with
from airflow_s3events.policies import (
    KEY_LIMITS,
    Grant,
    Statement,
    check_limits,
    key_grant,
    merged,
    parse_policy,
)

_USABLE = ("Enabled", "Creating", "Updating")


def plan_key(
    aws: Aws, aws_conn_id: str | None, region: str, key: str, senders: Sequence[Grant]
) -> list[Change]:
    """Return what has to be done so that ``senders`` can use the key.

    Raises:
        ConfigurationError: It is AWS's own key, cannot be used, or denies one of ``senders``.
    """
    keys = aws.keys(aws_conn_id, region)
    metadata = check_key(key, keys.describe(key))
    arn = str(metadata["Arn"])
    policy = parse_policy(keys.policy(arn))
    requests = [(sender, request) for sender in senders for request in sender.key_requests(arn)]
    missing = missing_grants(policy, requests, setting=f"kms_key {key!r}")
    if not missing:
        return []
    statements = [key_grant(sender) for sender in missing]
    check_limits(merged(policy, statements), KEY_LIMITS, setting=f"kms_key {key!r}")
    added = ", ".join(f"{sender.service} for {sender.source}" for sender in missing)
    lines = (f"~ key {arn}", f"    policy: {added}")
    return [Change(lines=lines, make=lambda: _let_in(keys, arn, statements))]


def _let_in(keys: Keys, arn: str, statements: Sequence[Statement]) -> None:
    """Put the policy as it is now with ``statements``: others may have put theirs since the plan."""
    text = policy_with(keys.policy(arn), statements, KEY_LIMITS, setting=f"kms_key {arn!r}")
    if text is not None:
        keys.put_policy(arn, text)


def check_key(key: str, metadata: dict[str, Any] | None) -> dict[str, Any]:
    """Return ``metadata`` if a service of AWS can be let in to the key.

    Raises:
        ConfigurationError: There is no such key, it is AWS's own, or it is out of use.
    """
    if key.startswith("alias/aws/") or (metadata or {}).get("KeyManager") == "AWS":
        raise ConfigurationError(
            f"kms_key: {key!r} is the key that AWS manages; its policy cannot be changed, so S3 could not"
            " send and events would be lost without an error. Use SSE-SQS (no key), or a customer's key"
        )
    if metadata is None:
        raise ConfigurationError(f"kms_key: there is no key {key!r} in this region and account")
    if metadata.get("KeyState", "Enabled") not in _USABLE:
        raise ConfigurationError(f"kms_key: {key!r} is {metadata['KeyState']}; enable it, or use another")
    return metadata
