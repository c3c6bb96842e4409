"""What a dead letter is: a message put away with its reason; which are meant, and what a replay of one is."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from typing import Any

from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent, utc_text
from airflow_s3events.exceptions import BodyError, ConfigurationError
from airflow_s3events.identity import MAX_ATTEMPT, event_id
from airflow_s3events.messages import ATTEMPT_ATTRIBUTE, ORIGIN_ATTRIBUTE, Message

log = logging.getLogger(__name__)

#: Why the message could not be processed.
REASON_ATTRIBUTE = "s3events.reason"
#: ``ApproximateReceiveCount`` of the message when it was given up.
RECEIVES_ATTRIBUTE = "s3events.receives"
#: The DAG that refused the event or whose run failed, and that run.
DAG_ATTRIBUTE = "s3events.dag_id"
RUN_ATTRIBUTE = "s3events.run_id"
#: What a failure notifier knows besides.
TASK_ATTRIBUTE = "s3events.task_id"
TRY_ATTRIBUTE = "s3events.try_number"
LOG_ATTRIBUTE = "s3events.log_url"
#: Characters kept of a reason: it is read in a console's table; the log has all of it.
REASON_LENGTH = 256
#: SQS takes so many message attributes
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html).
_MOST_ATTRIBUTES = 10
#: What SQS does not take in text: anything outside XML 1.0's characters
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html).
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: Attributes that say why a message was put away: true of its past, not of what is sent again.
_OF_THE_PAST = frozenset(
    {
        REASON_ATTRIBUTE,
        RECEIVES_ATTRIBUTE,
        DAG_ATTRIBUTE,
        RUN_ATTRIBUTE,
        TASK_ATTRIBUTE,
        TRY_ATTRIBUTE,
        LOG_ATTRIBUTE,
    }
)
_NO_REASON = "none on the message: its queue's redrive policy moved it after too many receives"


def attribute_text(text: str, length: int = REASON_LENGTH) -> str:
    """Return ``text`` as SQS takes it in a message attribute: its characters, so long, and never empty."""
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)[:length] or "no reason given"


def dead_letter_attributes(
    message: Message, reason: str, about: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the message attributes of a dead-lettered copy: reason, receives, origin, ``about``, its own.

    At most ten; attributes of the message beyond that are left out, with a warning that names them.
    """
    kept = {
        REASON_ATTRIBUTE: attribute_text(reason),
        RECEIVES_ATTRIBUTE: str(message.receive_count),
        ORIGIN_ATTRIBUTE: message.delivery_id,
        **{name: attribute_text(value) for name, value in (about or {}).items()},
    }
    own = {name: text for name, text in message.attributes.items() if name not in _OF_THE_PAST | kept.keys()}
    for name in list(own)[: _MOST_ATTRIBUTES - len(kept)]:
        kept[name] = own.pop(name)
    if own:
        log.warning("Dead-lettered copy of message %s lacks attributes %s", message.message_id, sorted(own))
    return kept


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of a dead letter queue, and what it says.

    Attributes:
        message: As it was received.
        events: The object events in its body; none where it cannot be read,
        problem: and why it cannot, or an empty text.
    """

    message: Message
    events: tuple[ObjectEvent, ...]
    problem: str = ""

    @classmethod
    def of(cls, message: Message) -> DeadLetter:
        """Read one message; never raises."""
        try:
            parsed = parse_body(message.body, message_id=message.delivery_id)
        except BodyError as error:
            return cls(message, (), str(error))
        problem = "; ".join(f"record {bad.index}: {bad.reason}" for bad in parsed.bad)
        return cls(message, parsed.events, problem)

    @property
    def reason(self) -> str:
        """Why it was put away, in the words of whoever did it."""
        return self.message.attributes.get(REASON_ATTRIBUTE, _NO_REASON)

    @property
    def dag_id(self) -> str | None:
        """The DAG that refused the event or whose run failed; None where no DAG is at fault."""
        return self.message.attributes.get(DAG_ATTRIBUTE)

    def serialize(self) -> dict[str, Any]:
        """Return plain data, neither body nor receipt handle in it."""
        message = self.message
        sent_at = None
        if message.sent_at is not None:
            sent_at = utc_text(datetime.fromtimestamp(message.sent_at, timezone.utc))
        return {
            "message_id": message.message_id,
            "reason": self.reason,
            "dag_id": self.dag_id,
            "run_id": message.attributes.get(RUN_ATTRIBUTE),
            "attempt": message.attempt,
            "sent_at": sent_at,
            "receives": message.receive_count,
            "problem": self.problem or None,
            "events": [_outline(event) for event in self.events],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Which dead letters are meant: those that meet all that is given.

    Attributes:
        reason: Part of the reason, in whatever case.
        dag_id: The DAG that refused the event or whose run failed.
        key: Pattern of the object key (``*``, ``?``, ``[...]``); one event of the message must match.
        older_than_seconds: Sent so long ago or longer,
        younger_than_seconds: or less long. A message that says no time is neither.
        message_ids: SQS's ids.

    Raises:
        ConfigurationError: A time is no number from 0.
    """

    reason: str | None = None
    dag_id: str | None = None
    key: str | None = None
    older_than_seconds: float | None = None
    younger_than_seconds: float | None = None
    message_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "message_ids", tuple(self.message_ids))
        for name in ("older_than_seconds", "younger_than_seconds"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and value >= 0):
                raise ConfigurationError(f"{name}={value!r}: give a number from 0")

    def match(self, letter: DeadLetter, now: float) -> bool:
        """Return whether ``letter`` meets them all at ``now`` (seconds since the epoch)."""
        key, wanted_ids = self.key, self.message_ids
        return (
            (self.reason is None or self.reason.casefold() in letter.reason.casefold())
            and (self.dag_id is None or self.dag_id == letter.dag_id)
            and (key is None or any(fnmatchcase(event.key, key) for event in letter.events))
            and (not wanted_ids or letter.message.message_id in wanted_ids)
            and self._match_age(letter.message.sent_at, now)
        )

    def _match_age(self, sent_at: float | None, now: float) -> bool:
        older, younger = self.older_than_seconds, self.younger_than_seconds
        if older is None and younger is None:
            return True
        if sent_at is None:
            return False
        age = now - sent_at
        return (older is None or age >= older) and (younger is None or age < younger)


@dataclass(frozen=True, slots=True)
class Replay:
    """What is sent to have a dead letter processed once more."""

    body: str
    attributes: Mapping[str, str]


def replay_of(letter: DeadLetter) -> Replay:
    """Return the replay of ``letter``: its body, or the event inside a Lambda destination record.

    It carries the next attempt number, so that a failed run is started again, once for that number; a run
    that works or has succeeded is left alone. The same letter replayed twice has the same number.
    """
    message = letter.message
    own = {name: value for name, value in message.attributes.items() if name not in _OF_THE_PAST}
    attempt = min(message.attempt + 1, MAX_ATTEMPT)
    mark = {ATTEMPT_ATTRIBUTE: str(attempt), ORIGIN_ATTRIBUTE: message.delivery_id}
    return Replay(_inner(message.body), {**own, **mark})


def _inner(body: str) -> str:
    """Return what Lambda was invoked with, where that is an S3 event; else ``body`` as it is.

    A destination record wraps it
    (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html).
    """
    try:
        document = json.loads(body)
        payload = document.get("requestPayload") if isinstance(document, dict) else None
        if not isinstance(payload, dict):
            return body
        inner = json.dumps(payload)
        parse_body(inner)
    except (BodyError, ValueError, RecursionError):
        return body
    return inner


def _outline(event: ObjectEvent) -> dict[str, Any]:
    names = ("event_name", "bucket", "key", "version_id", "size")
    return {**{name: getattr(event, name) for name in names}, "event_id": event_id(event)}
