"""``S3DeadLetterSensor``: is met when a dead letter queue holds too much, or something too old."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from airflow_s3events._compat import BaseSensorOperator, Context, PokeReturnValue
from airflow_s3events.exceptions import ConfigurationError


class S3DeadLetterSensor(BaseSensorOperator):
    """Waits until a dead letter queue holds more, or older, messages than it may; then alert.

    Depth is asked of the queue's attributes and costs nothing; SQS calls it approximate. Age has no attribute
    (it is a metric of CloudWatch, minutes late), so up to ``look_at`` letters are received and given back:
    one receive for each, at each poke. ``mode="reschedule"`` keeps no worker slot between two pokes.

    The value it returns is ``{"messages": 3, "oldest_seconds": 7200.0, "reasons": {...}}``; the last two only
    where age is asked for.

    What it needs of AWS: ``sqs:GetQueueAttributes``, ``GetQueueUrl``; for age also ``ReceiveMessage`` and
    ``ChangeMessageVisibility``.

    Args:
        dead_letter_queue: URL, ARN or name. Templated.
        max_messages: Met when there are more; None: do not look at depth. Default 0.
        max_age_seconds: Met when one of those looked at is older; None (default): do not look at age.
        look_at: Letters looked at for their age. Default 100.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.
    """

    template_fields: Sequence[str] = ("dead_letter_queue", "aws_conn_id", "region_name")
    ui_color = "#f0a848"

    def __init__(
        self,
        *,
        dead_letter_queue: str,
        max_messages: int | None = 0,
        max_age_seconds: float | None = None,
        look_at: int = 100,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dead_letter_queue = dead_letter_queue
        self.max_messages = max_messages
        self.max_age_seconds = max_age_seconds
        self.look_at = look_at
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 - Airflow passes it
        """Look once.

        Raises:
            ConfigurationError: No limit is given, or the queue cannot be used.
            OutageError: SQS is away.
        """
        if self.max_messages is None and self.max_age_seconds is None:
            raise ConfigurationError("max_messages, max_age_seconds: give at least one")
        found = asyncio.run(self._look())
        too_many = self.max_messages is not None and found["messages"] > self.max_messages
        too_old = self.max_age_seconds is not None and found["oldest_seconds"] > self.max_age_seconds
        self.log.info("Dead letters: %s", found)
        return PokeReturnValue(is_done=too_many or too_old, xcom_value=found)

    async def _look(self) -> dict[str, Any]:
        from airflow_s3events.hooks.s3_events import hook_for
        from airflow_s3events.redrive import DeadLetterQueue

        hook = hook_for(
            self.dead_letter_queue,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )
        async with hook.open_client() as client:
            queue = await hook.queue(client, self.dead_letter_queue)
            counts = await queue.describe()
            found: dict[str, Any] = {"messages": counts.waiting + counts.in_flight + counts.delayed}
            if self.max_age_seconds is not None:
                letters, _ = await DeadLetterQueue(queue=queue).look(most=self.look_at)
                sent = [letter.message.sent_at for letter in letters if letter.message.sent_at is not None]
                found["oldest_seconds"] = round(time.time() - min(sent), 1) if sent else 0.0
                found["reasons"] = dict(Counter(letter.reason for letter in letters))
        return found
