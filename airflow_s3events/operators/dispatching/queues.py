"""The queues of a dispatcher: opened, looked at, and refused when they cannot do what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.settlement import check_batches, check_hold, check_redrive, check_turns

if TYPE_CHECKING:
    from airflow_s3events.hooks.s3_events import S3EventsHook
    from airflow_s3events.messages import QueueAttributes
    from airflow_s3events.operators.dispatch import S3EventDispatchOperator
    from airflow_s3events.sqs import SqsQueue


@dataclass(frozen=True, slots=True)
class Queues:
    """What one dispatcher receives from, and where it sends what no redelivery can help."""

    queue: SqsQueue
    attributes: QueueAttributes
    dead_letters: SqsQueue | None


async def open_queues(operator: S3EventDispatchOperator, hook: S3EventsHook, client: Any) -> Queues:
    """Return the queues of the operator's settings, once they are found fit.

    Raises:
        ConfigurationError: They are not; says what to change.
    """
    queue = await hook.queue(client, operator.sqs_queue)
    attributes = await queue.describe()
    check_redrive(attributes, dispatchers=operator.parallel)
    if operator.ordering == "per_key":
        check_turns(attributes, dispatchers=operator.parallel)
    if open_seconds := _open_seconds(operator):
        check_batches(
            attributes,
            open_seconds=open_seconds,
            life_seconds=operator.life_seconds,
            dispatchers=operator.parallel,
        )
    dead_letters = await _dead_letters(operator, hook, client, attributes)
    if operator.acknowledge == "run_succeeded":
        check_hold(
            attributes,
            has_dead_letters=dead_letters is not None,
            expected_hold_seconds=operator.expected_hold_seconds,
            dispatchers=operator.parallel,
        )
    return Queues(queue, attributes, dead_letters)


def _open_seconds(operator: S3EventDispatchOperator) -> float:
    """Return how long a group may be open; 0: there are none."""
    from airflow_s3events.routing import Batch, Routes

    batches = [route.batch for route in Routes.of(operator.routes) if route.batch is not None]
    return max((Batch.deserialize(batch).open_seconds for batch in batches), default=0.0)


async def _dead_letters(
    operator: S3EventDispatchOperator, hook: S3EventsHook, client: Any, attributes: QueueAttributes
) -> SqsQueue | None:
    named = operator.dead_letter_queue or attributes.dead_letter_arn
    if named is not None:
        dead_letters = await hook.queue(client, named)
        # A redrive policy cannot name its own queue; a setting can.
        if operator.dead_letter_queue and (await dead_letters.describe()).arn == attributes.arn:
            raise ConfigurationError(f"dead_letter_queue: {named!r} is sqs_queue itself; name another queue")
        return dead_letters
    operator.log.warning(
        "Queue %s has no dead letter queue: what cannot be read stays in it until its retention ends. "
        "Give the queue a redrive policy, or set dead_letter_queue",
        attributes.arn,
    )
    return None
