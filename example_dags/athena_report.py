"""A day's marker lands, and Athena computes the day's report.

The day comes from S3's own time of the event, not from the key: a key is text that somebody else chose,
and would be SQL in this statement.
"""

from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.sdk import dag

from airflow_s3events import Route, s3_event_dispatcher
from airflow_s3events.filters import event_type, suffix

dispatcher = s3_event_dispatcher(
    dag_id="athena_dispatcher",
    sqs_queue="sales-events",
    routes=Route(dag_id="athena_report", when=event_type("ObjectCreated:*") & suffix("/_SUCCESS")),
)


@dag(schedule=None)
def athena_report():
    AthenaOperator(
        task_id="report",
        database="lake",
        query="SELECT DATE '{{ dag_run.conf['s3_event']['event_time'][:10] }}' AS day",
        output_location="s3://sales-reports/{{ dag_run.conf['s3_event']['event_time'][:10] }}/",
        sleep_time=1,
        retries=2,
    )


athena_report()
