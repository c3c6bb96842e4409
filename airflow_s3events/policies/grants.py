"""Statements that let a service of AWS send, and nobody else: one source, one target, one account.

A bucket's name is anybody's again once the bucket is deleted, so a statement for a bucket names the owner's
account beside it
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html). The ARNs of
topics and rules hold their account; it is named all the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from airflow_s3events.arns import Arn, bucket_arn
from airflow_s3events.policies.documents import Statement
from airflow_s3events.policies.evaluation import Request

#: How the ``Sid`` of every statement of ours begins.
SID_PREFIX = "S3Events"

_SEND = {"sqs": "sqs:SendMessage", "sns": "sns:Publish", "lambda": "lambda:InvokeFunction"}
_SOURCES = {"s3": "s3.amazonaws.com", "sns": "sns.amazonaws.com", "events": "events.amazonaws.com"}
#: What a service that sends to an encrypted queue or topic does with its key
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html).
_USE_KEY = ("kms:Decrypt", "kms:GenerateDataKey")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One sender that must get through to one target.

    ``source`` is a bucket, a topic or a rule; ``account`` is who owns it.
    """

    source: Arn
    account: str

    @classmethod
    def of_bucket(cls, bucket: str, account: str, *, partition: str = "aws") -> Grant:
        """Return the grant for a bucket and the account that owns it."""
        source = Arn.parse(bucket_arn(bucket, partition=partition), setting="bucket")
        return cls(source=source, account=account)

    @classmethod
    def of(cls, source: Arn) -> Grant:
        """Return the grant for a topic or a rule: its ARN names its account."""
        return cls(source=source, account=source.account)

    @property
    def service(self) -> str:
        """The service that sends; these names are the same in every partition."""
        return _SOURCES[self.source.service]

    def request(self, target: Arn) -> Request:
        """Return what the service asks of the target when it sends there, over TLS as AWS's services do."""
        return self._request(_SEND[target.service], str(target))

    def key_requests(self, key: str) -> list[Request]:
        """Return what the service asks of the target's key (its ARN) on the way."""
        return [self._request(action, key) for action in _USE_KEY]

    def sid(self, target: str) -> str:
        """Return the name of the statement: the same for the same source, account and target, on any day."""
        text = f"{self.service} {self.source} {self.account} {target}"
        return f"{SID_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def condition(self) -> dict[str, Any]:
        """Return the condition that only this source meets."""
        return {
            "ArnEquals": {"aws:SourceArn": str(self.source)},
            "StringEquals": {"aws:SourceAccount": self.account},
        }

    def _request(self, action: str, resource: str) -> Request:
        context = {
            "aws:SourceArn": str(self.source),
            "aws:SourceAccount": self.account,
            "aws:SecureTransport": "true",
            "aws:PrincipalIsAWSService": "true",
            "aws:PrincipalServiceName": self.service,
        }
        return Request(action=action, resource=resource, principal=self.service, context=context)


def grant(sender: Grant, target: Arn) -> Statement:
    """Return the statement of a queue's or topic's policy that lets ``sender`` send to it."""
    return {
        "Sid": sender.sid(str(target)),
        "Effect": "Allow",
        "Principal": {"Service": sender.service},
        "Action": _SEND[target.service],
        "Resource": str(target),
        "Condition": sender.condition(),
    }


def function_grant(sender: Grant, function: Arn) -> dict[str, str]:
    """Return the arguments of Lambda's ``AddPermission``: it takes no document and adds to what is there."""
    return {
        "FunctionName": str(function),
        "StatementId": sender.sid(str(function)),
        "Action": _SEND["lambda"],
        "Principal": sender.service,
        "SourceArn": str(sender.source),
        "SourceAccount": sender.account,
    }


def key_grant(sender: Grant) -> Statement:
    """Return the statement of a key's policy that lets ``sender`` send to what the key encrypts.

    A key's policy means its own key by ``*``. Only a customer's key can take it: the policy of
    ``alias/aws/sqs`` cannot be changed.
    """
    return {
        "Sid": sender.sid("key"),
        "Effect": "Allow",
        "Principal": {"Service": sender.service},
        "Action": list(_USE_KEY),
        "Resource": "*",
        "Condition": sender.condition(),
    }


def tls_only(target: Arn) -> Statement:
    """Return the statement that refuses whoever comes without TLS; AWS's services come with it."""
    return {
        "Sid": f"{SID_PREFIX}TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": f"{target.service}:*",
        "Resource": str(target),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
