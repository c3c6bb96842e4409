"""For tests of what uses this package: bucket, queue and dispatcher in memory, every event, time that jumps.

``InMemoryQueue`` passes the same contract tests as ``SqsQueue`` does against two emulators of SQS. Fixtures
of pytest are in ``airflow_s3events.testing.pytest_plugin``.
"""

from airflow_s3events.testing.bodies import (
    eventbridge_created_body,
    object_created_body,
    object_record,
    records_body,
    sns_body,
    test_event_body,
)
from airflow_s3events.testing.event_types import event_body, event_record, eventbridge_body, object_event
from airflow_s3events.testing.faults import FaultPlan
from airflow_s3events.testing.memory_bucket import InMemoryBucket
from airflow_s3events.testing.memory_dispatcher import Clock, InMemoryDispatcher
from airflow_s3events.testing.memory_queue import InMemoryQueue
from airflow_s3events.testing.memory_runs import InMemoryRuns, StartedRun
from airflow_s3events.testing.virtual_time import run_in_virtual_time

__all__ = [
    "Clock",
    "FaultPlan",
    "InMemoryBucket",
    "InMemoryDispatcher",
    "InMemoryQueue",
    "InMemoryRuns",
    "StartedRun",
    "event_body",
    "event_record",
    "eventbridge_body",
    "eventbridge_created_body",
    "object_created_body",
    "object_event",
    "object_record",
    "records_body",
    "run_in_virtual_time",
    "sns_body",
    "test_event_body",
]
