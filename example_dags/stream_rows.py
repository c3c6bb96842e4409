"""A file's rows go to a Kinesis stream, for real-time analytics, which want rows and not files.

Each row carries the event id and its number: what reads the stream can leave out what a retry sent twice.
"""

import json

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type, suffix
from airflow_s3events.identity import event_id

MOST_RECORDS = 500

dispatcher = s3_event_dispatcher(
    dag_id="stream_dispatcher",
    sqs_queue="clicks-events",
    routes=Route(dag_id="stream_rows", when=event_type("ObjectCreated:*") & suffix(".jsonl")),
)


@dag(schedule=None)
def stream_rows():
    @task(retries=3)
    def stream():
        (event,) = events_of(get_current_context())
        kinesis = AwsBaseHook(client_type="kinesis").get_conn()
        rows = S3Hook().read_key(event.key, event.bucket).splitlines()
        records = [
            {
                "PartitionKey": event.key[-256:],
                "Data": json.dumps({"id": f"{event_id(event)}/{number}", "row": json.loads(row)}),
            }
            for number, row in enumerate(rows)
        ]
        for first in range(0, len(records), MOST_RECORDS):
            answer = kinesis.put_records(StreamName="clicks", Records=records[first : first + MOST_RECORDS])
            if answer["FailedRecordCount"]:
                raise RuntimeError(f"Kinesis took all but {answer['FailedRecordCount']} records: retry")
        return len(records)

    stream()


stream_rows()
