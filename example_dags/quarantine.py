"""Uploads of strangers are looked at before anybody uses them: clean ones go on, others into quarantine.

The look here is at the first bytes; a virus scanner would stand in its place. Only the version that was
looked at is moved: what was uploaded meanwhile has an event of its own.
"""

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, S3QuarantineObjectOperator, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type, prefix

PROGRAMS = (b"MZ", b"\x7fELF", b"#!")

dispatcher = s3_event_dispatcher(
    dag_id="quarantine_dispatcher",
    sqs_queue="uploads-events",
    routes=Route(dag_id="quarantine", when=event_type("ObjectCreated:*") & prefix("incoming/")),
)


def version_of(event):
    version = {} if event.version_id is None else {"VersionId": event.version_id}
    return {"Bucket": event.bucket, "Key": event.key, **version}


@dag(schedule=None)
def quarantine():
    @task.branch
    def scan():
        (event,) = events_of(get_current_context())
        first = S3Hook().get_conn().get_object(**version_of(event), Range="bytes=0-15")["Body"].read()
        return "isolate" if first.startswith(PROGRAMS) else "release"

    isolate = S3QuarantineObjectOperator(task_id="isolate", quarantine_bucket="uploads-quarantine")

    @task
    def release():
        (event,) = events_of(get_current_context())
        s3 = S3Hook().get_conn()
        s3.copy_object(Bucket="uploads-clean", Key=event.key, CopySource=version_of(event))
        s3.delete_object(**version_of(event))

    scan() >> [isolate, release()]


quarantine()
