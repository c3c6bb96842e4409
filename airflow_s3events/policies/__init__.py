"""Policies as documents: who may send to a queue, a topic or a key, and what each part of this package needs.

Pure: documents in, documents out. ``documents`` merges without overwriting, ``grants`` writes the statements
that let S3, SNS and EventBridge in, ``roles`` the policies of the roles that run this package, and
``evaluation`` answers, by AWS's documented logic, whether a document lets a request through.
"""

from airflow_s3events.policies.documents import (
    FUNCTION_LIMITS,
    KEY_LIMITS,
    QUEUE_LIMITS,
    TOPIC_LIMITS,
    Limits,
    Policy,
    Statement,
    check_limits,
    merged,
    parse_policy,
    policy_text,
    statements_of,
    without,
)
from airflow_s3events.policies.evaluation import Decision, Request, Verdict, evaluate
from airflow_s3events.policies.grants import Grant, function_grant, grant, key_grant, tls_only
from airflow_s3events.policies.resources import Resources
from airflow_s3events.policies.roles import PURPOSES, role_policy

__all__ = [
    "FUNCTION_LIMITS",
    "KEY_LIMITS",
    "PURPOSES",
    "QUEUE_LIMITS",
    "TOPIC_LIMITS",
    "Decision",
    "Grant",
    "Limits",
    "Policy",
    "Request",
    "Resources",
    "Statement",
    "Verdict",
    "check_limits",
    "evaluate",
    "function_grant",
    "grant",
    "key_grant",
    "merged",
    "parse_policy",
    "policy_text",
    "role_policy",
    "statements_of",
    "tls_only",
    "without",
]
