"""``DecisionLog``: one structured line for each decision that is not the normal one, and no flood of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from airflow_s3events.decision_lines import (
    WINDOW_SECONDS,
    Limiter,
    Rest,
    key_digest,
    line,
    without_keys,
    without_signatures,
)
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import BodyError
from airflow_s3events.identity import event_id
from airflow_s3events.messages import Message

log = logging.getLogger("airflow_s3events.decisions")

#: Decisions after which somebody should look; all others are information.
_WARNINGS = frozenset(
    {
        "dead_lettered",
        "not_dead_lettered",
        "lapsed",
        "unsettled",
        "breaker",
        "malformed",
        "gave_up",
        "fault",
        "audit",
        "unscored",
    }
)


class DecisionLog:
    """Writes decisions to the logger ``airflow_s3events.decisions``, at most ten of a kind in a minute.

    A line says what was decided, of which message, event and object, and why. It never holds a receipt
    handle, a message's body or what signs a URL. The message's body is read for a line that is written, and
    for no other.

    Args:
        queue: Name, ARN or URL of the queue; its name is in each line.
        redact_keys: Write the digest of an object key instead of the key; see ``key_digest``.
        clock: Monotonic seconds.
        limiter: How many lines there are.
    """

    def __init__(
        self,
        *,
        queue: str = "",
        redact_keys: bool = False,
        clock: Callable[[], float] = time.monotonic,
        limiter: Limiter | None = None,
    ) -> None:
        self._queue = queue.replace("/", ":").rpartition(":")[2]
        self._redact_keys = redact_keys
        self._clock = clock
        self._limiter = limiter or Limiter()
        self._has_rest = asyncio.Event()

    def note(
        self,
        decision: str,
        *,
        message: Message | None = None,
        event: ObjectEvent | None = None,
        outcome: str = "",
        **more: Any,
    ) -> bool:
        """Write a line about a decision, or count it; return whether it was written.

        Args:
            decision: What was decided.
            message: About which message; it names the events where ``event`` is None.
            event: About which event.
            outcome: Why, in one word of ``docs/reference/metrics.md``; decision and outcome make a kind.
            **more: Further fields; texts may hold object keys.
        """
        now = self._clock()
        self._tell(self._limiter.ended(now))
        kind = line({"decision": decision, "outcome": outcome})
        if not self._limiter.admit(kind, now):
            self._has_rest.set()
            return False
        events = _events_of(message) if event is None else [event]
        fields: dict[str, object] = {"decision": decision, "outcome": outcome, "queue": self._queue}
        if message is not None:
            fields |= {"message_id": message.message_id, "receives": message.receive_count}
        if events:
            fields |= {"event_id": event_id(events[0]), "object": self._object(events[0])}
            fields["events"] = len(events) if len(events) > 1 else None
        fields |= {name: self._clean(value, events) for name, value in more.items()}
        log.log(logging.WARNING if decision in _WARNINGS else logging.INFO, "%s", line(fields))
        return True

    def fault(self, error: Exception, message: Message) -> None:
        """Write down a fault of this package's own that a message brought out, with where it was raised.

        With redacted keys only its class is told: its text, and the source lines of a traceback, may be
        anything.
        """
        is_written = self.note("fault", message=message, outcome=type(error).__name__)
        if is_written and not self._redact_keys:
            log.error("Message %s could not be dispatched", message.message_id, exc_info=error)

    def tell_ended(self) -> None:
        """Write how many had no line, of each kind whose minute is over."""
        self._tell(self._limiter.ended(self._clock()))

    def tell_all(self) -> None:
        """Write how many had no line so far: at an end."""
        self._tell(self._limiter.end_all(self._clock()))

    async def run(self) -> None:
        """Write how many had no line, a minute after the first of them, until cancelled."""
        while True:
            await self._has_rest.wait()
            self._has_rest.clear()
            await asyncio.sleep(WINDOW_SECONDS)
            self.tell_ended()

    def _object(self, event: ObjectEvent) -> str:
        return f"s3://{event.bucket}/{key_digest(event.key) if self._redact_keys else event.key}"

    def _clean(self, value: Any, events: list[ObjectEvent]) -> Any:
        if not isinstance(value, str):
            return value
        text = without_keys(value, [event.key for event in events]) if self._redact_keys else value
        return without_signatures(text)

    def _tell(self, rests: list[Rest]) -> None:
        for rest in rests:
            log.info("%s queue=%s", rest.text(), self._queue or "-")


def _events_of(message: Message | None) -> list[ObjectEvent]:
    if message is None:
        return []
    try:
        return list(parse_body(message.body, message_id=message.delivery_id).events)
    except BodyError:
        return []
