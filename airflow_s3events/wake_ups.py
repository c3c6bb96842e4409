"""When another look into the bucket is worth it: what a watch waits for between two looks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from airflow_s3events.arrivals import Awaited
from airflow_s3events.consumer.queue import Queue
from airflow_s3events.consumer.settler import BATCH_ENTRIES, tens
from airflow_s3events.envelopes import parse_body
from airflow_s3events.exceptions import BodyError
from airflow_s3events.messages import Message

log = logging.getLogger(__name__)

#: Whose the messages of a queue are: several sensors', this one's, or (None) somebody else's.
Consume = Literal["all", "matching"] | None
CONSUME: tuple[Consume, ...] = (None, "all", "matching")

#: Seconds of one long poll: SQS's longest.
_WAIT_SECONDS = 20
#: Seconds for which a received message is hidden: time for a look, after which it is deleted.
_VISIBILITY_SECONDS = 30
#: Between two looks that messages ask for; what comes meanwhile shares the second one.
_BURST_SECONDS = 1.0
_BURST_MESSAGES = 500
#: Seconds between two questions for the counts of a queue that is not ours.
_COUNT_SECONDS = 2.0


class WakeUp(Protocol):
    """What a watch waits for."""

    async def wait(self, seconds: float) -> None:
        """Return when a look is worth it, after about ``seconds`` in any case."""

    async def looked(self) -> None:
        """Note that the look is done."""


class Pause:
    """Nothing wakes: only time passes."""

    async def wait(self, seconds: float) -> None:
        """See ``WakeUp``."""
        await asyncio.sleep(seconds)

    async def looked(self) -> None:
        """See ``WakeUp``."""


class ForeignQueue:
    """A queue that somebody else reads: a change in its counts is the wake-up.

    Nothing is ever received from it: that would hide a message from its reader, and bring it nearer to the
    dead letter queue each time. SQS calls the counts approximate, and what its reader takes and deletes
    between two questions is not seen
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html).
    """

    def __init__(self, queue: Queue, now: Callable[[], float] = time.time) -> None:
        self._queue = queue
        self._now = now
        self._counts: tuple[int, ...] | None = None

    async def wait(self, seconds: float) -> None:
        """See ``WakeUp``."""
        if self._counts is None:
            self._counts = await self._ask()
        deadline = self._now() + seconds
        while (left := deadline - self._now()) > 0:
            await asyncio.sleep(min(_COUNT_SECONDS, left))
            before, self._counts = self._counts, await self._ask()
            if self._counts != before:
                return

    async def looked(self) -> None:
        """See ``WakeUp``."""

    async def _ask(self) -> tuple[int, ...]:
        found = await self._queue.describe()
        return found.waiting, found.in_flight, found.delayed


class OwnQueue:
    """A queue that sensors alone read: long-polled, a message about what is awaited is the wake-up.

    A message is deleted after the look that it asked for; one that asks for none, at once. With
    ``is_shared`` (several sensors read the queue) only messages whose every event is about what is awaited
    are deleted, and those that speak of no object; the others come back after 30 seconds.
    """

    def __init__(
        self, queue: Queue, awaited: Awaited, *, is_shared: bool, now: Callable[[], float] = time.time
    ) -> None:
        self._queue = queue
        self._awaited = awaited
        self._is_shared = is_shared
        self._now = now
        self._looked_at = 0.0
        self._to_delete: list[Message] = []

    async def wait(self, seconds: float) -> None:
        """See ``WakeUp``."""
        deadline = self._now() + seconds
        is_worth_it = False
        while (left := deadline - self._now()) > 0 and len(self._to_delete) < _BURST_MESSAGES:
            wait = 1 if is_worth_it else max(1, min(_WAIT_SECONDS, int(left)))
            messages = await self._queue.receive(
                max_messages=BATCH_ENTRIES, wait_seconds=wait, visibility_seconds=_VISIBILITY_SECONDS
            )
            if self._take(messages) and not is_worth_it:
                is_worth_it = True
                deadline = min(deadline, self._looked_at + _BURST_SECONDS)
            elif not is_worth_it:
                await self._delete()

    async def looked(self) -> None:
        """See ``WakeUp``."""
        self._looked_at = self._now()
        await self._delete()

    def _take(self, messages: Sequence[Message]) -> bool:
        """Keep what is to be deleted; return whether any of the messages makes a look worth it."""
        about = [(message, self._about(message)) for message in messages]
        self._to_delete += [message for message, each in about if all(each) or not self._is_shared]
        return any(any(each) for _, each in about)

    def _about(self, message: Message) -> list[bool]:
        """Say of each event of the message whether it concerns what is awaited; of a test event, nothing."""
        try:
            parsed = parse_body(message.body, message_id=message.message_id)
        except BodyError as error:
            fate = "left in the queue" if self._is_shared else "deleted"
            log.warning("Message %s is no S3 event and is %s: %s", message.message_id, fate, error)
            return [False]
        return [self._awaited.concerns(event) for event in parsed.events] + [False] * len(parsed.bad)

    async def _delete(self) -> None:
        """Delete what has been used; what SQS does not delete comes back, and costs one more look."""
        messages, self._to_delete = self._to_delete, []
        for batch in tens(messages):
            await self._queue.delete(batch)


def wake_up_of(queue: Queue, consume: Consume, awaited: Awaited) -> WakeUp:
    """Return the way in which ``queue`` wakes; see ``S3EventSensor`` for ``consume``."""
    if consume is None:
        return ForeignQueue(queue)
    return OwnQueue(queue, awaited, is_shared=consume == "matching")
