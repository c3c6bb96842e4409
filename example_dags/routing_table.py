"""A routing table in TOML beside the DAG file: who changes it needs no Python.

``routes.toml`` says which DAG gets what, which comes first, how much each may get, and what runs are told.
"""

from pathlib import Path

from airflow.sdk import dag, get_current_context, task

from airflow_s3events import events_of, routes_from_toml, s3_event_dispatcher

dispatcher = s3_event_dispatcher(
    dag_id="table_dispatcher",
    sqs_queue="lake-events",
    routes=routes_from_toml(Path(__file__).with_name("routes.toml")),
)


@dag(schedule=None)
def load_orders():
    @task
    def load():
        context = get_current_context()
        for event in events_of(context):
            print(
                event.key, "of", context["dag_run"].conf["day"], "goes to", context["dag_run"].conf["table"]
            )

    load()


@dag(schedule=None)
def load_images():
    @task
    def load():
        for event in events_of(get_current_context()):
            print("image", event.key)

    load()


load_orders()
load_images()
