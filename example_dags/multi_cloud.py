"""Each object is copied to Google Cloud Storage as well.

Needs the Google provider (``apache-airflow-providers-google``) and a connection ``google_cloud_default``.
The operator lists by prefix, so the prefix is the whole key: another object that begins with it would be
copied, too, which does no harm. For Azure see ``azure_copy.py``.
"""

from airflow.providers.google.cloud.transfers.s3_to_gcs import S3ToGCSOperator
from airflow.sdk import dag

from airflow_s3events import Route, s3_event_dispatcher
from airflow_s3events.filters import event_type

dispatcher = s3_event_dispatcher(
    dag_id="multi_cloud_dispatcher",
    sqs_queue="shared-events",
    routes=Route(dag_id="multi_cloud", when=event_type("ObjectCreated:*")),
)


@dag(schedule=None)
def multi_cloud():
    S3ToGCSOperator(
        task_id="copy",
        bucket="{{ dag_run.conf['s3_event']['bucket'] }}",
        prefix="{{ dag_run.conf['s3_event']['key'] }}",
        dest_gcs="gs://shared-copy/",
        replace=True,
    )


multi_cloud()
