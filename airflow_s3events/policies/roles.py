"""What the roles that run this package may do, and nothing beside it: one policy for each purpose.

Each action is there because a call needs it; a test records the calls that are really made and finds neither
one that the policy refuses nor an action that no call needs. Two are asked for on our behalf, so that no
call of ours shows them: SQS uses a queue's KMS key with the rights of whoever sends or receives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from airflow_s3events.arns import Arn, bucket_arn, check_bucket
from airflow_s3events.audit_address import AuditAddress
from airflow_s3events.exceptions import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a role works with; what is None, its policy does not mention."""

    queue: Arn | None = None
    dead_letter_queue: Arn | None = None
    #: Customer's KMS keys of the two queues; none where they use SSE-SQS.
    queue_key: Arn | None = None
    dead_letter_key: Arn | None = None
    #: Names, not ARNs.
    bucket: str | None = None
    #: What begins with this is what ``prove=True`` may write, and sensor and dispatcher may read.
    prefix: str = ""
    #: Name of the bucket that takes what is quarantined, and what the keys there begin with.
    quarantine_bucket: str | None = None
    quarantine_prefix: str = "quarantine/"
    topic: Arn | None = None
    function: Arn | None = None
    rule: Arn | None = None
    archive: Arn | None = None
    #: What a dispatcher's routes ask S3 about objects: ``"tags"``, ``"head"``.
    enrich: tuple[str, ...] = ()
    #: ``role/ENVIRONMENT/ROLE`` of an MWAA environment: as whom its REST API is asked.
    airflow_role: Arn | None = None
    #: Where a dispatcher's audit goes: ``s3://bucket/prefix`` or ``logs:<log group>``.
    audit: str | None = None
    #: Whether a check asks CloudTrail about the data events of the bucket.
    data_events: bool = False
    #: Partition of the bucket.
    partition: str = "aws"

    def arn(self, kind: str) -> str | None:
        """Return the ARN of one kind of resource, as ``_NEEDS`` names them; None where there is none."""
        if kind in _BUCKETS:
            return self._bucket_arn(kind)
        if kind in _OBSERVING:
            return self._observing_arn(kind)
        if kind in _ASKED:
            return self.arn(_ASKED[kind][1]) if _ASKED[kind][0] in self.enrich else None
        if kind == "bus":
            return str(replace(self.archive, resource="event-bus/default")) if self.archive else None
        found: Arn | None = getattr(self, kind)
        return None if found is None else str(found)

    def _bucket_arn(self, kind: str) -> str | None:
        """Return the ARN of a bucket, or of those of its objects that are meant."""
        is_quarantine = kind.startswith("quarantine")
        name = self.quarantine_bucket if is_quarantine else self.bucket
        if not name:
            return None
        arn = bucket_arn(check_bucket(name), partition=self.partition)
        prefix = self.quarantine_prefix if is_quarantine else self.prefix
        return f"{arn}/{prefix}*" if kind.endswith("objects") else arn

    def _observing_arn(self, kind: str) -> str | None:
        if kind == "metrics":
            # CloudWatch knows no narrower resource for it.
            return "*" if self.queue else None
        if kind == "trails":
            # Trails of other accounts and regions reach in, so that none can be named.
            return "*" if self.data_events else None
        address = None if self.audit is None else AuditAddress.of(self.audit)
        if address is None or (kind == "audit_objects") != (address.kind == "s3"):
            return None
        if address.kind == "s3":
            return f"{bucket_arn(address.name, partition=self.partition)}/{address.prefix}*"
        # In the queue's region and account, as the dispatcher looks for it there.
        found = self.queue
        group = f"log-group:{address.name}:*"
        return None if found is None else str(replace(found, service="logs", resource=group))


_BUCKETS = ("bucket", "objects", "quarantine", "quarantine_objects")
_OBSERVING = ("audit_objects", "audit_group", "metrics", "trails")
#: Kind of resource to what must be asked for it to be needed, and the kind that it is.
_ASKED = {
    "asked_objects": ("head", "objects"),
    "asked_bucket": ("head", "bucket"),
    "tagged_objects": ("tags", "objects"),
}
_LOOK_UP = ("sqs:GetQueueAttributes", "sqs:GetQueueUrl")
_SEND = ("sqs:GetQueueUrl", "sqs:SendMessage")
_USE_KEY = ("kms:Decrypt", "kms:GenerateDataKey")
_READ_RULES = ("s3:GetBucketLocation", "s3:GetBucketNotification")
_MAKE_QUEUE = (*_LOOK_UP, "sqs:CreateQueue", "sqs:SetQueueAttributes")
_MEND_KEY = ("kms:DescribeKey", "kms:GetKeyPolicy", "kms:PutKeyPolicy")
_READ_TOPIC = (
    "sns:GetSubscriptionAttributes",
    "sns:GetTopicAttributes",
    "sns:ListSubscriptionsByTopic",
)
_READ_RULE = ("events:DescribeRule", "events:ListTargetsByRule")
_READ_KEY = ("kms:DescribeKey", "kms:GetKeyPolicy")

#: Purpose to kind of resource to the actions on it.
_NEEDS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "dispatch": {
            "queue": (*_LOOK_UP, "sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage"),
            "dead_letter_queue": (*_LOOK_UP, "sqs:SendMessage"),
            "queue_key": ("kms:Decrypt",),
            "dead_letter_key": _USE_KEY,
            "asked_objects": ("s3:GetObject", "s3:GetObjectVersion"),
            # Without it S3 answers 403 instead of 404 for what is gone.
            "asked_bucket": ("s3:ListBucket",),
            "tagged_objects": ("s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
            "audit_objects": ("s3:PutObject",),
            "audit_group": ("logs:CreateLogStream", "logs:PutLogEvents"),
        },
        "trigger": {
            "queue": (*_LOOK_UP, "sqs:ReceiveMessage"),
            "queue_key": ("kms:Decrypt",),
        },
        "sensor": {
            "bucket": ("s3:ListBucket",),
            "objects": ("s3:GetObject",),
            "queue": (*_LOOK_UP, "sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage"),
            "queue_key": ("kms:Decrypt",),
        },
        "redrive": {
            "dead_letter_queue": (
                *_LOOK_UP,
                "sqs:CancelMessageMoveTask",
                "sqs:ChangeMessageVisibility",
                "sqs:DeleteMessage",
                "sqs:ListDeadLetterSourceQueues",
                "sqs:ListMessageMoveTasks",
                "sqs:ReceiveMessage",
                "sqs:StartMessageMoveTask",
            ),
            "queue": (*_LOOK_UP, "sqs:SendMessage"),
            "dead_letter_key": ("kms:Decrypt",),
            "queue_key": _USE_KEY,
        },
        "retry": {
            "dead_letter_queue": _SEND,
            "dead_letter_key": _USE_KEY,
            "airflow_role": ("airflow:InvokeRestApi",),
        },
        "notify": {
            "queue": _SEND,
            "dead_letter_queue": _SEND,
            "queue_key": _USE_KEY,
            "dead_letter_key": _USE_KEY,
        },
        "alert": {
            "dead_letter_queue": (*_LOOK_UP, "sqs:ChangeMessageVisibility", "sqs:ReceiveMessage"),
            "dead_letter_key": ("kms:Decrypt",),
        },
        "tag": {
            "objects": (
                *("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
                *("s3:PutObjectTagging", "s3:PutObjectVersionTagging"),
            ),
            "bucket": ("s3:ListBucket",),
        },
        "quarantine": {
            "objects": (
                *("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
                *("s3:DeleteObject", "s3:DeleteObjectVersion"),
            ),
            "bucket": ("s3:ListBucket",),
            # What comes in parts is aborted when its copy fails.
            "quarantine_objects": (
                *("s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject", "s3:PutObjectTagging"),
            ),
            "quarantine": ("s3:ListBucket",),
        },
        "status": {
            "queue": _LOOK_UP,
            "dead_letter_queue": (*_LOOK_UP, "sqs:ChangeMessageVisibility", "sqs:ReceiveMessage"),
            "dead_letter_key": ("kms:Decrypt",),
            "metrics": ("cloudwatch:GetMetricStatistics",),
            "airflow_role": ("airflow:InvokeRestApi",),
        },
        "configure": {
            "bucket": (*_READ_RULES, "s3:PutBucketNotification"),
            "queue": _MAKE_QUEUE,
            "dead_letter_queue": _MAKE_QUEUE,
            "queue_key": _MEND_KEY,
            "dead_letter_key": _READ_KEY,
            "topic": (
                *_READ_TOPIC,
                "sns:CreateTopic",
                "sns:SetSubscriptionAttributes",
                "sns:SetTopicAttributes",
                "sns:Subscribe",
            ),
            "function": ("lambda:AddPermission", "lambda:GetPolicy"),
            "rule": (
                "events:DescribeRule",
                "events:ListTargetsByRule",
                "events:PutRule",
                "events:PutTargets",
            ),
            "archive": ("events:CreateArchive", "events:DescribeArchive"),
            # Making an archive is a right on the bus too.
            "bus": ("events:CreateArchive",),
        },
        "check": {
            "bucket": _READ_RULES,
            "queue": _LOOK_UP,
            "dead_letter_queue": _LOOK_UP,
            "queue_key": _READ_KEY,
            "dead_letter_key": _READ_KEY,
            "topic": _READ_TOPIC,
            "function": ("lambda:GetPolicy",),
            "rule": _READ_RULE,
            "archive": ("events:DescribeArchive",),
            "trails": (
                "cloudtrail:DescribeTrails",
                "cloudtrail:GetEventSelectors",
                "cloudtrail:GetTrailStatus",
            ),
        },
        "prove": {
            "objects": ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject"),
            "queue": ("sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage"),
            "queue_key": ("kms:Decrypt",),
        },
        "remove": {
            "bucket": (*_READ_RULES, "s3:PutBucketNotification"),
            "queue": (*_LOOK_UP, "sqs:DeleteQueue", "sqs:SetQueueAttributes"),
            "dead_letter_queue": (
                *_LOOK_UP,
                "sqs:DeleteQueue",
                "sqs:ListDeadLetterSourceQueues",
                "sqs:SetQueueAttributes",
            ),
            "topic": (*_READ_TOPIC, "sns:SetTopicAttributes", "sns:Unsubscribe"),
            "function": ("lambda:GetPolicy", "lambda:RemovePermission"),
            "rule": (*_READ_RULE, "events:DeleteRule", "events:RemoveTargets"),
        },
    }
)
#: What a purpose cannot do without, one of them where there are several; also options of ``s3events iam``.
_REQUIRED = {
    "dispatch": ("queue",),
    "trigger": ("queue",),
    "sensor": ("bucket",),
    "redrive": ("dead_letter_queue",),
    "retry": ("dead_letter_queue", "airflow_role"),
    "notify": ("queue", "dead_letter_queue"),
    "alert": ("dead_letter_queue",),
    "tag": ("bucket",),
    "quarantine": ("quarantine_bucket",),
    "status": ("queue",),
    "configure": ("bucket",),
    "check": ("bucket",),
    "prove": ("bucket",),
    "remove": ("bucket",),
}

PURPOSES = tuple(_NEEDS)
"""What a policy can be for, in the order of ``s3events iam --help``."""


def role_policy(purpose: str, resources: Resources) -> dict[str, Any]:
    """Return the policy of a role that does ``purpose`` with ``resources``.

    Args:
        purpose: One of ``PURPOSES``. ``dispatch`` covers ``trigger``: where tasks and triggers share a role
            (they do on MWAA) it is enough. ``redrive``, ``retry``, ``notify`` and ``alert`` are
            ``S3EventRedriveOperator``, ``S3EventRetryFailedRunsOperator``, ``S3EventFailureNotifier`` and
            ``S3DeadLetterSensor``, ``status`` is ``s3events status``; ``tag`` and ``quarantine`` are
            ``S3MergeObjectTagsOperator`` and ``S3QuarantineObjectOperator``. ``prove`` is what ``check``
            needs on top for ``prove=True``.
        resources: What it works with.

    Raises:
        ConfigurationError: The purpose is unknown, or something that it cannot do without is not given.
    """
    if purpose not in _NEEDS:
        raise ConfigurationError(f"purpose: {purpose!r} is unknown; known are {', '.join(PURPOSES)}")
    required = _REQUIRED[purpose]
    if all(getattr(resources, name) is None for name in required):
        raise ConfigurationError(f"{' or '.join(required)}: a policy for {purpose} needs it")
    found = ((kind, resources.arn(kind), actions) for kind, actions in _NEEDS[purpose].items())
    if resources.enrich and (purpose != "dispatch" or resources.bucket is None):
        raise ConfigurationError("enrich: it is for dispatch, and a policy for it needs bucket")
    if resources.audit is not None and purpose != "dispatch":
        raise ConfigurationError("audit: it is for dispatch")
    statements = [_allow(kind, arn, actions) for kind, arn, actions in found if arn is not None]
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(kind: str, arn: str, actions: tuple[str, ...]) -> dict[str, Any]:
    sid = "".join(word.capitalize() for word in kind.split("_"))
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": arn}
