"""What AWS says of a queue and its dead letters: SQS its counts, CloudWatch the age of the oldest message."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.hooks.s3_events import S3EventsHook, hook_for
from airflow_s3events.messages import QueueAttributes
from airflow_s3events.redrive import DeadLetterQueue
from airflow_s3events.signs import sign_of
from airflow_s3events.sqs import SqsQueue, region_of
from airflow_s3events.watchdog import QueueFacts

#: CloudWatch gets a value a minute, some minutes late.
_AGE_WINDOW = timedelta(minutes=10)
#: Dead letters that are looked at for their reasons.
_MOST_LETTERS = 100
_MOST_REASONS = 5
_REASON_CHARACTERS = 80


async def queue_facts(
    sqs_queue: str, *, aws: dict[str, Any], late_seconds: float, with_reasons: bool
) -> QueueFacts:
    """Ask for everything that there is to know of a queue.

    A dead letter whose reason is looked at is received, and given back at once; that is left out where the
    dead letter queue has a redrive policy of its own, which would count it.

    What cannot be asked for is told with its reason; nothing is raised for it.
    """
    try:
        return await _facts(sqs_queue, aws, late_seconds=late_seconds, with_reasons=with_reasons)
    except OutageError as error:
        trouble = sign_of(error, "aws_away")
        return QueueFacts(name=sqs_queue, error=str(error), trouble=trouble, late_seconds=late_seconds)


async def _facts(
    sqs_queue: str, aws: dict[str, Any], *, late_seconds: float, with_reasons: bool
) -> QueueFacts:
    hook = hook_for(sqs_queue, **aws)
    async with hook.open_client() as client:
        try:
            queue = await hook.queue(client, sqs_queue)
            attributes = await queue.describe()
        except ConfigurationError as error:
            return QueueFacts(name=sqs_queue, error=str(error))
        count, reasons, error_text = await _dead_letters(hook, client, attributes, with_reasons=with_reasons)
    return QueueFacts(
        name=sqs_queue,
        attributes=attributes,
        oldest_seconds=await _oldest_seconds(sqs_queue, attributes, aws),
        dead_letters=count,
        dead_letters_error=error_text,
        reasons=reasons,
        late_seconds=late_seconds,
    )


async def _dead_letters(
    hook: S3EventsHook, client: Any, attributes: QueueAttributes, *, with_reasons: bool
) -> tuple[int | None, dict[str, int], str]:
    if attributes.dead_letter_arn is None:
        return None, {}, ""
    try:
        queue = await hook.queue(client, attributes.dead_letter_arn)
        found = await queue.describe()
        reasons = await _reasons(queue, found) if with_reasons else {}
    except ConfigurationError as error:
        return None, {}, str(error)
    return found.waiting + found.in_flight + found.delayed, reasons, ""


async def _reasons(queue: SqsQueue, found: QueueAttributes) -> dict[str, int]:
    if not found.waiting or found.dead_letter_arn is not None:
        return {}
    letters, _ = await DeadLetterQueue(queue=queue).look(most=_MOST_LETTERS)
    counted = Counter((letter.reason or "no reason given")[:_REASON_CHARACTERS] for letter in letters)
    return dict(counted.most_common(_MOST_REASONS))


async def _oldest_seconds(sqs_queue: str, attributes: QueueAttributes, aws: dict[str, Any]) -> float | None:
    if not attributes.waiting + attributes.in_flight + attributes.delayed:
        return 0.0
    region = aws["region_name"] or region_of(sqs_queue)
    hook = S3EventsHook(
        client_type="cloudwatch",
        aws_conn_id=aws["aws_conn_id"],
        region_name=region,
        verify=aws["verify"],
        config=aws["botocore_config"],
    )
    try:
        async with hook.open_client() as client:
            return await _age(client, attributes.arn.rpartition(":")[2])
    except (ConfigurationError, OutageError):
        return None


async def _age(client: Any, name: str) -> float | None:
    """Ask for ``ApproximateAgeOfOldestMessage``.

    See https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html.
    """
    from airflow_s3events.aws_errors import translated

    now = datetime.fromtimestamp(time.time(), timezone.utc)
    async with translated("GetMetricStatistics", {}, otherwise="CloudWatch refuses it"):
        answer = await client.get_metric_statistics(
            Namespace="AWS/SQS",
            MetricName="ApproximateAgeOfOldestMessage",
            Dimensions=[{"Name": "QueueName", "Value": name}],
            StartTime=now - _AGE_WINDOW,
            EndTime=now,
            Period=60,
            Statistics=["Maximum"],
        )
    points = sorted(answer.get("Datapoints", []), key=lambda point: point["Timestamp"])
    return float(points[-1]["Maximum"]) if points else None
