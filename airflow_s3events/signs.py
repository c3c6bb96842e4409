"""Signs: what a dispatcher leaves word of while something is wrong, for whoever looks from outside. Pure.

SQS and Airflow can be asked for most of what may be wrong; some of it only who works can know: that its
ledger is away, say. That is left where whoever may see the DAG may read it: each sign in an XCom of the task,
whose key is ``SIGNS_KEY`` and the sign's name. It is written when it begins, renewed while it lasts, and
taken back when it ends; the word of who was killed grows old.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_s3events.exceptions import (
    AwsOutageError,
    LedgerOutageError,
    S3EventsError,
    SkewedClockError,
    ThrottledError,
)

#: Head of an XCom's key.
SIGNS_KEY = "s3events_sign_"
#: Seconds after which what lasts is written anew.
RENEW_SECONDS = 60.0
#: Seconds for which what happened once is told; what lasts is told for as long after it was last written.
_TOLD_SECONDS = 300.0
_LONGER = {"clock_wrong": 900.0, "anomaly": 3_600.0}
_LONGEST_REASON = 300
#: How databases and operating systems say it: PostgreSQL, SQLite, MySQL, Linux.
_DISK_FULL = re.compile(r"no space left|disk is full|disk full|table '.*' is full", re.IGNORECASE)
#: SQS refuses a signature from another time than its own.
_SKEWED = re.compile(r"signature (expired|not yet current)", re.IGNORECASE)
#: By the kind of outage, the narrow ones first.
_OF_OUTAGE: tuple[tuple[type[S3EventsError], str], ...] = (
    (ThrottledError, "throttled"),
    (SkewedClockError, "clock_wrong"),
    (LedgerOutageError, "ledger_away"),
    (AwsOutageError, "aws_away"),
)


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that is wrong.

    Attributes:
        code: A name of ``watchdog.FINDINGS``.
        reason: What was seen.
        at: When, or when it was last so; seconds since the epoch.
    """

    code: str
    reason: str
    at: float

    def is_told(self, now: float) -> bool:
        """Whether it is still worth telling."""
        return now - self.at <= _LONGER.get(self.code, _TOLD_SECONDS)

    def serialize(self) -> str:
        """Return it as JSON text: what stands in the XCom."""
        return json.dumps({"reason": self.reason[:_LONGEST_REASON], "at": round(self.at, 3)})

    @staticmethod
    def deserialize(key: str, data: Any) -> Sign | None:
        """Return the sign of an XCom; None where it is none, or was taken back.

        Args:
            key: Of the XCom.
            data: Its value. Airflow's API may have quoted the text once more.
        """
        try:
            while isinstance(data, str):
                data = json.loads(data)
            sign = Sign(key.removeprefix(SIGNS_KEY), str(data["reason"]), float(data["at"]))
        except (KeyError, TypeError, ValueError):
            return None
        return sign if key.startswith(SIGNS_KEY) and sign.at else None


def sign_of(error: Exception, otherwise: str = "airflow_away") -> str:
    """Return the name of what an error is a sign of.

    Args:
        error: What was met.
        otherwise: Its name where nothing narrower is known.
    """
    if _DISK_FULL.search(str(error)):
        return "disk_full"
    if _SKEWED.search(str(error)):
        return "clock_wrong"
    return next((code for kind, code in _OF_OUTAGE if isinstance(error, kind)), otherwise)


class Signs:
    """The signs of one dispatcher, and which of them it has left word of."""

    def __init__(self) -> None:
        self._happened: dict[str, Sign] = {}
        #: When each was written last.
        self._left: dict[str, float] = {}

    def note(self, found: Mapping[str, str], now: float) -> None:
        """Note what has happened, by its name the reason."""
        for code, reason in found.items():
            self._happened[code] = Sign(code, reason, now)

    def due(self, away: Iterable[Exception], now: float) -> list[Sign]:
        """Return what is to be written now; what has ended is without a reason, at 0.

        Args:
            away: What is away at this moment.
            now: Seconds since the epoch.
        """
        lasting = {sign_of(error): Sign(sign_of(error), str(error), now) for error in away}
        self._happened = {code: sign for code, sign in self._happened.items() if sign.is_told(now)}
        return list(self._changed({**self._happened, **lasting}, now))

    def _changed(self, signs: Mapping[str, Sign], now: float) -> Iterator[Sign]:
        for code, sign in signs.items():
            left_at = self._left.get(code)
            if left_at is None or (sign.at > left_at and now - left_at >= RENEW_SECONDS):
                self._left[code] = now
                yield sign
        for code in self._left.keys() - signs.keys():
            del self._left[code]
            yield Sign(code, "", 0.0)
