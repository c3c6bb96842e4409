"""A table's file is replaced: its columns are compared with those of the version before.

The bucket has versions, and the event names its own. So the comparison is of this upload with the one
before it, however many came since.
"""

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type, suffix

dispatcher = s3_event_dispatcher(
    dag_id="schema_dispatcher",
    sqs_queue="tables-events",
    routes=Route(dag_id="schema_change", when=event_type("ObjectCreated:*") & suffix(".csv")),
)


def columns(bucket, key, version_id):
    s3 = S3Hook().get_conn()
    body = s3.get_object(Bucket=bucket, Key=key, VersionId=version_id)["Body"]
    return next(body.iter_lines()).decode().split(",")


def version_before(event):
    listed = S3Hook().get_conn().list_object_versions(Bucket=event.bucket, Prefix=event.key)["Versions"]
    ids = [version["VersionId"] for version in listed if version["Key"] == event.key]  # newest first
    older = ids[ids.index(event.version_id) + 1 :]
    return older[0] if older else None


@dag(schedule=None)
def schema_change():
    @task
    def compare():
        (event,) = events_of(get_current_context())
        before = version_before(event)
        new = columns(event.bucket, event.key, event.version_id)
        old = columns(event.bucket, event.key, before) if before else new
        return {"added": sorted(set(new) - set(old)), "removed": sorted(set(old) - set(new))}

    @task
    def accept(change):
        if change["removed"]:
            raise ValueError(f"columns are gone: {', '.join(change['removed'])}")
        print("new columns:", change["added"])

    accept(compare())


schema_change()
