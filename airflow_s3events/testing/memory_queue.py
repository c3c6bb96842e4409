"""A queue with SQS's rules, in memory."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.messages import Message, QueueAttributes
from airflow_s3events.testing.faults import FaultPlan
from airflow_s3events.testing.virtual_time import now

# SQS's limits (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html).
_MOST_ENTRIES = 10
_LONGEST_WAIT_SECONDS = 20
_MAX_VISIBILITY_SECONDS = 43_200
_MAX_DELAY_SECONDS = 900
_MOST_ATTRIBUTES = 10
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ATTRIBUTE_NAME = re.compile(r"(?!aws\.|amazon\.)[\w.-]{1,256}", re.ASCII | re.IGNORECASE)
#: Moments closer than this are the same: seconds since the epoch in a float are no finer than 0.2
#: microseconds.
_SAME_SECONDS = 1e-5


@dataclass(slots=True, eq=False)
class _Stored:
    message_id: str
    body: str
    attributes: Mapping[str, str]
    sent_at: float
    visible_at: float
    receives: int = 0
    received_at: float = 0.0


class InMemoryQueue:
    """A queue in memory: visibility timeouts, receive counts, long polling, delays, a redrive policy.

    Strict where SQS leaves room: an old receipt handle never deletes, and messages come in the order in which
    they became visible. Nothing expires.

    Args:
        name: The end of its ARN.
        visibility_seconds: Visibility timeout of a receive that names none. Default 30, as in SQS.
        retention_seconds: What ``describe`` says.
        max_message_bytes: Longest body and attributes together. Default 1 MiB, as in SQS.
        dead_letters: Target of its redrive policy,
        max_receive_count: and the receive after this many moves a message there.
        clock: Seconds since the epoch. Default: real time, or the time of ``run_in_virtual_time``.
        faults: What goes wrong.
    """

    def __init__(
        self,
        name: str = "queue",
        *,
        visibility_seconds: int = 30,
        retention_seconds: int = 345_600,
        max_message_bytes: int = 1_048_576,
        dead_letters: InMemoryQueue | None = None,
        max_receive_count: int | None = None,
        clock: Callable[[], float] = now,
        faults: FaultPlan | None = None,
    ) -> None:
        if (dead_letters is None) != (max_receive_count is None):
            raise ConfigurationError("dead_letters, max_receive_count: a redrive policy has both")
        self.arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
        self.faults = faults or FaultPlan()
        #: Calls so far, by name.
        self.calls: Counter[str] = Counter()
        self._visibility_seconds = visibility_seconds
        self._retention_seconds = retention_seconds
        self._max_message_bytes = max_message_bytes
        self._dead_letters = dead_letters
        self._max_receive_count = max_receive_count
        self._clock = clock
        self._stored: dict[str, _Stored] = {}
        self._schedule: list[tuple[float, int, _Stored]] = []
        self._numbers = itertools.count(1)
        self._pollers: set[asyncio.Event] = set()

    def __len__(self) -> int:
        """All messages, hidden and delayed ones too."""
        return len(self._stored)

    def put(self, body: str, *, attributes: Mapping[str, str] | None = None, delay_seconds: int = 0) -> str:
        """Put a message in, without an event loop and without faults; return its message id.

        Raises:
            ConfigurationError: SQS would refuse it.
        """
        own = dict(attributes or {})
        self._check(body, own, delay_seconds)
        sent_at = self._clock()
        message_id = f"{next(self._numbers):08x}-0000-4000-8000-000000000000"
        stored = _Stored(message_id, body, own, sent_at, sent_at)
        self._stored[message_id] = stored
        self._show(stored, sent_at + delay_seconds)
        return message_id

    def peek(self) -> list[Message]:
        """Return all messages, hidden ones too, in the order in which they came, without receiving them."""
        return [self._message(stored) for stored in self._stored.values()]

    async def receive(
        self, *, max_messages: int = 10, wait_seconds: int = 20, visibility_seconds: int | None = None
    ) -> list[Message]:
        """See ``consumer.Queue``."""
        self._begin("receive")
        seconds = self._visibility_seconds if visibility_seconds is None else visibility_seconds
        _in_range("MaxNumberOfMessages", max_messages, 1, _MOST_ENTRIES)
        _in_range("WaitTimeSeconds", wait_seconds, 0, _LONGEST_WAIT_SECONDS)
        _in_range("VisibilityTimeout", seconds, 0, _MAX_VISIBILITY_SECONDS)
        self.faults.before("receive")
        deadline = asyncio.get_running_loop().time() + wait_seconds
        while not (found := self._take(max_messages, seconds)):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await self._wait(left)
        self.faults.after("receive")
        return found

    async def delete(self, messages: Sequence[Message]) -> list[Message]:
        """See ``consumer.Queue``."""
        if not self._begin_batch("delete", len(messages)):
            return []
        refused = self.faults.refused("delete")
        failed = [m for index, m in enumerate(messages) if refused(index) or not self._delete(m)]
        self.faults.after("delete")
        return failed

    async def change_visibility(self, entries: Sequence[tuple[Message, int]]) -> list[Message]:
        """See ``consumer.Queue``."""
        if not self._begin_batch("change_visibility", len(entries)):
            return []
        refused = self.faults.refused("change_visibility")
        failed = [
            message
            for index, (message, seconds) in enumerate(entries)
            if refused(index) or not self._hide(message, seconds)
        ]
        self.faults.after("change_visibility")
        return failed

    async def send(self, body: str, *, attributes: Mapping[str, str], delay_seconds: int = 0) -> str:
        """See ``consumer.Queue``."""
        self._begin("send")
        self.faults.before("send")
        message_id = self.put(body, attributes=attributes, delay_seconds=delay_seconds)
        self.faults.after("send")
        return message_id

    async def describe(self) -> QueueAttributes:
        """See ``consumer.Queue``."""
        self._begin("describe")
        self.faults.before("describe")
        at = self._clock()
        hidden = [stored for stored in self._stored.values() if stored.visible_at > at]
        delayed = sum(stored.receives == 0 for stored in hidden)
        return QueueAttributes(
            arn=self.arn,
            visibility_seconds=self._visibility_seconds,
            retention_seconds=self._retention_seconds,
            dead_letter_arn=None if self._dead_letters is None else self._dead_letters.arn,
            max_receive_count=self._max_receive_count,
            waiting=len(self._stored) - len(hidden),
            in_flight=len(hidden) - delayed,
            delayed=delayed,
            max_message_bytes=self._max_message_bytes,
        )

    def _begin(self, call: str) -> None:
        self.calls[call] += 1

    def _begin_batch(self, call: str, entries: int) -> bool:
        if entries > _MOST_ENTRIES:
            raise ValueError(f"{call} takes {_MOST_ENTRIES} entries, not {entries}")
        if entries:
            self._begin(call)
            self.faults.before(call)  # type: ignore[arg-type]
        return entries > 0

    def _check(self, body: str, attributes: Mapping[str, str], delay_seconds: int) -> None:
        _in_range("DelaySeconds", delay_seconds, 0, _MAX_DELAY_SECONDS)
        texts = [body, *attributes.values()]
        size = sum(len(text.encode("utf-8", "surrogatepass")) for text in [*texts, *attributes])
        if not all(texts) or any(map(_ILLEGAL.search, texts)):
            raise ConfigurationError("SQS refuses an empty text and characters that XML 1.0 has not")
        if size > self._max_message_bytes:
            limit = self._max_message_bytes
            raise ConfigurationError(f"SQS refuses {size} bytes; MaximumMessageSize is {limit}")
        if len(attributes) > _MOST_ATTRIBUTES or not all(map(_ATTRIBUTE_NAME.fullmatch, attributes)):
            raise ConfigurationError("SQS takes ten attributes, named in letters, digits, _, - and .")

    def _show(self, stored: _Stored, visible_at: float) -> None:
        """Make visible at that moment; an older entry in the schedule no longer fits and is passed over."""
        stored.visible_at = visible_at
        heapq.heappush(self._schedule, (visible_at, next(self._numbers), stored))
        for poller in self._pollers:
            poller.set()

    def _take(self, most: int, visibility_seconds: int) -> list[Message]:
        at = self._clock()
        taken: list[_Stored] = []
        while len(taken) < most and self._schedule and self._schedule[0][0] <= at + _SAME_SECONDS:
            visible_at, _, stored = heapq.heappop(self._schedule)
            if self._stored.get(stored.message_id) is not stored or stored.visible_at != visible_at:
                continue
            if self._max_receive_count is not None and stored.receives >= self._max_receive_count:
                self._move(stored)
                continue
            stored.receives += 1
            stored.received_at = at
            taken.append(stored)
        messages = [self._message(stored) for stored in taken]
        for stored in taken:
            hidden = 0 if self.faults.takes("duplicate") else visibility_seconds
            self._show(stored, at + hidden)
        return messages

    def _move(self, stored: _Stored) -> None:
        del self._stored[stored.message_id]
        assert self._dead_letters is not None  # noqa: S101 - narrows the type: there is a redrive policy
        self._dead_letters._stored[stored.message_id] = stored
        self._dead_letters._show(stored, self._clock())

    async def _wait(self, seconds: float) -> None:
        """Wait until something may have become visible, at most so long."""
        if self._schedule:
            seconds = min(seconds, max(0.0, self._schedule[0][0] - self._clock()))
        changed = asyncio.Event()
        self._pollers.add(changed)
        alarm = asyncio.get_running_loop().call_later(seconds, changed.set)
        try:
            await changed.wait()
        finally:
            alarm.cancel()
            self._pollers.discard(changed)

    def _message(self, stored: _Stored) -> Message:
        return Message(
            message_id=stored.message_id,
            receipt_handle=f"handle/{stored.message_id}/{stored.receives}",
            body=stored.body,
            receive_count=stored.receives,
            sent_at=stored.sent_at,
            received_at=self._clock(),
            attributes=stored.attributes,
        )

    def _latest(self, message: Message) -> _Stored | None:
        """Return what the receipt handle stands for, unless it was received again since, or deleted."""
        _, message_id, receives = message.receipt_handle.split("/")
        stored = self._stored.get(message_id)
        return stored if stored is not None and str(stored.receives) == receives else None

    def _delete(self, message: Message) -> bool:
        if not message.receipt_handle.startswith("handle/"):
            return False
        stored = self._latest(message)
        if stored is not None and not self.faults.takes("ignored delete"):
            del self._stored[stored.message_id]
        return True

    def _hide(self, message: Message, seconds: int) -> bool:
        _in_range("VisibilityTimeout", seconds, 0, _MAX_VISIBILITY_SECONDS)
        stored = self._latest(message) if message.receipt_handle.startswith("handle/") else None
        at = self._clock()
        if stored is None or stored.visible_at <= at:
            return False
        if seconds and at + seconds > stored.received_at + _MAX_VISIBILITY_SECONDS + _SAME_SECONDS:
            return False
        self._show(stored, at + seconds)
        return True


def _in_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f"{name}={value}: SQS takes {low} to {high}")
