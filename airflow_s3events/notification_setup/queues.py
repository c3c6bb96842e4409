"""A queue and its dead letter queue: created where there is none, mended where it would lose events."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from airflow_s3events.arns import Arn
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.notification_setup.calls import Attributes, Aws, Queues
from airflow_s3events.notification_setup.changes import Change, Place, missing_grants, policy_with
from airflow_s3events.notification_setup.destinations import QueueDestination
from airflow_s3events.notification_setup.keys import plan_key
from airflow_s3events.policies import (
    QUEUE_LIMITS,
    Grant,
    Statement,
    grant,
    parse_policy,
    tls_only,
)
from airflow_s3events.sqs import queue_arn

#: What a new queue gets, and what a setting that would lose events is set to.
MAX_RECEIVE_COUNT = 20
VISIBILITY_SECONDS = 300
RETENTION_SECONDS = 7 * 86_400
DEAD_LETTER_RETENTION_SECONDS = 14 * 86_400
#: Bytes. S3's events have up to 64 KB, and SQS refuses what is larger than the queue allows, without a word
#: (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html).
LEAST_MESSAGE_BYTES = 65_536
MESSAGE_BYTES = 262_144
#: A message costs two receives when all goes well.
LEAST_RECEIVES = 3
#: SQS's own defaults, where an answer leaves an attribute out.
_DEFAULT_RETENTION, _DEFAULT_MESSAGE_BYTES = "345600", "1048576"

#: Attributes that are shown by what they say and not by their text.
_SHOWN = {"Policy": "policy: {added}", "RedrivePolicy": "redrive policy: {value}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundQueue:
    """A queue that is wanted and what is there of it."""

    arn: Arn
    attributes: Mapping[str, str] | None

    @property
    def redrive(self) -> Mapping[str, object]:
        """Its redrive policy; empty without one."""
        found: dict[str, object] = json.loads((self.attributes or {}).get("RedrivePolicy") or "{}")
        return found

    @property
    def key(self) -> str | None:
        """Its KMS key; None with SSE-SQS, or with no encryption."""
        return (self.attributes or {}).get("KmsMasterKeyId") or None

    def number(self, name: str, default: str) -> int:
        """Return one attribute as a number."""
        return int((self.attributes or {}).get(name, default))


def resolve_queue(aws: Aws, place: Place, wanted: QueueDestination) -> Arn:
    """Return the ARN of a wanted queue.

    Raises:
        ConfigurationError: It is of another account, and nothing says how to get in there.
    """
    account = aws.account(wanted.aws_conn_id)
    arn = queue_arn(wanted.queue, wanted.region_name or place.region, account, setting="queue")
    if wanted.manage and arn.account != account:
        raise ConfigurationError(
            f"aws_conn_id of QueueDestination: {arn} is of account {arn.account}, and this connection is of"
            f" {account}; SQS lets no other account change a queue: name a connection with a role there, or"
            " say manage=False"
        )
    return arn


def read_queue(aws: Aws, place: Place, wanted: QueueDestination) -> tuple[FoundQueue, FoundQueue | None]:
    """Return the queue and its dead letter queue as they are; None where no dead letter queue is meant."""
    arn = resolve_queue(aws, place, wanted)
    queues = aws.queues(wanted.aws_conn_id, arn.region)
    queue = FoundQueue(arn=arn, attributes=queues.attributes(arn))
    dead = _dead_letter_arn(queue, wanted)
    return queue, None if dead is None else FoundQueue(arn=dead, attributes=queues.attributes(dead))


def plan_queue(
    aws: Aws,
    place: Place,
    wanted: QueueDestination,
    senders: Sequence[Grant],
    dead_letter_senders: Sequence[Grant] = (),
) -> list[Change]:
    """Return what has to be done so that ``senders`` reach the queue and nothing in it is lost.

    Args:
        aws: The calls.
        place: The bucket's.
        wanted: The queue.
        senders: Who sends to the queue.
        dead_letter_senders: Who sends to its dead letter queue by itself (an EventBridge rule does).

    Raises:
        ConfigurationError: It cannot be done; nothing was changed.
    """
    if not wanted.manage:
        return []
    queue, dead = read_queue(aws, place, wanted)
    assert dead is not None  # noqa: S101 - a managed queue always has one
    key = wanted.kms_key or queue.key
    changes = plan_key(aws, wanted.aws_conn_id, queue.arn.region, key, senders) if key else []
    if dead.key and dead.key != key and dead_letter_senders:
        changes += plan_key(aws, wanted.aws_conn_id, queue.arn.region, dead.key, dead_letter_senders)
    queues = aws.queues(wanted.aws_conn_id, queue.arn.region)
    letters = replace(wanted, retention_seconds=wanted.dead_letter_retention_seconds)
    changes += _plan(
        queues, dead, _dead_letter_attributes(dead, queue, letters), letters, dead_letter_senders
    )
    return changes + _plan(queues, queue, _queue_attributes(queue, dead, wanted), wanted, senders)


def _dead_letter_arn(queue: FoundQueue, wanted: QueueDestination) -> Arn | None:
    """The one that is asked for, the one that is there, or the one that would be made."""
    if wanted.dead_letter_queue:
        return queue_arn(
            wanted.dead_letter_queue, queue.arn.region, queue.arn.account, setting="dead_letter_queue"
        )
    there = queue.redrive.get("deadLetterTargetArn")
    if there:
        return Arn.parse(str(there), setting="queue")
    return replace(queue.arn, resource=f"{queue.arn.resource}-dlq") if wanted.manage else None


def _plan(
    queues: Queues,
    found: FoundQueue,
    attributes: dict[str, str],
    wanted: QueueDestination,
    senders: Sequence[Grant],
) -> list[Change]:
    """One call for all that has to change: created or set, the policy with it."""
    setting = f"queue {found.arn.name!r}"
    policy = parse_policy((found.attributes or {}).get("Policy"))
    missing = missing_grants(policy, [(s, s.request(found.arn)) for s in senders], setting=setting)
    statements = [grant(sender, found.arn) for sender in missing]
    statements += [tls_only(found.arn)] if wanted.tls_only else []
    shown = attributes | _with_statements(found, statements)
    is_new = found.attributes is None
    if not (is_new or shown):
        return []
    lines = (f"{'+' if is_new else '~'} queue {found.arn}", *_lines(shown, missing))
    write = _create if is_new else _set
    return [Change(lines=lines, make=lambda: write(queues, found.arn, attributes, statements))]


def _create(queues: Queues, arn: Arn, attributes: Attributes, statements: Sequence[Statement]) -> None:
    """Create the queue; one that another task has made since the plan keeps its settings."""
    found = FoundQueue(arn=arn, attributes=queues.attributes(arn))
    if found.attributes is None:
        queues.create(arn, {**attributes, **_with_statements(found, statements)})
    else:
        _set(queues, arn, {}, statements)


def _set(queues: Queues, arn: Arn, attributes: Attributes, statements: Sequence[Statement]) -> None:
    """Set attributes, and ``statements`` in the policy as it is now: others may have set it meanwhile."""
    now = FoundQueue(arn=arn, attributes=queues.attributes(arn))
    given = {**attributes, **_with_statements(now, statements)}
    if given:
        queues.set_attributes(arn, given)


def _with_statements(found: FoundQueue, statements: Sequence[Statement]) -> dict[str, str]:
    """Return the attribute of a policy with ``statements``; nothing where they are in it."""
    there, setting = (found.attributes or {}).get("Policy"), f"queue {found.arn.name!r}"
    text = policy_with(there, statements, QUEUE_LIMITS, setting=setting)
    return {} if text is None else {"Policy": text}


def _lines(attributes: Mapping[str, str], senders: Sequence[Grant]) -> list[str]:
    added = ", ".join(f"{sender.service} for {sender.source}" for sender in senders) or "TLS only"
    return [
        "    " + _SHOWN.get(name, f"{name}: {{value}}").format(value=value, added=added)
        for name, value in attributes.items()
    ]


def _queue_attributes(queue: FoundQueue, dead: FoundQueue, wanted: QueueDestination) -> dict[str, str]:
    attributes = _explicit(queue, wanted)
    if queue.attributes is None:
        attributes = {
            "VisibilityTimeout": str(VISIBILITY_SECONDS),
            "MessageRetentionPeriod": str(RETENTION_SECONDS),
            **attributes,
        }
    if redrive := _redrive(queue, dead, wanted):
        attributes["RedrivePolicy"] = redrive
    return attributes


def _dead_letter_attributes(dead: FoundQueue, queue: FoundQueue, wanted: QueueDestination) -> dict[str, str]:
    """Nothing that is there is touched but a retention that would lose dead letters."""
    if dead.attributes is None:
        default = {"MessageRetentionPeriod": str(DEAD_LETTER_RETENTION_SECONDS)}
        return default | _explicit(dead, replace(wanted, visibility_seconds=None))
    asked = wanted.retention_seconds
    there = dead.number("MessageRetentionPeriod", _DEFAULT_RETENTION)
    least = queue.number("MessageRetentionPeriod", str(RETENTION_SECONDS))
    if asked is None and there <= least < DEAD_LETTER_RETENTION_SECONDS:
        asked = DEAD_LETTER_RETENTION_SECONDS
    return {} if asked in (None, there) else {"MessageRetentionPeriod": str(asked)}


def _explicit(found: FoundQueue, wanted: QueueDestination) -> dict[str, str]:
    """What is asked for and differs, and what would lose events."""
    asked = {
        "VisibilityTimeout": wanted.visibility_seconds,
        "MessageRetentionPeriod": wanted.retention_seconds,
        "KmsMasterKeyId": wanted.kms_key,
    }
    there = found.attributes or {}
    attributes = {n: str(v) for n, v in asked.items() if v is not None and there.get(n) != str(v)}
    if found.attributes is None and wanted.kms_key is None:
        attributes["SqsManagedSseEnabled"] = "true"
    if found.number("MaximumMessageSize", _DEFAULT_MESSAGE_BYTES) < LEAST_MESSAGE_BYTES:
        attributes["MaximumMessageSize"] = str(MESSAGE_BYTES)
    return attributes


def _redrive(queue: FoundQueue, dead: FoundQueue, wanted: QueueDestination) -> str | None:
    """The redrive policy to set; None where the one that is there will do."""
    there = int(str(queue.redrive.get("maxReceiveCount", 0)))
    count = wanted.max_receive_count or (there if there >= LEAST_RECEIVES else MAX_RECEIVE_COUNT)
    if (there, queue.redrive.get("deadLetterTargetArn")) == (count, str(dead.arn)):
        return None
    return json.dumps({"deadLetterTargetArn": str(dead.arn), "maxReceiveCount": count})
