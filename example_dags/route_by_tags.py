"""Tags and content type decide; S3 is asked only about objects that every cheaper test has left open.

The dispatcher's role needs more for that: ``s3events iam --for dispatch ... --enrich head --enrich tags``.
"""

from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, Routes, events_of, s3_event_dispatcher
from airflow_s3events.filters import content_type, event_type, prefix, tag

uploaded = event_type("ObjectCreated:*") & prefix("landing/")

dispatcher = s3_event_dispatcher(
    dag_id="tag_dispatcher",
    sqs_queue="landing-events",
    routes=Routes(
        [
            Route(dag_id="load_approved", when=uploaded & tag("approved", "yes")),
            Route(dag_id="resize_images", when=uploaded & content_type("image/*"), enrich=["tags"]),
        ],
        # What was overwritten or deleted before S3 could be asked, and all else.
        default=Route(dag_id="look_at_strays"),
    ),
)


@dag(schedule=None)
def load_approved():
    @task
    def load():
        for event in events_of(get_current_context()):
            print(event.key, "is approved:", event.facts.tags)

    load()


@dag(schedule=None)
def resize_images():
    @task
    def resize():
        for event in events_of(get_current_context()):
            print(event.key, "is", event.facts.content_type, "with", event.facts.tags)

    resize()


@dag(schedule=None)
def look_at_strays():
    @task
    def look():
        for event in events_of(get_current_context()):
            print(event.key, "is", event.facts.state if event.facts else "not asked about")

    look()


load_approved()
resize_images()
look_at_strays()
