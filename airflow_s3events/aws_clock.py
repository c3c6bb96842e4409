"""How far the clock of this machine is from that of AWS, by the Date that every answer of HTTP carries."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from airflow_s3events.exceptions import SkewedClockError

#: Two clocks that are kept right differ by milliseconds; a Date by up to a second, since it has no fraction.
_MOST_SECONDS = 5.0


def date_of(answer: Mapping[str, Any]) -> float | None:
    """Return what AWS's clock showed when it answered, in whole seconds; None where the answer has no Date.

    Args:
        answer: What a call of botocore or aiobotocore returned.
    """
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return None if text is None else parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return None  # a store of its own kind


class AwsClock:
    """What AWS's clock shows by now: its Date in the latest answer, and the time that has gone by since.

    An answer that is read late makes the clock of this machine look fast, so one suspicion is no proof:
    make a call and look again.

    Args:
        now: Seconds since the epoch, by the clock that may be wrong.
        elapsed: Seconds that nobody sets (``CLOCK_MONOTONIC``).
    """

    def __init__(
        self, *, now: Callable[[], float] = time.time, elapsed: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._elapsed = elapsed
        self._difference: float | None = None

    def listen(self, client: Any) -> None:
        """Look at every answer that ``client``, one of botocore or aiobotocore, gets from now on.

        By its event ``after-call``
        (https://docs.aws.amazon.com/botocore/latest/topics/events.html).
        """
        client.meta.events.register("after-call", self._note)

    def now(self) -> float:
        """Return the seconds since the epoch by AWS's clock; by this machine's while no answer has told."""
        return self._now() - self.ahead_seconds()

    def ahead_seconds(self) -> float:
        """Return how far the clock of this machine is ahead of AWS's, or behind it (below zero).

        Zero while no answer has told.
        """
        if self._difference is None:
            return 0.0
        return self._now() - (self._elapsed() + self._difference)

    def is_right(self) -> bool:
        """Whether both clocks agree to five seconds."""
        return abs(self.ahead_seconds()) <= _MOST_SECONDS

    def check(self) -> None:
        """Raise unless both clocks agree.

        Raises:
            SkewedClockError: They differ; says which way, and what to do.
        """
        if not self.is_right():
            ahead = self.ahead_seconds()
            raise SkewedClockError(
                f"the clock of this machine is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'}"
                " that of AWS: keep it right (NTP). Nothing is handed over meanwhile, since Airflow gives a"
                " run the asset events of a time"
            )

    def _note(self, parsed: Mapping[str, Any], **_: Any) -> None:
        if (answered_at := date_of(parsed)) is not None:
            # Half a second: what a Date leaves out, on average.
            self._difference = answered_at + 0.5 - self._elapsed()
