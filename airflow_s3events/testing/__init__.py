"""For tests of what uses this package: a queue in memory, bodies as S3 sends them, time that jumps.

``InMemoryQueue`` passes the same contract tests as ``SqsQueue`` does against two emulators of SQS.
"""

from airflow_s3events.testing.bodies import (
    eventbridge_created_body,
    object_created_body,
    object_record,
    records_body,
    sns_body,
    test_event_body,
)
from airflow_s3events.testing.faults import FaultPlan
from airflow_s3events.testing.memory_queue import InMemoryQueue
from airflow_s3events.testing.virtual_time import run_in_virtual_time

__all__ = [
    "FaultPlan",
    "InMemoryQueue",
    "eventbridge_created_body",
    "object_created_body",
    "object_record",
    "records_body",
    "run_in_virtual_time",
    "sns_body",
    "test_event_body",
]
