"""Who gets through: one line a case, each reviewed by hand against AWS's documented evaluation logic.

Read by our own evaluation (``tests/core/test_policy_cases.py``) and, where it is installed, by one that we
have not written (``tests/contract/test_policy_judge.py``).
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from airflow_s3events.arns import Arn
from airflow_s3events.policies import (
    Grant,
    Request,
    Statement,
    grant,
    key_grant,
    merged,
    parse_policy,
    tls_only,
)

OWNER, OTHER = "111122223333", "444455556666"
BUCKET = "landing"
QUEUE = Arn.parse(f"arn:aws:sqs:eu-west-1:{OTHER}:events", setting="queue")
TOPIC = Arn.parse(f"arn:aws:sns:eu-west-1:{OTHER}:events", setting="topic")
RULE = Arn.parse(f"arn:aws:events:eu-west-1:{OTHER}:rule/landing", setting="rule")
AIRFLOW_ROLE = Arn.parse(f"arn:aws:airflow:eu-west-1:{OTHER}:role/landing/Op", setting="role")
KEY = f"arn:aws:kms:eu-west-1:{OTHER}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CN_QUEUE = Arn.parse(f"arn:aws-cn:sqs:cn-north-1:{OTHER}:events", setting="queue")
GOV_TOPIC = Arn.parse(f"arn:aws-us-gov:sns:us-gov-west-1:{OTHER}:events", setting="topic")
ROLE = f"arn:aws:iam::{OTHER}:role/airflow"
STRANGER = "arn:aws:iam::777788889999:role/stranger"

SENDER = Grant.of_bucket(BUCKET, OWNER)
CN_SENDER = Grant.of_bucket(BUCKET, OWNER, partition="aws-cn")
GOV_SENDER = Grant.of_bucket(BUCKET, OWNER, partition="aws-us-gov")
FROM_TOPIC, FROM_RULE = Grant.of(TOPIC), Grant.of(RULE)

ALLOWED, DENIED, NOT_ALLOWED = "allowed", "denied", "not allowed"


@dataclass(frozen=True)
class Case:
    """A document, a request and the answer that AWS's logic gives."""

    name: str
    policy: dict[str, Any]
    request: Request
    verdict: str = field(default=ALLOWED)


def policy_of(*statements: Statement) -> dict[str, Any]:
    return merged(parse_policy(None), statements)


def at(request: Request, **changes: str) -> Request:
    """The request with other members, or with other condition keys (``SourceArn`` for ``aws:SourceArn``)."""
    members = {name: value for name, value in changes.items() if name in ("action", "resource", "principal")}
    keys = {f"aws:{name}": value for name, value in changes.items() if name not in members}
    return replace(request, **members, context={**request.context, **keys})


def lacking(request: Request, *keys: str) -> Request:
    return replace(request, context={k: v for k, v in request.context.items() if k not in keys})


def allow(**members: Any) -> Statement:
    """A statement of somebody else's that allows S3 to send to ``QUEUE``."""
    base = {
        "Sid": "Theirs",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": str(QUEUE),
    }
    return {**base, **members}


def deny(**members: Any) -> Statement:
    return allow(**{"Sid": "TheirDeny", "Effect": "Deny", **members})


S3_TO_QUEUE = SENDER.request(QUEUE)
QUEUE_POLICY = policy_of(grant(SENDER, QUEUE), tls_only(QUEUE))
TOPIC_POLICY = policy_of(grant(SENDER, TOPIC), tls_only(TOPIC))
FAN_IN = policy_of(grant(FROM_TOPIC, QUEUE), grant(FROM_RULE, QUEUE), tls_only(QUEUE))
KEY_POLICY = policy_of(key_grant(SENDER), key_grant(FROM_TOPIC), key_grant(FROM_RULE))
CN_POLICY = policy_of(grant(CN_SENDER, CN_QUEUE), tls_only(CN_QUEUE))
GOV_POLICY = policy_of(grant(GOV_SENDER, GOV_TOPIC), tls_only(GOV_TOPIC))
OWN_ACCOUNT = allow(Sid="Owner", Principal={"AWS": f"arn:aws:iam::{OTHER}:root"}, Action="sqs:*")
DATA_KEY, DECRYPT = SENDER.key_requests(KEY)[::-1]

# Who is behind a request that came without TLS, or to another queue, does not matter to these.
OURS = (
    Case("the bucket sends to the queue", QUEUE_POLICY, S3_TO_QUEUE),
    Case("action in capitals", QUEUE_POLICY, at(S3_TO_QUEUE, action="SQS:SENDMESSAGE")),
    Case("another bucket", QUEUE_POLICY, at(S3_TO_QUEUE, SourceArn="arn:aws:s3:::other"), NOT_ALLOWED),
    Case("a longer name", QUEUE_POLICY, at(S3_TO_QUEUE, SourceArn="arn:aws:s3:::landing2"), NOT_ALLOWED),
    Case("a name in capitals", QUEUE_POLICY, at(S3_TO_QUEUE, SourceArn="arn:aws:s3:::Landing"), NOT_ALLOWED),
    Case("an object's ARN", QUEUE_POLICY, at(S3_TO_QUEUE, SourceArn="arn:aws:s3:::landing/x"), NOT_ALLOWED),
    Case("a bucket made again by another", QUEUE_POLICY, at(S3_TO_QUEUE, SourceAccount=OTHER), NOT_ALLOWED),
    Case("no source account", QUEUE_POLICY, lacking(S3_TO_QUEUE, "aws:SourceAccount"), NOT_ALLOWED),
    Case("no source", QUEUE_POLICY, lacking(S3_TO_QUEUE, "aws:SourceArn"), NOT_ALLOWED),
    Case("receiving", QUEUE_POLICY, at(S3_TO_QUEUE, action="sqs:ReceiveMessage"), NOT_ALLOWED),
    Case("deleting", QUEUE_POLICY, at(S3_TO_QUEUE, action="sqs:DeleteMessage"), NOT_ALLOWED),
    Case("another queue", QUEUE_POLICY, at(S3_TO_QUEUE, resource=f"{QUEUE}-2"), NOT_ALLOWED),
    Case("another service", QUEUE_POLICY, at(S3_TO_QUEUE, principal="sns.amazonaws.com"), NOT_ALLOWED),
    Case("a stranger's role", QUEUE_POLICY, at(S3_TO_QUEUE, principal=STRANGER), NOT_ALLOWED),
    Case("without TLS", QUEUE_POLICY, at(S3_TO_QUEUE, SecureTransport="false"), DENIED),
    Case(
        "receiving without TLS",
        QUEUE_POLICY,
        at(S3_TO_QUEUE, action="sqs:ReceiveMessage", SecureTransport="false"),
        DENIED,
    ),
    Case("the bucket publishes to the topic", TOPIC_POLICY, SENDER.request(TOPIC)),
    Case("subscribing", TOPIC_POLICY, at(SENDER.request(TOPIC), action="sns:Subscribe"), NOT_ALLOWED),
    Case(
        "to the topic without TLS", TOPIC_POLICY, at(SENDER.request(TOPIC), SecureTransport="false"), DENIED
    ),
    Case("the topic sends to the queue", FAN_IN, FROM_TOPIC.request(QUEUE)),
    Case("another topic", FAN_IN, at(FROM_TOPIC.request(QUEUE), SourceArn=f"{TOPIC}-2"), NOT_ALLOWED),
    Case("the rule sends to the queue", FAN_IN, FROM_RULE.request(QUEUE)),
    Case("another rule", FAN_IN, at(FROM_RULE.request(QUEUE), SourceArn=f"{RULE}-2"), NOT_ALLOWED),
    Case(
        "the same rule of another bus",
        FAN_IN,
        at(FROM_RULE.request(QUEUE), SourceArn=str(RULE).replace("rule/", "rule/bus/")),
        NOT_ALLOWED,
    ),
    Case("S3 by the statement for the topic", FAN_IN, S3_TO_QUEUE, NOT_ALLOWED),
    Case("S3 makes a data key", KEY_POLICY, DATA_KEY),
    Case("S3 decrypts", KEY_POLICY, DECRYPT),
    Case("S3 encrypts by itself", KEY_POLICY, at(DATA_KEY, action="kms:Encrypt"), NOT_ALLOWED),
    Case("the key for another bucket", KEY_POLICY, at(DATA_KEY, SourceArn="arn:aws:s3:::x"), NOT_ALLOWED),
    Case("SNS makes a data key", KEY_POLICY, FROM_TOPIC.key_requests(KEY)[1]),
    Case("EventBridge makes a data key", KEY_POLICY, FROM_RULE.key_requests(KEY)[1]),
    Case("China", CN_POLICY, CN_SENDER.request(CN_QUEUE)),
    Case("China, by the ARN of elsewhere", CN_POLICY, SENDER.request(CN_QUEUE), NOT_ALLOWED),
    Case("GovCloud", GOV_POLICY, GOV_SENDER.request(GOV_TOPIC)),
    Case("GovCloud, by the ARN of elsewhere", GOV_POLICY, SENDER.request(GOV_TOPIC), NOT_ALLOWED),
)


def condition(operator: str, key: str, *values: str) -> dict[str, Any]:
    return {"Condition": {operator: {key: list(values)}}}


#: Policies as others write them, which a check must read as AWS does.
THEIRS = (
    Case(
        "AWS's own example",
        policy_of(allow(**condition("ArnLike", "aws:SourceArn", "arn:aws:s3:*:*:landing"))),
        S3_TO_QUEUE,
    ),
    Case(
        "AWS's example for another bucket",
        policy_of(allow(**condition("ArnLike", "aws:SourceArn", "arn:aws:s3:*:*:x"))),
        S3_TO_QUEUE,
        NOT_ALLOWED,
    ),
    Case(
        "anybody from this bucket",
        policy_of(allow(Principal="*", **condition("ArnEquals", "aws:SourceArn", "arn:aws:s3:::landing"))),
        S3_TO_QUEUE,
    ),
    Case(
        "anybody, the older form",
        policy_of(
            allow(Principal={"AWS": "*"}, **condition("StringLike", "aws:SourceArn", "arn:aws:s3:::l?nding"))
        ),
        S3_TO_QUEUE,
    ),
    Case(
        "a list of buckets",
        policy_of(allow(**condition("ArnEquals", "aws:SourceArn", "arn:aws:s3:::a", "arn:aws:s3:::landing"))),
        S3_TO_QUEUE,
    ),
    Case(
        "a list of services",
        policy_of(allow(Principal={"Service": ["sns.amazonaws.com", "s3.amazonaws.com"]})),
        S3_TO_QUEUE,
    ),
    Case("all actions", policy_of(allow(Action="sqs:*", Resource="*")), S3_TO_QUEUE),
    Case("actions by pattern", policy_of(allow(Action=["sqs:Get*", "SQS:Send*"])), S3_TO_QUEUE),
    Case("the queue's account only", policy_of(OWN_ACCOUNT), S3_TO_QUEUE, NOT_ALLOWED),
    Case(
        "a role of the queue's account, whose own policy is not asked",
        policy_of(OWN_ACCOUNT),
        at(S3_TO_QUEUE, principal=ROLE),
        NOT_ALLOWED,
    ),
    Case("a role by its name", policy_of(allow(Principal={"AWS": ROLE})), at(S3_TO_QUEUE, principal=ROLE)),
    Case(
        "an account denied",
        policy_of(allow(Principal="*"), deny(Principal={"AWS": OTHER})),
        at(S3_TO_QUEUE, principal=ROLE),
        DENIED,
    ),
    Case(
        "a role of another account", policy_of(OWN_ACCOUNT), at(S3_TO_QUEUE, principal=STRANGER), NOT_ALLOWED
    ),
    Case(
        "wrong account wanted",
        policy_of(allow(**condition("StringEquals", "aws:SourceAccount", OTHER))),
        S3_TO_QUEUE,
        NOT_ALLOWED,
    ),
    Case(
        "the key's name in small letters",
        policy_of(allow(**condition("StringEquals", "aws:sourceaccount", OWNER))),
        S3_TO_QUEUE,
    ),
    Case(
        "a key that S3 does not send",
        policy_of(allow(**condition("StringEquals", "aws:PrincipalTag/team", "a"))),
        S3_TO_QUEUE,
        NOT_ALLOWED,
    ),
    Case(
        "only if the key is there",
        policy_of(allow(**condition("StringEqualsIfExists", "aws:PrincipalTag/team", "a"))),
        S3_TO_QUEUE,
    ),
    Case(
        "a key that must be missing",
        policy_of(allow(**condition("Null", "aws:PrincipalTag/team", "true"))),
        S3_TO_QUEUE,
    ),
    Case(
        "a key that must be there",
        policy_of(allow(**condition("Null", "aws:SourceArn", "false"))),
        S3_TO_QUEUE,
    ),
    Case(
        "all but one account",
        policy_of(allow(**condition("StringNotEquals", "aws:SourceAccount", OTHER))),
        S3_TO_QUEUE,
    ),
    Case(
        "all but this account",
        policy_of(allow(**condition("StringNotEquals", "aws:SourceAccount", OWNER))),
        S3_TO_QUEUE,
        NOT_ALLOWED,
    ),
    Case("allowed and denied", policy_of(allow(), deny()), S3_TO_QUEUE, DENIED),
    Case("denied first, then allowed", policy_of(deny(), allow()), S3_TO_QUEUE, DENIED),
    Case(
        "denied for another bucket",
        policy_of(allow(), deny(**condition("ArnEquals", "aws:SourceArn", "arn:aws:s3:::x"))),
        S3_TO_QUEUE,
    ),
    Case(
        "denied unless from another account",
        policy_of(allow(), deny(Principal="*", **condition("StringNotEquals", "aws:SourceAccount", OTHER))),
        S3_TO_QUEUE,
        DENIED,
    ),
    Case(
        "denied but for services of AWS",
        policy_of(
            allow(), deny(Principal="*", **condition("BoolIfExists", "aws:PrincipalIsAWSService", "false"))
        ),
        S3_TO_QUEUE,
    ),
    Case(
        "denied, all actions but one",
        policy_of(
            allow(), {**{k: v for k, v in deny().items() if k != "Action"}, "NotAction": "sqs:SendMessage"}
        ),
        S3_TO_QUEUE,
    ),
    Case(
        "TLS demanded, and there",
        policy_of(allow(**condition("Bool", "aws:SecureTransport", "true"))),
        S3_TO_QUEUE,
    ),
    Case(
        "two operators, one of them not met",
        policy_of(
            allow(
                Condition={
                    "ArnEquals": {"aws:SourceArn": "arn:aws:s3:::landing"},
                    "StringEquals": {"aws:SourceAccount": OTHER},
                }
            )
        ),
        S3_TO_QUEUE,
        NOT_ALLOWED,
    ),
    Case("no statement at all", policy_of(), S3_TO_QUEUE, NOT_ALLOWED),
)

CASES = (*OURS, *THEIRS)
