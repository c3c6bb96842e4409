"""What a dispatcher decided about a message's events, as lines of the log."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.dispatch.starting import Outcome
from airflow_s3events.messages import Message
from airflow_s3events.settlement import Disposition

#: Outcomes that need no line.
_NORMAL = frozenset({"started", "duplicate", "grouped"})
#: Fates of messages that the inbox writes down itself, with their reason.
_TOLD_BY_INBOX = frozenset({Disposition.DEAD_LETTER, Disposition.RELEASE, Disposition.LAPSE})


def write_outcomes(
    lines: DecisionLog, message: Message, outcomes: Sequence[Outcome], fate: Disposition
) -> None:
    """Write down what is not normal and not told with what becomes of the message.

    Args:
        lines: The log.
        message: The message.
        outcomes: Of its events.
        fate: What becomes of the message.
    """
    for outcome in outcomes:
        is_told_there = outcome.disposition is fate and fate in _TOLD_BY_INBOX
        if outcome.what not in _NORMAL and not is_told_there:
            lines.note(
                "held" if outcome.disposition is Disposition.HOLD else outcome.what,
                message=message,
                event=outcome.event,
                outcome=outcome.what,
                dag_id=outcome.dag_id,
                run_id=(outcome.run or outcome.created or ("", ""))[1],
                reason=outcome.reason,
            )
