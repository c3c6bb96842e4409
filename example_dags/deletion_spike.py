"""Somebody deletes many objects: tell people, and bring the objects back by their versions.

The bucket has versions, so a delete only lays a marker on top. Removing the marker restores the object.
Deletes that come together are one run, because it is their number that counts. Needs Airflow 3.
"""

from collections import Counter

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.sns import SnsPublishOperator
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import events_of, s3_event_asset
from airflow_s3events.filters import event_type

MOST_DELETES = 3
#: Lifecycle rules and clean-up jobs may delete as much as they like.
TRUSTED = {"AWS:AROAEXAMPLE:nightly-cleanup"}

deletes = s3_event_asset(
    "records_deletes", sqs_queue="records-events", when=event_type("ObjectRemoved:DeleteMarkerCreated")
)


@dag(schedule=deletes)
def deletion_spike():
    @task.short_circuit
    def is_spike():
        people = Counter(
            event.principal_id
            for event in events_of(get_current_context())
            if event.principal_id not in TRUSTED
        )
        return people.total() > MOST_DELETES

    alert = SnsPublishOperator(
        task_id="alert",
        target_arn="arn:aws:sns:us-east-1:123456789012:security",
        subject="Many objects deleted",
        message="{{ run_id }} in {{ dag.dag_id }} is bringing them back.",
    )

    @task
    def restore():
        s3 = S3Hook().get_conn()
        for event in events_of(get_current_context()):
            if event.principal_id not in TRUSTED:
                # By its version id: once it is gone, doing it again changes nothing.
                s3.delete_object(Bucket=event.bucket, Key=event.key, VersionId=event.version_id)
                print("restored", event.uri)

    is_spike() >> [alert, restore()]


deletion_spike()
