"""A failed run, and what of it goes back to a queue: all from its run id and conf, nothing looked up."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from airflow_s3events.dead_letters import (
    DAG_ATTRIBUTE,
    REASON_ATTRIBUTE,
    RUN_ATTRIBUTE,
    Replay,
    attribute_text,
)
from airflow_s3events.events import EVENT_MEMBER, ObjectEvent
from airflow_s3events.exceptions import BodyError
from airflow_s3events.identity import MAX_ATTEMPT, event_id
from airflow_s3events.messages import ATTEMPT_ATTRIBUTE

#: The member of the event in a conf that says when its message is deleted, and thereby who retries the run.
ACKNOWLEDGE_MEMBER = "acknowledge"
#: As ``identity.run_id`` makes it.
_RUN_ID = re.compile(r"s3_(?:.+_)?(?P<event_id>[0-9a-f]{40})(?:_a(?P<attempt>[1-9][0-9]{0,8}))?")
#: Longest delay of a message that SQS takes
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html).
_LONGEST_DELAY_SECONDS = 900


class RunName(NamedTuple):
    """What a run id of this package says."""

    event_id: str
    #: 0 for the first run of the event.
    attempt: int


def name_of(run_id: str) -> RunName | None:
    """Return what ``run_id`` says; None for a run that this package did not name."""
    found = _RUN_ID.fullmatch(run_id)
    return None if found is None else RunName(found["event_id"], int(found["attempt"] or 0))


def attempts_around(attempt: int, reach: int) -> tuple[int, ...]:
    """Return the other attempts of an event whose runs tell whether one more is wanted.

    The first, and those up to ``reach`` before and behind: attempts need not follow each other, since each
    replay adds one, whether a run came of the one before or not.
    """
    near = range(max(attempt - reach, 0), min(attempt + reach, MAX_ATTEMPT) + 1)
    return tuple(sorted({0, *near} - {attempt}))


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A failed run that a dispatcher started."""

    dag_id: str
    run_id: str
    attempt: int
    event: ObjectEvent = field(repr=False)
    #: The whole conf, for a run that repeats this one.
    conf: Mapping[str, Any] = field(repr=False)
    #: ``"run_succeeded"`` where the dispatcher holds the message and retries the run by itself.
    acknowledge: str | None = None

    @classmethod
    def of(cls, dag_id: str, run_id: str, conf: Any) -> FailedRun | None:
        """Return the failed run; None where a dispatcher did not start it, or its conf holds no event.

        A run that somebody started by hand with the conf of another counts only under a run id of its event,
        or of what a ledger had the run named by, which stands in the conf as ``event_id``.
        """
        name = name_of(run_id)
        data = conf.get(EVENT_MEMBER) if isinstance(conf, Mapping) else None
        if name is None or data is None:
            return None
        try:
            event = ObjectEvent.deserialize(data)
        except BodyError:
            return None
        if name.event_id not in (event_id(event), data.get("event_id")):
            return None
        return cls(dag_id, run_id, name.attempt, event, conf, data.get(ACKNOWLEDGE_MEMBER))

    @property
    def next_run_id(self) -> str:
        """Run id of the run that repeats this one, as a dispatcher names it."""
        return self.run_id_of(min(self.attempt + 1, MAX_ATTEMPT))

    def run_id_of(self, attempt: int) -> str:
        """Run id of another attempt of the same event."""
        first = self.run_id.removesuffix(f"_a{self.attempt}")
        return f"{first}_a{attempt}" if attempt else first

    @property
    def body(self) -> str:
        """The event as the body of a message, with every member that it is named by."""
        return json.dumps({EVENT_MEMBER: self.event.serialize()})

    def resend(self) -> Replay:
        """Return the message that starts the run again: the next attempt, once for that number."""
        return Replay(self.body, {ATTEMPT_ATTRIBUTE: str(min(self.attempt + 1, MAX_ATTEMPT))})

    def dead_letter(self, reason: str, about: Mapping[str, str] | None = None) -> Replay:
        """Return the message for a dead letter queue, with the reason and what else is known."""
        attributes = {
            REASON_ATTRIBUTE: reason,
            DAG_ATTRIBUTE: self.dag_id,
            RUN_ATTRIBUTE: self.run_id,
            **(about or {}),
        }
        kept = {name: attribute_text(value) for name, value in attributes.items()}
        if self.attempt:
            kept[ATTEMPT_ATTRIBUTE] = str(self.attempt)
        return Replay(self.body, kept)


def resend_delay_seconds(attempt: int, first_delay_seconds: float) -> int:
    """Return for how long SQS hides the message after a failed ``attempt``: doubling, to 15 minutes."""
    return int(min(first_delay_seconds * 2.0 ** min(attempt, 30), _LONGEST_DELAY_SECONDS))
