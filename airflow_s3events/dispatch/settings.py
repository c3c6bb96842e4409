"""``DispatchSettings``: how a dispatcher treats what it does not start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from zlib import crc32

from airflow_s3events.messages import Message
from airflow_s3events.settlement import release_delay_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchSettings:
    """How a dispatcher treats what it cannot start.

    Attributes:
        ignore_before: Events older than this start nothing; they are counted and acknowledged. None: all
            start.
        max_age_seconds: Events that are older than so long when they are looked at start nothing, either.
        give_up_seconds: An event whose DAG refuses it is dead-lettered no sooner than so long after it was
            sent,
        give_up_receives: and no sooner than after so many receives. Both must be reached.
        max_receive_count: Of the queue's redrive policy; None where it has none.
        has_dead_letters: Whether there is a dead letter queue; without one, what belongs there stays in the
            queue, shown ever less often.
    """

    ignore_before: datetime | None = None
    max_age_seconds: float | None = None
    give_up_seconds: float = 6 * 3600.0
    give_up_receives: int = 5
    max_receive_count: int | None = None
    has_dead_letters: bool = True

    def oldest(self, now: float) -> datetime | None:
        """Return when an event must have happened to start something; ``now`` is seconds since the epoch."""
        if self.max_age_seconds is None:
            return self.ignore_before
        oldest = datetime.fromtimestamp(now - self.max_age_seconds, timezone.utc)
        return oldest if self.ignore_before is None else max(oldest, self.ignore_before)


def delay_of(message: Message, settings: DispatchSettings, first_seconds: float) -> float:
    """Return how long a message is put off: drawn from the message itself, so that it needs no chance."""
    share = crc32(f"{message.message_id} {message.receive_count}".encode()) / 0xFFFF_FFFF
    return release_delay_seconds(
        message.receive_count, settings.max_receive_count, first_seconds, share=share
    )
