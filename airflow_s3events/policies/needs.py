"""Which actions a role needs on what, for each purpose: each is there because a call needs it.

A test for each purpose records the calls that are really made, and finds neither one that is not here nor an
action that no call needs. Two are asked for on our behalf, so that no call of ours shows them: SQS uses a
queue's KMS key with the rights of whoever sends or receives.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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
_READ_LETTERS = (*_LOOK_UP, "sqs:ChangeMessageVisibility", "sqs:ReceiveMessage")
_CONSUME = (*_LOOK_UP, "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage")
_LIST = ("s3:ListBucket", "s3:ListBucketVersions")
_KEEP_LEDGER = ("dynamodb:BatchGetItem", "dynamodb:PutItem")
_WRITE_LOG = ("logs:CreateLogStream", "logs:PutLogEvents")

#: Purpose to kind of resource to the actions on it.
NEEDS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "dispatch": {
            "queue": _CONSUME,
            "dead_letter_queue": (*_LOOK_UP, "sqs:SendMessage"),
            "queue_key": ("kms:Decrypt",),
            "dead_letter_key": _USE_KEY,
            "asked_objects": ("s3:GetObject", "s3:GetObjectVersion"),
            # Without it S3 answers 403 instead of 404 for what is gone.
            "asked_bucket": ("s3:ListBucket",),
            "tagged_objects": ("s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
            "audit_objects": ("s3:PutObject",),
            "audit_group": _WRITE_LOG,
            # One that is gone closes no group, whether S3 says so or, without s3:ListBucket, answers 403.
            "manifest_objects": ("s3:GetObject",),
            "ledger_table": _KEEP_LEDGER,
        },
        "trigger": {
            "queue": (*_LOOK_UP, "sqs:ReceiveMessage"),
            "queue_key": ("kms:Decrypt",),
        },
        "watch": {
            # What a watcher elsewhere is still to be given is sent to the queue itself.
            "queue": (*_CONSUME, "sqs:SendMessage"),
            "dead_letter_queue": _SEND,
            "queue_key": _USE_KEY,
            "dead_letter_key": _USE_KEY,
            "audit_objects": ("s3:PutObject",),
            "audit_group": _WRITE_LOG,
        },
        "sensor": {
            "bucket": ("s3:ListBucket",),
            "objects": ("s3:GetObject",),
            "queue": _CONSUME,
            "queue_key": ("kms:Decrypt",),
        },
        "expect": {
            "bucket": ("s3:ListBucket",),
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
            "dead_letter_queue": _READ_LETTERS,
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
        "reconcile": {
            "bucket": ("s3:GetBucketVersioning",),
            "listed_bucket": _LIST,
            "inventory_objects": ("s3:GetObject",),
            "ledger_table": _KEEP_LEDGER,
            "airflow_role": ("airflow:InvokeRestApi",),
        },
        "status": {
            "queue": _LOOK_UP,
            "dead_letter_queue": _READ_LETTERS,
            "dead_letter_key": ("kms:Decrypt",),
            "metrics": ("cloudwatch:GetMetricStatistics",),
            "airflow_role": ("airflow:InvokeRestApi",),
        },
        "explain": {
            "bucket": (*_READ_RULES, *_LIST, "s3:GetBucketVersioning"),
            "ledger_table": ("dynamodb:BatchGetItem",),
            # Query asks for the right on the index, and for none on its table.
            "ledger_index": ("dynamodb:Query",),
            "airflow_role": ("airflow:InvokeRestApi",),
            # The rest is asked for where no event of the object was seen.
            "queue": _LOOK_UP,
            "dead_letter_queue": _LOOK_UP,
            "queue_key": _READ_KEY,
            "topic": ("sns:GetTopicAttributes",),
            "function": ("lambda:GetPolicy",),
        },
        "tail": {
            "queue": (*_LOOK_UP, "sqs:ReceiveMessage"),
            "queue_key": ("kms:Decrypt",),
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
REQUIRED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "dispatch": ("queue",),
        "trigger": ("queue",),
        "watch": ("queue",),
        "sensor": ("bucket",),
        "expect": ("bucket",),
        "redrive": ("dead_letter_queue",),
        "retry": ("dead_letter_queue", "airflow_role"),
        "notify": ("queue", "dead_letter_queue"),
        "alert": ("dead_letter_queue",),
        "tag": ("bucket",),
        "quarantine": ("quarantine_bucket",),
        "reconcile": ("bucket",),
        "status": ("queue",),
        "explain": ("bucket",),
        "tail": ("queue", "airflow_role"),
        "configure": ("bucket",),
        "check": ("bucket",),
        "prove": ("bucket",),
        "remove": ("bucket",),
    }
)
#: What is given for some purposes only, each with a kind of resource that those alone have.
OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "enrich": "tagged_objects",
        "manifests": "manifest_objects",
        "audit": "audit_objects",
        "ledger": "ledger_table",
        "inventory": "inventory_objects",
    }
)
