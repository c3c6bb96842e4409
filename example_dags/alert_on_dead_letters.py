"""Watches the dead letter queue, and tells people what is in it.

``tell`` fails its run on purpose: whatever alerts on failed runs here (mail, a pager, a chat) hears of it.
"""

from datetime import datetime, timezone

from airflow.sdk import dag, get_current_context, task

from airflow_s3events import S3DeadLetterSensor, events_of, s3_event_dispatcher

dispatcher = s3_event_dispatcher(
    dag_id="images_dispatcher", sqs_queue="images-events", routes="process_image"
)


@dag(schedule=None)
def process_image():
    @task
    def show():
        for event in events_of(get_current_context()):
            print(event.bucket, event.key)

    show()


@dag(
    schedule="@hourly", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, max_active_runs=1
)
def alert_on_dead_letters():
    found = S3DeadLetterSensor(
        task_id="watch",
        dead_letter_queue="images-events-dlq",
        max_messages=10,
        max_age_seconds=6 * 3600,
        mode="reschedule",
        poke_interval=300,
        timeout=3300,
        soft_fail=True,
    )

    @task
    def tell(found: dict):
        reasons = "; ".join(f"{count} times: {reason}" for reason, count in found["reasons"].items())
        raise RuntimeError(
            f"{found['messages']} dead letters, the oldest {found['oldest_seconds']} s old; {reasons}"
        )

    tell(found.output)


process_image()
alert_on_dead_letters()
