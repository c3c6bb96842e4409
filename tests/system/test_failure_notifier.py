"""``S3EventFailureNotifier`` as Airflow calls it: in the process of a task, and for a whole run."""

from __future__ import annotations

from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from airflow_s3events.demo.cluster import Cluster
from airflow_s3events.envelopes import parse_body
from airflow_s3events.identity import event_id, run_id
from airflow_s3events.testing.bodies import object_created_body
from tests.adapters.queues import attributes
from tests.lines import DAG_IMPORTS
from tests.system.conftest import AddDags, Eventually

_FAILING = f"""{DAG_IMPORTS}
from airflow_s3events import S3EventFailureNotifier

with DAG(
    dag_id="%(name)s",
    schedule=None,
    on_failure_callback=S3EventFailureNotifier(dead_letter_queue="<dlq>"),
):
    @task(
        retries=0, on_failure_callback=S3EventFailureNotifier(sqs_queue="<queue>", delay_seconds=0)
    )
    def work():
        raise ValueError("no such column: price")

    work()
"""


def test_a_failed_task_sends_its_event_back_and_a_failed_run_is_a_dead_letter(
    cluster: Cluster, aws: EmbeddedAws, bucket: NotifyingBucket, add_dags: AddDags, eventually: Eventually
) -> None:
    source = _FAILING.replace("<dlq>", bucket.dlq_url).replace("<queue>", bucket.queue_url)
    (dag_id,) = add_dags(source)
    (event,) = parse_body(object_created_body("landing", "in/a.csv"), message_id="m").events
    cluster.api.trigger(
        dag_id, run_id(event), {"s3_event": {**event.serialize(), "event_id": event_id(event)}}
    )

    (sent,) = eventually(lambda: _received(aws, bucket.queue_url), 120)
    assert attributes(sent)["attempt"] == "1"
    assert parse_body(sent["Body"], message_id="m").events == (event,)
    (letter,) = eventually(lambda: _received(aws, bucket.dlq_url), 120)
    said = attributes(letter)
    assert (said["dag_id"], said["run_id"]) == (dag_id, run_id(event))
    assert said["reason"]


def _received(aws: EmbeddedAws, queue_url: str) -> list[dict[str, Any]]:
    answer = aws.sqs.receive_message(QueueUrl=queue_url, MessageAttributeNames=["All"])
    # Without attributes: S3's test event.
    return [message for message in answer.get("Messages", []) if "MessageAttributes" in message]
