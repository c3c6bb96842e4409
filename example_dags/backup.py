"""Every object is copied to a backup bucket, and the copy is compared with what the event said.

The backup bucket's lifecycle rules move copies to Glacier; its Object Lock, if it has one, keeps them. The
key goes through a template as data: Airflow does not render what it has rendered once more.
"""

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.s3 import S3CopyObjectOperator
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type

BACKUP = "documents-backup"

dispatcher = s3_event_dispatcher(
    dag_id="backup_dispatcher",
    sqs_queue="documents-events",
    routes=Route(dag_id="backup", when=event_type("ObjectCreated:*")),
)


@dag(schedule=None)
def backup():
    copy = S3CopyObjectOperator(
        task_id="copy",
        source_bucket_name="{{ dag_run.conf['s3_event']['bucket'] }}",
        source_bucket_key="{{ dag_run.conf['s3_event']['key'] }}",
        dest_bucket_name=BACKUP,
        dest_bucket_key="{{ dag_run.conf['s3_event']['key'] }}",
    )

    @task
    def compare():
        (event,) = events_of(get_current_context())
        copied = S3Hook().head_object(event.key, BACKUP)
        if copied is None or copied["ContentLength"] != event.size:
            raise ValueError(f"{event.uri}: the copy is not what was uploaded")

    copy >> compare()


backup()
