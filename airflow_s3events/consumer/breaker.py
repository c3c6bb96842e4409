"""A circuit breaker with jittered exponential back-off: time and chance are passed in."""

from __future__ import annotations

from collections.abc import Callable

from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.exceptions import OutageError


class Breaker:
    """Closed while calls succeed; each outage opens it for longer, then lets one probe through.

    Failures that arrive while it is open change nothing: ten calls that fail together are one outage. The
    wait is drawn from the upper half of the exponential step ("equal jitter",
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), so it never collapses to zero.

    Args:
        name: What is away while it is open, for the log.
        random: Returns a number from 0 up to 1.
        first_seconds: The first step; each further one is twice as long.
        most_seconds: The longest step.
        lines: Told when it opens and when it closes.
    """

    def __init__(
        self,
        name: str,
        random: Callable[[], float],
        *,
        first_seconds: float = 1.0,
        most_seconds: float = 60.0,
        lines: DecisionLog | None = None,
    ) -> None:
        self._name = name
        self._random = random
        self._lines = lines or DecisionLog()
        self._first_seconds = first_seconds
        self._most_seconds = most_seconds
        self._failures = 0
        #: The moment before which nothing should be tried; in the past when something may.
        self.opens_until = float("-inf")
        #: Failures met, those while open left out.
        self.outages = 0
        #: The last of them while it is not over.
        self.outage: OutageError | None = None

    @property
    def is_closed(self) -> bool:
        """True while the last call succeeded; False also asks for a single probe."""
        return self._failures == 0

    def failed(self, outage: OutageError, now: float) -> None:
        """Note an outage."""
        self.outage = outage
        if now < self.opens_until:
            return
        step = min(self._most_seconds, self._first_seconds * 2.0 ** min(self._failures, 30))
        seconds = step * (0.5 + self._random() / 2)
        self._failures += 1
        self.outages += 1
        self.opens_until = now + seconds
        self._lines.note(
            "breaker", outcome="open", away=self._name, retry_seconds=round(seconds, 1), reason=str(outage)
        )

    def succeeded(self) -> None:
        """Note a call that went through."""
        if self._failures:
            self._lines.note("breaker", outcome="closed", back=self._name, failed_tries=self._failures)
        self._failures = 0
        self.outage = None
        self.opens_until = float("-inf")
