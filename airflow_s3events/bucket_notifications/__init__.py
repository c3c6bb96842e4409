"""A bucket's notification configuration as a document: read, compared, merged, checked. Pure.

``PutBucketNotificationConfiguration`` replaces everything, so what others configured is carried along exactly
as S3 gave it; only rules with an ``Id`` of ours are added, changed or taken away.
"""

from airflow_s3events.bucket_notifications.configurations import (
    MAX_RULES,
    Configuration,
    check_limits,
    differences,
    merged,
    normalised,
    replaced,
    rules_of,
    without,
)
from airflow_s3events.bucket_notifications.event_types import EVENT_TYPES, check_event_types, members_of
from airflow_s3events.bucket_notifications.overlaps import check_overlaps, overlap
from airflow_s3events.bucket_notifications.patterns import event_pattern, pattern_is_for, pattern_takes
from airflow_s3events.bucket_notifications.rules import Rule

__all__ = [
    "EVENT_TYPES",
    "MAX_RULES",
    "Configuration",
    "Rule",
    "check_event_types",
    "check_limits",
    "check_overlaps",
    "differences",
    "event_pattern",
    "members_of",
    "merged",
    "normalised",
    "overlap",
    "pattern_is_for",
    "pattern_takes",
    "replaced",
    "rules_of",
    "without",
]
