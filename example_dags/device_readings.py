"""Devices send numbered readings, some twice and some late: each device's newest counts.

``readings/d7/0042.json`` is reading 42 of device d7. The dispatcher orders by that number and not by the
time of the upload: an older reading than the last one starts nothing, and the ledger says that it came.
Readings that must all be kept, late ones too, are a case for an asset: see ``parse_logs.py``.
"""

import json

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type, glob
from airflow_s3events.ordering import ByField, Field

dispatcher = s3_event_dispatcher(
    dag_id="devices_dispatcher",
    sqs_queue="devices-events",
    routes=Route(dag_id="device_reading", when=event_type("ObjectCreated:*") & glob("readings/*/*.json")),
    ledger="sql:ledger_db",
    ordering=ByField(subject=Field("key", r"readings/([^/]+)/"), position=Field("key", r"/(\d+)\.json$")),
)


@dag(schedule=None)
def device_reading():
    @task
    def update():
        (event,) = events_of(get_current_context())
        reading = json.loads(S3Hook().read_key(event.key, event.bucket))
        _, device, number = event.key.removesuffix(".json").split("/")
        state = {"device": device, "number": int(number), **reading}
        S3Hook().load_string(json.dumps(state), f"{device}.json", "devices-state", replace=True)
        return state

    update()


device_reading()
