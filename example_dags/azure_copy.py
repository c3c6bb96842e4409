"""Each object is copied to Azure Blob Storage as well.

Needs the Azure provider (``apache-airflow-providers-microsoft-azure``) and a connection ``wasb_default``. A
retry writes the same blob again. For Google Cloud Storage see ``multi_cloud.py``.
"""

from airflow.providers.microsoft.azure.transfers.s3_to_wasb import S3ToAzureBlobStorageOperator
from airflow.sdk import dag

from airflow_s3events import Route, s3_event_dispatcher
from airflow_s3events.filters import event_type

dispatcher = s3_event_dispatcher(
    dag_id="azure_copy_dispatcher",
    sqs_queue="shared-events",
    routes=Route(dag_id="azure_copy", when=event_type("ObjectCreated:*")),
)


@dag(schedule=None)
def azure_copy():
    S3ToAzureBlobStorageOperator(
        task_id="copy",
        s3_bucket="{{ dag_run.conf['s3_event']['bucket'] }}",
        s3_key="{{ dag_run.conf['s3_event']['key'] }}",
        container_name="shared-copy",
        blob_name="{{ dag_run.conf['s3_event']['key'] }}",
        replace=True,
    )


azure_copy()
