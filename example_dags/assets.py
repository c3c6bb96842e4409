"""One queue, two assets, no dispatcher: Airflow 3's own way, for DAGs that take many objects at a time.

S3 sends its event notifications to the SQS queue ``landing-events``. The first DAG works through the CSV
files that have come, in mapped tasks of 20 files or more each; the second lists the images, in one task.
"""

from airflow.sdk import dag, get_current_context, task

from airflow_s3events import ObjectEvent, chunks_of, events_of, s3_event_asset
from airflow_s3events.filters import suffix

tables = s3_event_asset("tables", sqs_queue="landing-events", when=suffix(".csv"))
images = s3_event_asset("images", sqs_queue="landing-events", when=suffix(".jpg", ".png"))


@dag(schedule=tables)
def load_tables():
    @task
    def chunks():
        events = events_of(get_current_context())
        return chunks_of(events, size=max(20, len(events) // 1000))

    @task
    def load(chunk):
        for event in map(ObjectEvent.deserialize, chunk):
            print(event.uri, event.size)

    load.expand(chunk=chunks())


@dag(schedule=images)
def list_images():
    @task
    def show():
        for event in events_of(get_current_context()):
            print(event.uri, event.size, event.event_time)

    show()


load_tables()
list_images()
