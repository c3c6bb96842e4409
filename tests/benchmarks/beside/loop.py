"""The floor: a bare aiobotocore loop that receives, creates runs by the very call of ours, and deletes.

It has the same run ids, so a message that comes again finds its run, and it deletes by tens. It has nothing
else: no filter, no reading back, no hold on messages, no care for a paused DAG or an Airflow that is away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_s3events._compat import airflow_runs
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.identity import event_id, run_id
from airflow_s3events.routing import Route


async def receive_create_delete(
    queue_url: str, endpoint_url: str, dag_of: Callable[[ObjectEvent], str]
) -> None:
    """Work off a queue for ever: a run of ``dag_of(event)`` for each event."""
    from aiobotocore.session import get_session

    client = get_session().create_client(
        "sqs",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    async with client as sqs:
        while True:
            await _once(sqs, queue_url, dag_of)


async def _once(sqs: Any, queue_url: str, dag_of: Callable[[ObjectEvent], str]) -> None:
    answer = await sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=20)
    if not (messages := answer.get("Messages", [])):
        return
    for message in messages:
        for event in parse_body(message["Body"]).events:
            await _create(event, dag_of(event))
    entries = [
        {"Id": str(number), "ReceiptHandle": one["ReceiptHandle"]} for number, one in enumerate(messages)
    ]
    await sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)


async def _create(event: ObjectEvent, dag_id: str) -> None:
    conf = Route(dag_id=dag_id).conf({**event.serialize(), "event_id": event_id(event)})
    await airflow_runs().create(dag_id, run_id(event), conf)
