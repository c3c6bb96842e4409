"""What becomes of a message, once it is known what became of its events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from airflow_s3events.dead_letters import DAG_ATTRIBUTE
from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.dispatch.gates import Closed
from airflow_s3events.dispatch.inbox import Inbox
from airflow_s3events.dispatch.outcome_lines import write_outcomes
from airflow_s3events.dispatch.settings import DispatchSettings, delay_of
from airflow_s3events.dispatch.starting import Outcome
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.holding import Waiting
from airflow_s3events.messages import Message
from airflow_s3events.metrics import Meter
from airflow_s3events.settlement import Disposition, combine

#: First delay of a message that belongs in a dead letter queue where there is none.
_NO_DEAD_LETTERS_SECONDS = 60.0


class Keeper(Protocol):
    """Who holds messages until something has come of their runs."""

    def hold(self, waiting: Waiting) -> None:
        """Hold one message."""
        ...


def put_off(
    closed: Closed, message: Message, settings: DispatchSettings, now: float, *, dag_id: str = ""
) -> Outcome:
    """Return the outcome of an event whose run cannot be made now: try again later, or give up.

    Args:
        closed: Why not, and for how long.
        message: The message that it came in.
        settings: When to give up.
        now: Seconds since the epoch.
        dag_id: Of the DAG that refuses, for the dead letter; empty where it is not one DAG's doing.
    """
    about = {DAG_ATTRIBUTE: dag_id} if dag_id else {}
    limit = settings.max_receive_count
    if limit is not None and message.receive_count >= limit:
        reason = f"{closed.reason}; received {message.receive_count} times (maxReceiveCount={limit})"
        return Outcome("gave_up", Disposition.DEAD_LETTER, reason, about=about)
    old = message.sent_at is not None and now - message.sent_at >= settings.give_up_seconds
    if closed.refused and old and message.receive_count >= settings.give_up_receives:
        return Outcome("gave_up", Disposition.DEAD_LETTER, closed.reason, about=about)
    return Outcome(
        "put_off", Disposition.RELEASE, closed.reason, delay_of(message, settings, closed.retry_seconds)
    )


@dataclass(frozen=True, slots=True)
class Dispositions:
    """Carries out what was decided about messages, and writes down what is not the normal thing.

    Args:
        inbox: Settles messages.
        settings: Whether there are dead letters, and how long a message without them is put off.
        lines: Told of each decision that is not the normal one.
        meter: Counts dead letters.
    """

    inbox: Inbox
    settings: DispatchSettings
    lines: DecisionLog
    meter: Meter

    async def carry_out(self, message: Message, outcomes: Sequence[Outcome], keeper: Keeper | None) -> None:
        """Do with ``message`` what the worst of its events' outcomes asks for.

        ``keeper`` takes what is held; without one it is left to lapse.
        """
        fate = combine(outcome.disposition for outcome in outcomes)
        write_outcomes(self.lines, message, outcomes, fate)
        deciding = [outcome for outcome in outcomes if outcome.disposition is fate]
        reason = "; ".join(outcome.reason for outcome in deciding if outcome.reason)
        what = next((outcome.what for outcome in deciding), "")
        if fate is Disposition.ACKNOWLEDGE:
            self.inbox.acknowledge(message)
        elif fate is Disposition.DEAD_LETTER:
            about = {name: text for outcome in outcomes for name, text in outcome.about.items()}
            await self._dead_letter(message, what, reason, about)
        elif fate is Disposition.HOLD and keeper is not None:
            runs = tuple(outcome.run for outcome in deciding if outcome.run)
            bad = "; ".join(o.reason for o in outcomes if o.disposition is Disposition.DEAD_LETTER)
            keeper.hold(Waiting(message, runs, bad))
        elif fate is Disposition.RELEASE:
            delay = max(outcome.retry_seconds for outcome in outcomes)
            self.inbox.release(message, delay_seconds=delay, reason=reason, outcome=what)
        else:
            self.inbox.lapse(message, reason=reason, outcome=what)

    async def _dead_letter(self, message: Message, what: str, reason: str, about: dict[str, str]) -> None:
        why = "there is no dead letter queue"
        if self.settings.has_dead_letters:
            try:
                await self.inbox.dead_letter(message, reason, about, outcome=what)
            except ConfigurationError as error:
                # One message that cannot be put away must not keep all others waiting.
                why = str(error)
            else:
                self.meter.count("messages.dead_lettered", what)
                return
        delay = delay_of(message, self.settings, _NO_DEAD_LETTERS_SECONDS)
        self.lines.note("not_dead_lettered", message=message, outcome=what, reason=why)
        self.inbox.release(message, delay_seconds=delay, reason=f"{why}: {reason}", outcome=what)
