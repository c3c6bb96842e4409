"""One queue, several DAGs: the object's key decides, and what no route wants goes to the dead letter queue.

Keys are text that somebody else chose. They are handed on as data, to functions; never paste one into a
shell command, an SQL statement or a template.
"""

from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, Routes, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type, prefix, suffix

uploaded = event_type("ObjectCreated:*")

dispatcher = s3_event_dispatcher(
    dag_id="lake_dispatcher",
    sqs_queue="lake-events",
    routes=Routes(
        [
            # The first route that wants an event gets it.
            Route(dag_id="load_orders", when=uploaded & prefix("orders/") & suffix(".parquet")),
            Route(dag_id="load_images", when=uploaded & prefix("images/") & ~suffix(".tmp")),
        ],
        unmatched="dead-letter",
    ),
    # Two dispatchers side by side: when the worker of one dies, the other goes on.
    parallel=2,
)


@dag(schedule=None)
def load_orders():
    @task
    def load():
        for event in events_of(get_current_context()):
            print("orders of", event.event_time, "in", event.key)

    load()


@dag(schedule=None)
def load_images():
    @task
    def load():
        for event in events_of(get_current_context()):
            print("image", event.key, "of", event.size, "bytes, version", event.version_id)

    load()


load_orders()
load_images()
