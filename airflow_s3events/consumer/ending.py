"""When a consumer's batches end: idle for long enough, or at the end of its life. Time is passed in."""

from __future__ import annotations

from math import ceil

#: SQS takes whole seconds; less than this above one is not worth another.
_NEGLIGIBLE_SECONDS = 0.01


class Ending:
    """Knows since when the caller waits in vain, and how long that and its life may go on.

    Args:
        idle_seconds: Batches end after so long without a message; None never.
        life_seconds: Batches end so long after ``open``; None never.
        longest_wait_seconds: Of one receive.
    """

    def __init__(
        self, idle_seconds: float | None, life_seconds: float | None, longest_wait_seconds: int
    ) -> None:
        self._idle_seconds = float("inf") if idle_seconds is None else idle_seconds
        self._life_seconds = float("inf") if life_seconds is None else life_seconds
        self._longest_wait_seconds = longest_wait_seconds
        self._has_received = False
        #: The caller has something to wait for: it is never idle.
        self.stays = False
        self.caller_is_waiting = False
        #: The end of the life.
        self.ends_at = float("inf")
        #: The end of the idle time; never while the caller works.
        self.idle_until = float("inf")

    @property
    def _patience_seconds(self) -> float:
        return float("inf") if self.stays else self._idle_seconds

    def open(self, now: float) -> None:
        """Begin the life."""
        self.ends_at = now + self._life_seconds

    def caller_waits(self, now: float) -> None:
        """Begin the idle time."""
        self.caller_is_waiting = True
        self.idle_until = now + self._patience_seconds
        self._has_received = False

    def caller_works(self) -> None:
        """End the idle time."""
        self.caller_is_waiting = False
        self.idle_until = float("inf")

    def message_came(self, now: float) -> None:
        """Begin the idle time anew, if the caller waits."""
        if self.caller_is_waiting:
            self.idle_until = now + self._patience_seconds

    def receive_ended(self) -> None:
        """Note that the queue was asked since the caller waits: without that it cannot be called empty."""
        self._has_received = True

    def is_idle(self, now: float) -> bool:
        """Whether the idle time is over."""
        return self._has_received and now >= self.idle_until

    def wait_seconds(self, now: float, *, is_batching: bool) -> int | None:
        """Return how long a receive that starts now may wait to end with all this; None: start none.

        While the caller works, or a batch waits to become complete, the idle time has not begun: a receive no
        longer than that cannot outlast it.
        """
        if now >= self.ends_at or (not is_batching and self.is_idle(now)):
            return None
        has_begun = self.caller_is_waiting and not is_batching
        idle_left = self.idle_until - now if has_begun else self._patience_seconds
        left = min(self._longest_wait_seconds, self.ends_at - now, max(idle_left, 1.0))
        return ceil(left - _NEGLIGIBLE_SECONDS)
