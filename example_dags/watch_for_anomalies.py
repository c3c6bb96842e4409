"""A DAG that is told of odd things in a bucket: spikes of deletions or uploads, and strangers.

The past of the buckets is kept in a ledger, in the database of the Airflow connection ``events_db``.
"""

from airflow.sdk import dag, get_current_context, task

from airflow_s3events import AnomalyWatch, events_of, s3_event_dispatcher

dispatcher = s3_event_dispatcher(
    dag_id="watching_dispatcher",
    sqs_queue="landing-events",
    routes="process_object",
    ledger="sql:events_db",
    anomaly=AnomalyWatch(dag_id="look_into_it", watched=("deletions", "principals")),
)


@dag(schedule=None)
def process_object():
    @task
    def process():
        for event in events_of(get_current_context()):
            print(event.event_type, event.key)

    process()


@dag(schedule=None)
def look_into_it():
    @task
    def look():
        found = get_current_context()["dag_run"].conf["s3_anomaly"]
        if found["stranger"]:
            print(found["stranger"], "was never seen in", found["bucket"], "before")
        else:
            print(found["count"], found["kind"], "in", found["bucket"], "where", found["usual"], "are usual")
        print("for example", found["examples"], "by", found["principals"])

    look()


process_object()
look_into_it()
