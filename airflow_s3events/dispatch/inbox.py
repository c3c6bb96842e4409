"""``Inbox``: what dispatch asks of a consumer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from airflow_s3events.exceptions import OutageError
from airflow_s3events.messages import Message


class Inbox(Protocol):
    """What dispatch asks of a consumer."""

    stopping: bool

    def batches(self) -> AsyncIterator[list[Message]]:
        """Messages as they come, until there are no more or it is time to end."""
        ...

    def holds(self, message: Message) -> bool:
        """Whether the message is still in flight for us."""
        ...

    def acknowledge(self, message: Message) -> None:
        """Delete it."""

    def release(self, message: Message, *, delay_seconds: float, reason: str, outcome: str) -> None:
        """Show it again after a delay; ``outcome`` is the reason in one word."""

    def lapse(self, message: Message, *, reason: str, outcome: str) -> None:
        """Leave it to its visibility timeout."""

    async def dead_letter(
        self, message: Message, reason: str, about: dict[str, str], *, outcome: str
    ) -> None:
        """Send a copy with the reason and ``about`` to the dead letter queue, then delete it."""

    async def wait_out(self, outage: OutageError) -> None:
        """Stop receiving, keep what is held in flight, and return when it is time to try again."""
        ...

    def resume(self) -> None:
        """Receive again: the outage is over."""

    def wake_in(self, seconds: float | None) -> None:
        """Do not end ``batches`` for want of messages, and yield an empty batch after so long; None: do."""

    def limit(self, count: int) -> None:
        """Hold at most so many messages from now on, or its own most if that is less."""
