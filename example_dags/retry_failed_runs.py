"""Failed runs come back: the dispatcher retries them, and what it gave up is brought back each morning.

The queue's ``maxReceiveCount`` is 20: six tries. What fails six times is in the dead letter queue, with
the run and the reason, until the DAG is mended; the redrive sends it to the dispatcher again.
"""

from datetime import datetime, timezone

from airflow.sdk import DAG, dag, get_current_context, task

from airflow_s3events import S3EventRedriveOperator, events_of, s3_event_dispatcher

dispatcher = s3_event_dispatcher(
    dag_id="invoices_dispatcher",
    sqs_queue="invoices-events",
    routes="book_invoice",
    # A message is deleted when its run has succeeded.
    acknowledge="run_succeeded",
    expected_hold_seconds=1800,
)


@dag(schedule=None)
def book_invoice():
    @task(retries=2)
    def book():
        for event in events_of(get_current_context()):
            print("booking", event.bucket, event.key, event.version_id)

    book()


with DAG(
    dag_id="redrive_invoices",
    schedule="0 6 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
):
    S3EventRedriveOperator(
        task_id="redrive",
        dead_letter_queue="invoices-events-dlq",
        to_queue="invoices-events",
        criteria={"dag_id": "book_invoice", "younger_than_seconds": 7 * 86_400},
        max_per_second=10,
    )

book_invoice()
