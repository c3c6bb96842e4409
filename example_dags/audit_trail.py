"""Who did what to which object, and when: every event of a bucket becomes a line of an audit trail.

One object of lines for each run, named by the run, so a retry writes the same again. Give the trail's bucket
Object Lock, and let nobody but this role write there. Have the queue send deletions, tags and ACLs, too. An
asset, not a dispatcher: lines are crumbs. Needs Airflow 3.
"""

import json

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import events_of, s3_event_asset
from airflow_s3events.identity import event_id

TRAIL = "contracts-trail"
TOLD = ("event_type", "event_time", "bucket", "key", "version_id", "principal_id", "source_ip")

everything = s3_event_asset("contracts_events", sqs_queue="contracts-events")


@dag(schedule=everything)
def audit_trail():
    @task(retries=3)
    def write():
        context = get_current_context()
        events = events_of(context)
        if not events:  # after a kill: all of them were in an earlier run
            return 0
        lines = []
        for event in events:
            data = event.serialize()
            lines.append(json.dumps({"id": event_id(event), **{name: data[name] for name in TOLD}}))
        first = events[0].event_time
        day = first.format("YYYY/MM/DD") if first else "undated"
        S3Hook().load_string("\n".join(lines), f"{day}/{context['run_id']}.jsonl", TRAIL, replace=True)
        return len(lines)

    write()


audit_trail()
