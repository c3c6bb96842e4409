"""One bucket, one DAG: every object that lands in the bucket starts one run of ``process_object``.

S3 sends its event notifications to the SQS queue ``landing-events``; the connection ``aws_default`` may
read and delete there.
"""

from airflow.sdk import dag, get_current_context, task

from airflow_s3events import events_of, s3_event_dispatcher

# Runs for ever, reads the queue, starts the runs. Unpause it once, and the DAG below.
dispatcher = s3_event_dispatcher(
    dag_id="landing_dispatcher", sqs_queue="landing-events", routes="process_object"
)


@dag(schedule=None)
def process_object():
    @task
    def show():
        for event in events_of(get_current_context()):  # of a run that the dispatcher started: exactly one
            print(event.bucket, event.key, event.size, event.version_id, event.event_time)

    show()


process_object()
