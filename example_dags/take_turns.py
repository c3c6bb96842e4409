"""One run of a key at a time: a state file is overwritten often, and its versions are applied in order.

The connection ``ledger_db`` leads to a PostgreSQL, MySQL or SQLite database. The queue's ``maxReceiveCount``
must be 10 or more, since what is not its turn waits in the queue.
"""

from airflow.sdk import dag, get_current_context, task

from airflow_s3events import events_of, s3_event_dispatcher

dispatcher = s3_event_dispatcher(
    dag_id="states_dispatcher",
    sqs_queue="states-events",
    routes="apply_state",
    ledger="sql:ledger_db",
    ordering="per_key",
    parallel=2,
)


@dag(schedule=None)
def apply_state():
    @task
    def apply():
        for event in events_of(get_current_context()):
            print("applies", event.uri, "version", event.version_id, "after all earlier ones that came")

    apply()


apply_state()
