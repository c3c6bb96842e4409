"""A raw file lands, and a Glue job makes Parquet of it.

Bucket and key are arguments of the job, so they are data: the script reads them with ``getResolvedOptions``.
The job overwrites what it wrote before, so a retry does no harm. For jobs of hours add ``deferrable=True``.
"""

from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.sdk import dag

from airflow_s3events import Route, s3_event_dispatcher
from airflow_s3events.filters import event_type, suffix

dispatcher = s3_event_dispatcher(
    dag_id="glue_job_dispatcher",
    sqs_queue="raw-events",
    routes=Route(dag_id="glue_job", when=event_type("ObjectCreated:*") & suffix(".csv")),
)


@dag(schedule=None)
def glue_job():
    GlueJobOperator(
        task_id="to_parquet",
        job_name="to-parquet",
        script_args={
            "--bucket": "{{ dag_run.conf['s3_event']['bucket'] }}",
            "--key": "{{ dag_run.conf['s3_event']['key'] }}",
        },
        retries=2,
    )


glue_job()
