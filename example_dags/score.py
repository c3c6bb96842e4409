"""A function of yours says of each event what goes first, where to, and what starts nothing at all.

Rules here; a model in their place would be named by its path, scorer="models.tickets:score", so that it is
loaded on the worker alone. Where it does not answer in time the routes decide.
"""

from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, Routes, Score, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type, nothing

BIG_BYTES = 1_000_000_000


def score(event):
    if event.key.endswith((".tmp", ".test")):
        return Score(drop="no delivery, by its name")
    if (event.size or 0) > BIG_BYTES:
        return Score(route="delivery_big")
    return Score(priority=10) if event.key.startswith("urgent/") else None


dispatcher = s3_event_dispatcher(
    dag_id="scored_dispatcher",
    sqs_queue="scored-events",
    routes=Routes(
        [
            Route(dag_id="delivery_big", when=nothing),  # the scorer alone gives it events
            Route(dag_id="delivery", when=event_type("ObjectCreated:*")),
        ]
    ),
    scorer=score,
)


def read():
    return [(event.key, event.size) for event in events_of(get_current_context())]


@dag(schedule=None)
def delivery():
    task(read)()


@dag(schedule=None, max_active_runs=1)
def delivery_big():
    task(read)()


delivery()
delivery_big()
