"""A ledger, the newest only, and once a day a look at the bucket itself.

The connection ``ledger_db`` leads to a PostgreSQL, MySQL or SQLite database; the table is made on first
use.
"""

from datetime import datetime, timezone

from airflow.sdk import DAG, dag, get_current_context, task

from airflow_s3events import S3ReconcileOperator, events_of, s3_event_dispatcher

dispatcher = s3_event_dispatcher(
    dag_id="newest_dispatcher",
    sqs_queue="landing-events",
    routes="process_newest",
    ledger="sql:ledger_db",
    ordering="newest",
)

with DAG(
    dag_id="reconcile_landing",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
) as reconcile_landing:
    S3ReconcileOperator(
        task_id="reconcile",
        bucket_name="landing",
        routes="process_newest",
        ledger="sql:ledger_db",
        deferrable=True,
        retries=3,
    )


@dag(schedule=None)
def process_newest():
    @task
    def show():
        for event in events_of(get_current_context()):
            print(event.uri, event.extra.get("origin", "notification"))

    show()


process_newest()
