"""What is urgent goes first: a score from the object's metadata decides between a fast and a slow lane.

The event says nothing of metadata, so the run asks S3 for it. Give the lanes pools of their own, and the
fast one more slots.
"""

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type

URGENT = 5
SMALL_BYTES = 10_000

dispatcher = s3_event_dispatcher(
    dag_id="tickets_dispatcher",
    sqs_queue="tickets-events",
    routes=Route(dag_id="ticket", when=event_type("ObjectCreated:*")),
)


def score(size, metadata):
    """Points for a ticket: paying customers, outages, and small files, which are done in no time."""
    points = {"gold": 4, "silver": 2}.get(metadata.get("plan"), 0)
    return points + 3 * (metadata.get("severity") == "outage") + (size < SMALL_BYTES)


@dag(schedule=None)
def ticket():
    @task.branch(priority_weight=100)
    def choose():
        (event,) = events_of(get_current_context())
        head = S3Hook().head_object(event.key, event.bucket) or {}
        return "fast" if score(event.size, head.get("Metadata", {})) >= URGENT else "slow"

    @task(priority_weight=50)
    def fast():
        return "done at once"

    @task(priority_weight=1)
    def slow():
        return "done when there is time"

    choose() >> [fast(), slow()]


ticket()
