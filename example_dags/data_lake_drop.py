"""A CSV file lands in the lake: its parts are worked on side by side, and the results go to another bucket.

A part is a mapped task. Its result has a key that follows from the file's, so a retry writes the same
again. The results go to a bucket of their own: what is written where events come from would start runs
itself.
"""

import csv
import json

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type, prefix, suffix

ROWS_OF_A_PART = 1000

dispatcher = s3_event_dispatcher(
    dag_id="lake_drop_dispatcher",
    sqs_queue="lake-drop-events",
    routes=Route(dag_id="lake_drop", when=event_type("ObjectCreated:*") & prefix("orders/") & suffix(".csv")),
)


def rows_of(bucket, key):
    return list(csv.DictReader(S3Hook().read_key(key, bucket).splitlines()))


@dag(schedule=None)
def lake_drop():
    @task
    def split():
        (event,) = events_of(get_current_context())
        starts = range(0, len(rows_of(event.bucket, event.key)), ROWS_OF_A_PART)
        return [{"bucket": event.bucket, "key": event.key, "start": start} for start in starts]

    @task(max_active_tis_per_dag=8)
    def transform(part):
        start = part["start"]
        rows = rows_of(part["bucket"], part["key"])[start : start + ROWS_OF_A_PART]
        S3Hook().load_string(
            json.dumps(rows), f"{part['key']}/{start:08d}.json", "lake-drop-curated", replace=True
        )
        return len(rows)

    @task
    def report(counts):
        print(sum(counts), "rows")

    report(transform.expand(part=split()))


lake_drop()
