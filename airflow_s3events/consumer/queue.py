"""What a queue must be able to do for a consumer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from airflow_s3events.messages import Message, QueueAttributes


class Queue(Protocol):
    """The few calls that a consumer asks of a queue.

    A call raises ``OutageError`` where waiting helps and ``ConfigurationError`` where a setting is wrong. A
    batch holds at most ten entries (``ValueError`` above), an empty one makes no call, and a batch call
    returns the
    messages whose own entry failed: SQS answers 200 even when each entry was refused
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessageBatch.html).
    """

    async def receive(
        self, *, max_messages: int = 10, wait_seconds: int = 20, visibility_seconds: int | None = None
    ) -> list[Message]:
        """Return up to ``max_messages`` (1 to 10); none after ``wait_seconds`` (0 to 20) without any.

        ``visibility_seconds`` (0 to 43,200) hides what is returned for so long; None takes the queue's own.
        """

    async def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Delete by receipt handle; return the messages whose entry failed."""

    async def change_visibility(self, entries: Sequence[tuple[Message, int]]) -> list[Message]:
        """Hide each message for so many seconds from now; return the messages whose entry failed."""

    async def send(self, body: str, *, attributes: Mapping[str, str], delay_seconds: int = 0) -> str:
        """Send one message, ``attributes`` as attributes of type String; return its message id."""

    async def describe(self) -> QueueAttributes:
        """Return the queue's attributes."""
