"""A Parquet file lands, and Redshift loads it with COPY, replacing rows by their key.

COPY takes no parameters, so the key becomes part of an SQL statement. Therefore the filter lets only keys
of harmless characters through, and all others go to the dead letter queue with the reason.
"""

from airflow.providers.amazon.aws.transfers.s3_to_redshift import S3ToRedshiftOperator
from airflow.sdk import dag

from airflow_s3events import Route, Routes, s3_event_dispatcher
from airflow_s3events.filters import event_type, regex

dispatcher = s3_event_dispatcher(
    dag_id="redshift_dispatcher",
    sqs_queue="warehouse-events",
    routes=Routes(
        [
            Route(
                dag_id="redshift_copy",
                when=event_type("ObjectCreated:*") & regex(r"^orders/[A-Za-z0-9_/=.-]+\.parquet$"),
            )
        ],
        unmatched="dead-letter",
    ),
)


@dag(schedule=None)
def redshift_copy():
    S3ToRedshiftOperator(
        task_id="copy",
        redshift_conn_id="redshift_default",
        s3_bucket="{{ dag_run.conf['s3_event']['bucket'] }}",
        s3_key="{{ dag_run.conf['s3_event']['key'] }}",
        schema="public",
        table="orders",
        copy_options=["FORMAT AS PARQUET"],
        # UPSERT makes a retry harmless; plain APPEND would load the file twice.
        method="UPSERT",
        upsert_keys=["order_id"],
    )


redshift_copy()
