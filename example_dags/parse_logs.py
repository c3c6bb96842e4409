"""Log files are crumbs: many of them are parsed in one run, in chunks side by side, and counted together.

An asset, not a dispatcher: a run for each log file would be a row, some task rows and a log folder for
each. Needs Airflow 3.
"""

import gzip
from collections import Counter

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import ObjectEvent, chunks_of, events_of, s3_event_asset
from airflow_s3events.filters import event_type, suffix

logs = s3_event_asset(
    "access_logs", sqs_queue="logs-events", when=event_type("ObjectCreated:*") & suffix(".log.gz")
)


@dag(schedule=logs)
def parse_logs():
    @task
    def chunks():
        return chunks_of(events_of(get_current_context()), size=50)

    @task
    def parse(chunk):
        statuses = Counter()
        for event in map(ObjectEvent.deserialize, chunk):
            with gzip.open(S3Hook().get_key(event.key, event.bucket).get()["Body"], "rt") as lines:
                # 192.0.2.7 - - [25/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 512
                statuses.update(line.rsplit(" ", 2)[1] for line in lines)
        return statuses

    @task
    def count(parsed):
        total = sum(map(Counter, parsed), Counter())
        print(total)
        return total

    count(parse.expand(chunk=chunks()))


parse_logs()
