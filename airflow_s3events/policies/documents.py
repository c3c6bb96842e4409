"""Policy documents of queues, topics, keys and functions: read, merged, taken apart, measured.

Setting a policy replaces all of it (``SetQueueAttributes``, ``SetTopicAttributes``, ``PutKeyPolicy``), so
what others wrote is kept member for member, and a statement of ours is known by its ``Sid``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_s3events.exceptions import ConfigurationError

#: One statement, in JSON types.
Statement = Mapping[str, Any]
#: A whole document, in JSON types.
Policy = Mapping[str, Any]

_VERSION = "2012-10-17"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one policy may hold; None where AWS names no limit."""

    of: str
    max_bytes: int
    max_statements: int | None = None


QUEUE_LIMITS = Limits(of="queue", max_bytes=8_192, max_statements=20)
"""What a queue's policy may hold
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html).
"""
TOPIC_LIMITS = Limits(of="topic", max_bytes=30_720, max_statements=100)
"""What a topic's policy may hold (https://docs.aws.amazon.com/general/latest/gr/sns.html)."""
KEY_LIMITS = Limits(of="key", max_bytes=32_768)
"""What a key's policy may hold
(https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html).
"""
FUNCTION_LIMITS = Limits(of="function", max_bytes=20_480)
"""What a function's policy may hold
(https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
"""


def parse_policy(text: str | None) -> dict[str, Any]:
    """Return the document that ``text`` holds; an empty one where AWS gave none (no text, or an empty one).

    Raises:
        ConfigurationError: The text is no policy. AWS stores only what it could read, so it is ours to stop.
    """
    if not text:
        return {"Version": _VERSION, "Statement": []}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ConfigurationError("policy: not JSON; set a policy that AWS can read, or remove it") from error
    if not isinstance(found, dict):
        raise ConfigurationError("policy: no JSON object; set a policy that AWS can read, or remove it")
    return found


def policy_text(policy: Policy) -> str:
    """Return the document as AWS takes it, without a blank too many: the limits count bytes."""
    return json.dumps(policy, separators=(",", ":"), ensure_ascii=False)


def statements_of(policy: Policy) -> list[Statement]:
    """Return the statements; a document may hold one without a list around it."""
    found = policy.get("Statement", [])
    return list(found) if isinstance(found, list) else [found]


def merged(policy: Policy, statements: Iterable[Statement]) -> dict[str, Any]:
    """Return ``policy`` with ``statements`` in it, everything else as it was.

    A statement with the ``Sid`` of one of ours takes its place; one that is there already, under whatever
    ``Sid``, is not added again. So merging twice is merging once.
    """
    kept = statements_of(policy)
    for statement in statements:
        if any(_same(statement, other) for other in kept):
            continue
        places = [place for place, other in enumerate(kept) if other.get("Sid") == statement["Sid"]]
        if places:
            kept[places[0]] = statement
        else:
            kept.append(statement)
    return _with_statements(policy, kept)


def without(policy: Policy, sids: Iterable[str]) -> dict[str, Any]:
    """Return ``policy`` without the statements of these ``Sid``s, everything else as it was."""
    gone = set(sids)
    kept = [statement for statement in statements_of(policy) if statement.get("Sid") not in gone]
    return _with_statements(policy, kept)


def check_limits(policy: Policy, limits: Limits, *, setting: str) -> None:
    """Refuse a document that AWS would refuse.

    Args:
        policy: The document as it would be stored.
        limits: Of the kind of resource it is for.
        setting: What the error names.

    Raises:
        ConfigurationError: It is too long or has too many statements.
    """
    count, size = len(statements_of(policy)), len(policy_text(policy).encode())
    most = limits.max_statements
    if most is not None and count > most:
        raise ConfigurationError(
            f"{setting}: its policy would have {count} statements, and a {limits.of}'s has {most} at most;"
            " remove some, or use a destination of its own"
        )
    if size > limits.max_bytes:
        raise ConfigurationError(
            f"{setting}: its policy would have {size:,} bytes, and a {limits.of}'s has"
            f" {limits.max_bytes:,} at most; shorten it, or use a destination of its own"
        )


def _with_statements(policy: Policy, statements: list[Statement]) -> dict[str, Any]:
    if statements == statements_of(policy):
        return dict(policy)
    return {"Version": _VERSION, **policy, "Statement": statements}


def _same(one: Statement, other: Statement) -> bool:
    return bool(_canonical(one) == _canonical(other))


def _canonical(statement: Statement) -> Any:
    """The statement's meaning: without its name, and no difference between one value and a list of one."""
    return _unwrapped({member: value for member, value in statement.items() if member != "Sid"})


def _unwrapped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {member: _unwrapped(inner) for member, inner in value.items()}
    if isinstance(value, (list, tuple)):
        values = sorted((_unwrapped(inner) for inner in value), key=str)
        return values[0] if len(values) == 1 else values
    return value
