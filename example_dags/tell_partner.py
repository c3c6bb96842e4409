"""A partner's system is told of each delivery, through EventBridge and its API destination.

EventBridge holds the partner's credentials, retries for a day and limits the rate. Its rule matches the
source ``landing.orders``; the detail is the event as JSON.
"""

import json

from airflow.providers.amazon.aws.hooks.eventbridge import EventBridgeHook
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type, prefix

dispatcher = s3_event_dispatcher(
    dag_id="partner_dispatcher",
    sqs_queue="deliveries-events",
    routes=Route(dag_id="tell_partner", when=event_type("ObjectCreated:*") & prefix("partner/")),
)


@dag(schedule=None)
def tell_partner():
    @task(retries=3)
    def put():
        (event,) = events_of(get_current_context())
        answer = (
            EventBridgeHook()
            .get_conn()
            .put_events(
                Entries=[
                    {
                        "Source": "landing.orders",
                        "DetailType": "Delivery",
                        "Detail": json.dumps({"key": event.key, "size": event.size, "etag": event.etag}),
                    }
                ]
            )
        )
        # It answers 200 when it took nothing; the entry has the error.
        if answer["FailedEntryCount"]:
            raise RuntimeError(answer["Entries"][0]["ErrorMessage"])

    put()


tell_partner()
