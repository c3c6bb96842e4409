"""One run for all files of a day: complete when the marker lands, or when nothing new comes for a while."""

from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Batch, Route, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type, regex

DAY = r"orders/(?P<day>\d{4}-\d{2}-\d{2})/"

dispatcher = s3_event_dispatcher(
    dag_id="days_dispatcher",
    sqs_queue="orders-events",
    routes=Route(
        dag_id="load_day",
        # A key without a day would be a batch alone.
        when=event_type("ObjectCreated:*") & regex(DAY),
        batch=Batch(
            by=DAY,
            # Spark writes it last; half a minute more, since SQS promises no order.
            marker="_SUCCESS",
            # Where no marker comes: ten minutes of silence, or as many files as one run shall have.
            idle_seconds=600,
            count=500,
        ),
    ),
    # Which event is in which batch is kept here: through restarts, kills and two dispatchers side by side.
    ledger="sql:events_db",
    parallel=2,
)


@dag(schedule=None)
def load_day():
    @task
    def load():
        context = get_current_context()
        batch = context["dag_run"].conf["s3_batch"]
        print("batch", batch["number"], "of", batch["values"]["day"], "closed by", batch["closed_by"])
        if batch["follows"]:
            print("comes after", batch["follows"]["run_id"], "closed by", batch["follows"]["closed_by"])
        for event in events_of(context):
            print("load", event.key, event.size, "bytes")

    load()


load_day()
