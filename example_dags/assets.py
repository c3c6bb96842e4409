"""One queue, two assets, no dispatcher: Airflow 3's own way, for DAGs that take many objects at a time.

S3 sends its event notifications to the SQS queue ``landing-events``. The first DAG works through the CSV
files that have come, in mapped tasks of 20 files or more each; the second starts one run of the DAG
``process_object`` for each image.
"""

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import ObjectEvent, chunks_of, events_of, s3_event_asset
from airflow_s3events.filters import suffix
from airflow_s3events.identity import run_id

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
def process_images():
    @task
    def runs():
        events = events_of(get_current_context())
        return [{"trigger_run_id": run_id(one), "conf": {"s3_event": one.serialize()}} for one in events]

    TriggerDagRunOperator.partial(
        task_id="start", trigger_dag_id="process_object", skip_when_already_exists=True
    ).expand_kwargs(runs())


load_tables()
process_images()
