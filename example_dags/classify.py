"""New documents are classified and tagged, so that access and retention follow from the tags.

A bucket policy can refuse ``class=personal`` to most roles, and a lifecycle rule can delete by
``retention``. What was found is in the run: the audit trail of who classified what, when and why.
"""

import re

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, S3MergeObjectTagsOperator, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type, suffix

PERSONAL = re.compile(rb"[\w.+-]+@[\w-]+\.[\w.]+|\b\d{3}-\d{2}-\d{4}\b")
YEARS = {"personal": "1", "internal": "10"}

dispatcher = s3_event_dispatcher(
    dag_id="classify_dispatcher",
    sqs_queue="reports-events",
    # Tagging is an event, too, but no ObjectCreated: this DAG does not start itself.
    routes=Route(dag_id="classify", when=event_type("ObjectCreated:*") & suffix(".txt", ".csv")),
)


@dag(schedule=None)
def classify():
    @task
    def look():
        (event,) = events_of(get_current_context())
        body = S3Hook().get_key(event.key, event.bucket).get()["Body"]
        found = "personal" if PERSONAL.search(body.read(1_000_000)) else "internal"
        return {"class": found, "retention": f"{YEARS[found]}y"}

    # Tags that the object has already stay; one that was written over meanwhile is left alone.
    S3MergeObjectTagsOperator(task_id="tag", tags=look())


classify()
