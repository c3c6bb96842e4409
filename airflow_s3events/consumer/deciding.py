"""What becomes of the messages held: each is decided about once, and leaves the buffer as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import ceil

from airflow_s3events.consumer.buffer import Buffer
from airflow_s3events.consumer.in_flight import Held, InFlight
from airflow_s3events.consumer.settler import Settler
from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.exceptions import OutageError
from airflow_s3events.messages import Message


class Decisions:
    """Passes what was decided on to the settler; the first decision about a message stands.

    Args:
        in_flight: The messages held.
        buffer: Those of them that were not handed over yet.
        settler: Carries out.
        counts: Gets ``lapsed``.
        lines: Told of what is released, left or has lapsed.
    """

    def __init__(
        self,
        in_flight: InFlight,
        buffer: Buffer,
        settler: Settler,
        *,
        counts: Counter[str],
        lines: DecisionLog,
    ) -> None:
        self._in_flight = in_flight
        self._buffer = buffer
        self._settler = settler
        self._counts = counts
        self._lines = lines
        #: Called when a message was let go that the settler does not hear of: there is room again.
        self.on_room: Callable[[], None] = lambda: None

    def acknowledge(self, message: Message) -> None:
        """Delete it, also if it is not held any more."""
        held = self._in_flight.get(message)
        if held is None:
            held = Held(message, size=0, received_at=0.0, visible_at=0.0, extend_at=0.0)
        if held.decision is None:
            self._buffer.discard(held)
            self._settler.delete(held)

    def release(self, message: Message, delay_seconds: float, reason: str, outcome: str) -> None:
        """Make it visible again after ``delay_seconds``."""
        held = self._in_flight.get(message)
        if held is not None and held.decision is None:
            if reason:
                seconds = round(delay_seconds)
                self._lines.note(
                    "released", message=message, outcome=outcome, delay_seconds=seconds, reason=reason
                )
            self._release(held, delay_seconds)

    def lapse(self, message: Message, reason: str, outcome: str) -> None:
        """Do nothing about it any more."""
        held = self._in_flight.get(message)
        if held is not None and held.decision is None:
            self._lines.note("left", message=message, outcome=outcome, reason=reason)
            self._drop(held)
            self.on_room()

    def lapsed(self, held: Held, held_seconds: float) -> None:
        """Note that SQS shows it to others now."""
        self._buffer.discard(held)
        reason = f"held for {held_seconds:.0f} s, and SQS extends it no longer"
        self._lines.note("lapsed", message=held.message, reason=reason)
        self.on_room()

    def give_back(self, error: BaseException | None) -> None:
        """Release what nobody decided about; after an outage of the caller's let it lapse instead."""
        for held in self._in_flight:
            if held.decision is None and isinstance(error, OutageError):
                self._drop(held)
            elif held.decision is None:
                self._release(held, 0.0)

    def lapse_rest(self) -> None:
        """Let go of what could not be settled."""
        if rest := len(self._in_flight):
            reason = f"{rest} messages could not be settled before the end and lapse"
            self._lines.note("unsettled", outcome="stopped", reason=reason)
        for held in self._in_flight:
            self._drop(held)

    def _release(self, held: Held, delay_seconds: float) -> None:
        self._buffer.discard(held)
        self._settler.release(held, max(0, ceil(delay_seconds)))

    def _drop(self, held: Held) -> None:
        self._buffer.discard(held)
        self._in_flight.remove(held)
        self._counts["lapsed"] += 1
