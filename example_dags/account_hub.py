"""One Airflow for the buckets of many accounts: one queue for all, and for each a role that reads it.

The queue's policy lets S3 send for the accounts that it names. Which connection may read a bucket stands
here, so an account that is not known starts nothing: its events go to the dead letter queue with the
reason.
"""

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, Routes, events_of, s3_event_dispatcher
from airflow_s3events.filters import bucket, event_type

CONNECTIONS = {"team-a-landing": "aws_default", "team-b-landing": "aws_team_b"}

dispatcher = s3_event_dispatcher(
    dag_id="hub_dispatcher",
    sqs_queue="arn:aws:sqs:us-east-1:123456789012:hub-events",
    routes=Routes(
        [Route(dag_id="hub", when=event_type("ObjectCreated:*") & bucket(*CONNECTIONS))],
        unmatched="dead-letter",
    ),
)


@dag(schedule=None)
def hub():
    @task
    def read():
        (event,) = events_of(get_current_context())
        hook = S3Hook(aws_conn_id=CONNECTIONS[event.bucket])
        return len(hook.read_key(event.key, event.bucket))

    read()


hub()
