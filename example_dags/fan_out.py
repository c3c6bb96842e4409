"""Fan-out and redundancy: two ways from the bucket, two dispatchers, two DAGs, one run of each for an object.

S3 sends an event to one destination only, so a topic stands there, with a queue in each of two regions. Both
messages carry the event's identity: the dispatcher that is first starts the runs, the other one finds them.
While SQS is away in one region, nothing waits. ``mode="all"`` gives the event to both DAGs.
"""

from airflow.sdk import DAG, dag, get_current_context, task

from airflow_s3events import (
    QueueDestination,
    Route,
    Routes,
    S3ConfigureNotificationOperator,
    TopicDestination,
    events_of,
    s3_event_dispatcher,
)
from airflow_s3events.filters import event_type

REGIONS = ("us-east-1", "us-west-2")
uploaded = event_type("ObjectCreated:*")
routes = Routes(
    [Route(dag_id="book_payment", when=uploaded), Route(dag_id="check_payment", when=uploaded)], mode="all"
)

with DAG(dag_id="payments_set_up", schedule=None):
    S3ConfigureNotificationOperator(
        task_id="configure",
        bucket_name="payments",
        notification_id="airflow-payments",
        destinations=TopicDestination(
            "payments-topic",
            queues=[QueueDestination("payments-events", region_name=region) for region in REGIONS],
        ),
    )

east = s3_event_dispatcher(
    dag_id="payments_east_dispatcher", sqs_queue="payments-events", routes=routes, region_name=REGIONS[0]
)
west = s3_event_dispatcher(
    dag_id="payments_west_dispatcher", sqs_queue="payments-events", routes=routes, region_name=REGIONS[1]
)


@dag(schedule=None)
def book_payment():
    @task
    def book():
        for event in events_of(get_current_context()):
            print("books", event.uri)

    book()


@dag(schedule=None)
def check_payment():
    @task
    def check():
        for event in events_of(get_current_context()):
            print("checks", event.uri)

    check()


book_payment()
check_payment()
