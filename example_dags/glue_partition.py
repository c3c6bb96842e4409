"""A file of a new day lands: its partition is added to the table in the Glue Data Catalog.

The key names the partition (``orders/day=2026-11-25/a.parquet``). The filter lets no other keys through,
so what is taken from the key is a date. A crawler would list the whole prefix; this asks for one
partition.
"""

import re

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type, regex

FOLDER = r"^orders/day=\d{4}-\d\d-\d\d/"

dispatcher = s3_event_dispatcher(
    dag_id="partitions_dispatcher",
    sqs_queue="partitions-events",
    routes=Route(dag_id="add_partition", when=event_type("ObjectCreated:*") & regex(FOLDER)),
)


@dag(schedule=None)
def add_partition():
    @task
    def add():
        (event,) = events_of(get_current_context())
        folder = re.match(FOLDER, event.key)[0]
        glue = GlueCatalogHook().get_conn()
        table = glue.get_table(DatabaseName="lake", Name="orders")["Table"]
        storage = {**table["StorageDescriptor"], "Location": f"s3://{event.bucket}/{folder}"}
        answer = glue.batch_create_partition(
            DatabaseName="lake",
            TableName="orders",
            PartitionInputList=[{"Values": [folder[11:21]], "StorageDescriptor": storage}],
        )
        codes = {error["ErrorDetail"]["ErrorCode"] for error in answer.get("Errors", [])}
        # Many files of a day come at once; one of their runs is the first.
        if codes - {"AlreadyExistsException"}:
            raise RuntimeError(f"Glue refused the partition: {codes}")

    add()


add_partition()
