"""Objects come back from Glacier: one DAG asks for them, and S3's event says when they are there.

Nobody waits for the hours in between. A restored copy is temporary, so it is copied out at once. The
bucket must notify ``s3:ObjectRestore:Completed``.
"""

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.s3 import S3CopyObjectOperator
from airflow.sdk import Param, dag, get_current_context, task

from airflow_s3events import Route, s3_event_dispatcher
from airflow_s3events.filters import event_type

dispatcher = s3_event_dispatcher(
    dag_id="restored_dispatcher",
    sqs_queue="archive-events",
    routes=Route(dag_id="use_restored", when=event_type("ObjectRestore:Completed")),
)


@dag(schedule=None, params={"keys": Param([], type="array", items={"type": "string"})})
def request_restore():
    @task
    def request():
        s3 = S3Hook().get_conn()
        for key in get_current_context()["params"]["keys"]:
            s3.restore_object(
                Bucket="archive",
                Key=key,
                RestoreRequest={"Days": 2, "GlacierJobParameters": {"Tier": "Bulk"}},
            )

    request()


@dag(schedule=None)
def use_restored():
    S3CopyObjectOperator(
        task_id="copy_out",
        source_bucket_name="{{ dag_run.conf['s3_event']['bucket'] }}",
        source_bucket_key="{{ dag_run.conf['s3_event']['key'] }}",
        dest_bucket_name="restored",
        dest_bucket_key="{{ dag_run.conf['s3_event']['key'] }}",
    )


request_restore()
use_restored()
