"""The dispatcher DAG of the demo: every object event of the queue starts one run of ``demo_target``."""

from airflow_s3events import s3_event_dispatcher

# Airflow reads only files in which the words "airflow" and "dag" both appear: hence dag_id by name.
dispatcher = s3_event_dispatcher(
    dag_id="demo_dispatcher", sqs_queue="demo-events", routes="demo_target", linger_seconds=20.0
)
