"""Audit records: what one is, what it is written as, and how many go together. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import sha256
from typing import Any

from airflow_s3events.events import ObjectEvent, utc_text
from airflow_s3events.identity import event_id

#: Of one call of ``PutLogEvents``: events, bytes, and bytes that each event counts beside its text
#: (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html).
_MOST_LOG_EVENTS = 10_000
_MOST_LOG_BYTES = 1_048_576
_LOG_EVENT_BYTES = 26
#: Characters of a reason that a record keeps.
_LONGEST_REASON = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One decision about one event.

    Attributes:
        at: When it was decided, in seconds since the epoch.
        queue: URL, ARN or name of the queue.
        dispatcher: ``dag_id/task_id`` of who decided.
        event: The event; None of what cannot be read.
        dag_id: The DAG of its route; empty where no route takes it.
        run_id: Its run, where this decision made, found or waits for one.
        outcome: As in ``docs/reference/metrics.md``: ``started``, ``duplicate``, ``put_off`` and so on.
        disposition: The fate that it asks for its message.
        reason: For people.
        message_id: SQS's; empty of an event of a batch, whose message another dispatcher may hold.
        receives: How often the message had been received; 0 where that is not known.
    """

    at: float
    queue: str
    dispatcher: str
    event: ObjectEvent | None
    dag_id: str
    run_id: str | None
    outcome: str
    disposition: str
    reason: str
    message_id: str
    receives: int

    def serialize(self) -> dict[str, Any]:
        """Return plain data; object keys are in it, whatever ``redact_keys`` says of logs."""
        event = self.event
        about = ("bucket", "key", "version_id", "event_type", "principal_id", "request_id")
        return {
            "time": utc_text(datetime.fromtimestamp(self.at, timezone.utc)),
            "event_id": None if event is None else event_id(event),
            **{name: getattr(event, name, None) for name in about},
            "dag_id": self.dag_id or None,
            "run_id": self.run_id,
            "outcome": self.outcome,
            "disposition": self.disposition,
            "reason": self.reason[:_LONGEST_REASON] or None,
            "queue": self.queue,
            "dispatcher": self.dispatcher,
            "message_id": self.message_id or None,
            "receives": self.receives or None,
        }

    def line(self) -> str:
        """Return it as one line of JSON, in ASCII."""
        return json.dumps(self.serialize(), separators=(",", ":"))


def object_key(prefix: str, records: Sequence[AuditRecord]) -> str:
    """Return where these records go: ``2026/11/26/<dispatcher>/134501-<digest>.jsonl`` under the prefix.

    The digest is that of the lines, so that a second try of one put writes the same object.
    """
    first = datetime.fromtimestamp(records[0].at, timezone.utc)
    digest = sha256("\n".join(record.line() for record in records).encode()).hexdigest()[:16]
    return f"{prefix}{first:%Y/%m/%d}/{records[0].dispatcher}/{first:%H%M%S}-{digest}.jsonl"


def log_calls(records: Sequence[AuditRecord]) -> Iterator[list[dict[str, Any]]]:
    """Yield the log events of each call: CloudWatch Logs wants them in the order of their times."""
    call: list[dict[str, Any]] = []
    size = 0
    for record in sorted(records, key=lambda one: one.at):
        text = record.line()
        own = len(text) + _LOG_EVENT_BYTES
        if call and (len(call) == _MOST_LOG_EVENTS or size + own > _MOST_LOG_BYTES):
            yield call
            call, size = [], 0
        call.append({"timestamp": int(record.at * 1000), "message": text})
        size += own
    if call:
        yield call
