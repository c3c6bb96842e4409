"""Makes what was planned, and again while another task has overwritten it.

SQS, SNS and KMS replace a policy whole and have no condition for it, as S3 has none for a bucket's
configuration. So each change of a policy reads it again right before it sets it; who set in the moment
between another's reading and setting is overwritten all the same, and finds that out here.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from airflow_s3events.exceptions import OutageError
from airflow_s3events.notification_setup.changes import Change

_log = logging.getLogger(__name__)

#: Times that something is written until we give up against somebody who overwrites it.
ROUNDS = 3


def pause(settle_seconds: float) -> None:
    """Wait, and not in step with another task that was overwritten in the same moment."""
    time.sleep(settle_seconds * random.uniform(1.0, 1.5))  # noqa: S311


def make(changes: list[Change], tell: Callable[[str], None]) -> None:
    """Make one change after the other, and tell each when it is made."""
    for change in changes:
        change.make()
        for line in change.lines:
            tell(line)


def read_back(
    plan: Callable[[], list[Change]],
    *,
    settle_seconds: float,
    is_settled: bool,
    tell: Callable[[str], None],
) -> None:
    """Plan again after a while, and make what is left to be done, until nothing is.

    Args:
        plan: Reads everything anew.
        settle_seconds: How long after a change to look.
        is_settled: It has been as long as that already.
        tell: Told what is made again.

    Raises:
        OutageError: Somebody overwrites it again and again.
    """
    for number in range(ROUNDS):
        if number or not is_settled:
            pause(settle_seconds)
        left = plan()
        if not left:
            return
        lines = [line for change in left for line in change.lines]
        if number < ROUNDS - 1:
            _log.warning("somebody else has overwritten what was just set; once more: %s", "; ".join(lines))
            make(left, tell)
    raise OutageError(
        f"after {ROUNDS} rounds this is still to be done: {'; '.join(lines)}. Somebody else sets the same at"
        " the same time; stop that tool, and run this again"
    )
