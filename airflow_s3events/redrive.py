"""Dead letters: look at them, send them back to be processed, put them elsewhere, delete them.

Every action receives messages of the dead letter queue as any consumer does: SQS has no way to look without
receiving. What is looked at is hidden from others meanwhile, given back at once afterwards, and costs each
message one receive; nothing of that matters unless the dead letter queue has a redrive policy of its own.
Killed in between, a look or an action leaves what it had received hidden for two minutes, and nothing else:

* killed before a copy is sent: the letter is still there;
* killed after a copy is sent and before the letter is deleted: both are there. Replayed again it carries the
  same attempt number, so it leads to the same run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_s3events.consumer import Consumer, ConsumerSettings, Queue
from airflow_s3events.dead_letters import (
    Criteria,
    DeadLetter,
    Replay,
    dead_letter_attributes,
    replay_of,
)
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.sqs import SqsQueue

#: A letter stays hidden so long when the process that looks at it is killed.
_HIDDEN_SECONDS = 120
#: Without a message for so long, the queue has been read. SQS asks all its servers in a long poll only.
_IDLE_SECONDS = 2.0
#: Letters looked at in one go: what does not meet the criteria stays hidden to the end, or it would be
#: received again and again.
MOST_LOOKED_AT = 10_000
_MOST_BYTES = 256 * 1024 * 1024

#: What is done to one letter: None to leave it as it is, else why, in the report.
_Act = Callable[[Consumer, DeadLetter], Awaitable[None]]


@dataclass(slots=True)
class Report:
    """What became of the letters.

    Attributes:
        looked_at: Letters received.
        came_back: Of those, ones that had been sent before, and were dead-lettered again meanwhile or not
            deleted by SQS: they are left as they are.
        matched: Of the others, the ones that were meant.
        done: Of those, the ones that the action was carried out for; with ``dry_run`` none.
        refused: SQS's message id to why SQS refused the copy; the letter is where it was.
    """

    looked_at: int = 0
    came_back: int = 0
    matched: int = 0
    done: int = 0
    refused: dict[str, str] = field(default_factory=dict)

    def serialize(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass(slots=True, kw_only=True)
class DeadLetterQueue:
    """A dead letter queue and what can be done with what is in it.

    Args:
        queue: The dead letter queue.
        now: Seconds since the epoch.
        idle_seconds: The queue counts as read after so long without a message.
        tell: Called with the report after each letter.
    """

    queue: Queue
    now: Callable[[], float] = time.time
    idle_seconds: float = field(default_factory=lambda: _IDLE_SECONDS)
    tell: Callable[[Report], None] = lambda _: None

    async def look(
        self, criteria: Criteria | None = None, *, most: int = 1_000
    ) -> tuple[list[DeadLetter], Report]:
        """Return up to ``most`` letters that meet ``criteria``; all are given back."""
        found: list[DeadLetter] = []

        async def keep(_: Consumer, letter: DeadLetter) -> None:
            found.append(letter)

        report = await self._each(criteria, most, keep)
        report.done = 0
        return found, report

    async def replay(
        self,
        to: Queue,
        criteria: Criteria | None = None,
        *,
        most: int = MOST_LOOKED_AT,
        max_per_second: float | None = None,
        dry_run: bool = False,
    ) -> Report:
        """Send letters to ``to`` to be processed once more, with the next attempt number, then delete them.

        Each is sent once: a dispatcher that is awake may find out at once that one cannot be processed, and
        dead-letter it again while this goes on.

        Args:
            to: The queue of a dispatcher.
            criteria: Which; None: all.
            most: At most so many.
            max_per_second: At most so many a second; None: as fast as SQS takes them.
            dry_run: Change nothing, and report what would be done.

        Raises:
            ConfigurationError: ``to`` is the dead letter queue itself, or SQS refuses a call.
            OutageError: SQS is away.
        """
        return await self._send(to, criteria, most, max_per_second, replay_of, dry_run=dry_run)

    async def park(
        self,
        to: Queue,
        criteria: Criteria | None = None,
        *,
        most: int = MOST_LOOKED_AT,
        reason: str | None = None,
        dry_run: bool = False,
    ) -> Report:
        """Put letters into another queue, with all they carry and, if given, another ``reason``.

        Arguments and errors as for ``replay``.
        """

        def parked(letter: DeadLetter) -> Replay:
            message = letter.message
            attributes = dict(message.attributes)
            if reason is not None:
                attributes = dead_letter_attributes(message, reason)
            return Replay(message.body, attributes)

        return await self._send(to, criteria, most, None, parked, dry_run=dry_run)

    async def purge(
        self, criteria: Criteria | None = None, *, most: int = MOST_LOOKED_AT, dry_run: bool = False
    ) -> Report:
        """Delete letters for good. Arguments and errors as for ``replay``."""

        async def delete(consumer: Consumer, letter: DeadLetter) -> None:
            consumer.acknowledge(letter.message)

        return await self._each(criteria, most, _nothing if dry_run else delete, dry_run=dry_run)

    async def _send(
        self,
        to: Queue,
        criteria: Criteria | None,
        most: int,
        max_per_second: float | None,
        copy_of: Callable[[DeadLetter], Replay],
        *,
        dry_run: bool,
    ) -> Report:
        if (await to.describe()).arn == (await self.queue.describe()).arn:
            raise ConfigurationError("to: this is the dead letter queue itself; name another queue")
        pace = 0.0 if max_per_second is None else 1.0 / max_per_second

        async def send(consumer: Consumer, letter: DeadLetter) -> None:
            copy = copy_of(letter)
            await to.send(copy.body, attributes=copy.attributes)
            consumer.acknowledge(letter.message)
            await asyncio.sleep(pace)

        return await self._each(criteria, most, _nothing if dry_run else send, dry_run=dry_run, sends=True)

    async def _each(
        self,
        criteria: Criteria | None,
        most: int,
        act: _Act,
        *,
        dry_run: bool = False,
        sends: bool = False,
    ) -> Report:
        report = Report()
        wanted = criteria or Criteria()
        sent: set[str] = set()
        async with self._letters() as (consumer, letters):
            async for letter in letters:
                report.looked_at += 1
                if letter.message.delivery_id in sent:
                    report.came_back += 1
                elif wanted.match(letter, self.now()):
                    report.matched += 1
                    if sends:
                        sent.add(letter.message.delivery_id)
                    await _carry_out(act, consumer, letter, report, dry_run=dry_run)
                self.tell(report)
                if report.matched >= most:
                    break
        return report

    @asynccontextmanager
    async def _letters(self) -> AsyncIterator[tuple[Consumer, AsyncIterator[DeadLetter]]]:
        """Yield each letter once; what nobody acknowledged is given back at the end."""
        settings = ConsumerSettings(
            visibility_seconds=_HIDDEN_SECONDS,
            max_in_flight=MOST_LOOKED_AT,
            max_in_flight_bytes=_MOST_BYTES,
            idle_seconds=self.idle_seconds,
        )
        async with Consumer(self.queue, settings) as consumer:
            yield consumer, _letters_of(consumer)
            await consumer.flush()


async def _letters_of(consumer: Consumer) -> AsyncIterator[DeadLetter]:
    async for batch in consumer.batches():
        for message in batch:
            yield DeadLetter.of(message)


async def _carry_out(
    act: _Act, consumer: Consumer, letter: DeadLetter, report: Report, *, dry_run: bool
) -> None:
    try:
        await act(consumer, letter)
    except ConfigurationError as error:
        report.refused[letter.message.message_id] = str(error)
    else:
        report.done += not dry_run


async def _nothing(consumer: Consumer, letter: DeadLetter) -> None:
    """What a dry run does."""


async def only_source(queue: SqsQueue) -> str:
    """Return the URL of the one queue whose redrive policy leads to ``queue``.

    Raises:
        ConfigurationError: There is none, or more than one.
    """
    urls = await queue.source_urls()
    if len(urls) != 1:
        raise ConfigurationError(
            f"to: the redrive policies of {len(urls)} queues lead to this dead letter queue; name the one to"
            " send to"
        )
    return urls[0]
