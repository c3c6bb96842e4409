"""One file for Airflow 2.10 to 3.3: only the imports of Airflow's own names differ.

S3 sends its event notifications to the SQS queue ``landing-events``; the connection ``aws_default`` may
read and delete there. On Airflow 2 a started run has a logical date that means nothing: use
``event.event_time``.
"""

try:
    from airflow.sdk import dag, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.operators.python import get_current_context

from airflow_s3events import events_of, s3_event_dispatcher

dispatcher = s3_event_dispatcher(
    dag_id="every_airflow_dispatcher", sqs_queue="landing-events", routes="every_airflow"
)


@dag(schedule=None)
def every_airflow():
    @task
    def show():
        (event,) = events_of(get_current_context())
        return event.serialize()

    show()


every_airflow()
