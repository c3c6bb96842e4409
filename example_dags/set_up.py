"""From a bare bucket to DAG runs: one DAG sets up the way and proves it, a dispatcher starts the runs.

Run ``orders_set_up`` once, and again whenever its settings change: it changes only what is not right yet,
and leaves the rules of everybody else on the bucket as they are.
"""

from airflow.sdk import DAG, dag, get_current_context, task

from airflow_s3events import (
    QueueDestination,
    S3CheckNotificationOperator,
    S3ConfigureNotificationOperator,
    events_of,
    s3_event_dispatcher,
)

WAY = {
    "bucket_name": "landing-zone",
    "notification_id": "airflow-orders",
    "prefix": "orders/",
    "destinations": QueueDestination("orders-events"),
}

with DAG(dag_id="orders_set_up", schedule=None) as set_up:
    configure = S3ConfigureNotificationOperator(task_id="configure", **WAY)
    # Writes a small object under orders/probe/, waits for its event, deletes both. The dispatcher may be
    # quicker than the proof: unpause it afterwards.
    check = S3CheckNotificationOperator(
        task_id="check", prove=True, prove_prefix="orders/probe/", writes_to=["s3://lake/orders/"], **WAY
    )
    configure >> check

dispatcher = s3_event_dispatcher(
    dag_id="orders_dispatcher", sqs_queue="orders-events", routes="process_order"
)


@dag(schedule=None)
def process_order():
    @task
    def show():
        for event in events_of(get_current_context()):
            print(event.configuration_id, event.uri)

    show()


process_order()
