"""Spans by name, as AWS X-Ray and W3C write them, and what a span of ours says of an event. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_s3events.decision_lines import key_digest
from airflow_s3events.events import ObjectEvent, utc_text
from airflow_s3events.identity import event_id
from airflow_s3events.messages import Message

#: The member of a run's conf, and of an asset event's payload, that names the span which made it.
TRACE_MEMBER = "traceparent"

_W3C = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_XRAY_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_SPAN_ID = re.compile(r"[0-9a-f]{16}")
#: The longest header that is read: X-Ray's has some hundred characters, and whoever may send sets it.
_LONGEST = 1_024


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One span of a trace, as others refer to it.

    Attributes:
        trace_id: 32 hexadecimal digits, not all of them 0.
        span_id: 16 of them, the same.
        is_sampled: Whether whoever made the span keeps it.
    """

    trace_id: str
    span_id: str
    is_sampled: bool

    @property
    def traceparent(self) -> str:
        """As the header ``traceparent`` has it (https://www.w3.org/TR/trace-context/#traceparent-header)."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.is_sampled):02x}"

    @staticmethod
    def of_traceparent(text: Any) -> TraceContext | None:
        """Read what ``traceparent`` gave, or another version of it; None for anything else."""
        found = _W3C.fullmatch(text) if isinstance(text, str) and len(text) <= _LONGEST else None
        if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
            return None
        return _context(found[2], found[3], is_sampled=bool(int(found[4], 16) & 1))

    @staticmethod
    def of_xray(header: str | None) -> TraceContext | None:
        """Read an X-Ray header; None where it names no span, or is none.

        It is ``Root=1-<8 digits>-<24 digits>;Parent=<16 digits>;Sampled=1``, in any order and with others
        among them (https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader).
        Without ``Parent`` it names a trace and no span of it. Sampled is what says so: ``?`` leaves it open.
        """
        if not header or len(header) > _LONGEST:
            return None
        parts = (part.partition("=") for part in header.split(";"))
        members = {name.strip().lower(): value.strip().lower() for name, _, value in parts}
        root = _XRAY_ROOT.fullmatch(members.get("root", ""))
        span_id = members.get("parent", "")
        if root is None or not _SPAN_ID.fullmatch(span_id):
            return None
        return _context(root[1] + root[2], span_id, is_sampled=members.get("sampled") == "1")


def _context(trace_id: str, span_id: str, *, is_sampled: bool) -> TraceContext | None:
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return TraceContext(trace_id, span_id, is_sampled)


def contexts_in(*holders: Any) -> list[TraceContext]:
    """Return the spans that these confs or payloads name under ``traceparent``, each once."""
    texts = (holder.get(TRACE_MEMBER) for holder in holders if isinstance(holder, Mapping))
    return [*dict.fromkeys(found for text in texts if (found := TraceContext.of_traceparent(text)))]


def queue_attributes(queue: str) -> dict[str, Any]:
    """Return what a span says of the queue, in OpenTelemetry's terms.

    https://opentelemetry.io/docs/specs/semconv/messaging/sqs/
    """
    return {
        "messaging.system": "aws_sqs",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": queue_name(queue),
    }


def event_attributes(event: ObjectEvent, message: Message | None, *, redact_keys: bool) -> dict[str, Any]:
    """Return what a span says of an event and its message; absent members are left out.

    ``aws.request_id`` is that of the request to S3, such as PutObject: what S3's access log and CloudTrail
    name it by.
    """
    found: dict[str, Any] = {
        "aws.s3.bucket": event.bucket,
        "aws.s3.key": key_digest(event.key) if redact_keys else event.key,
        "aws.request_id": event.request_id,
        "s3events.event_id": event_id(event),
        "s3events.event_type": event.event_type,
        "s3events.event_time": None if event.event_time is None else utc_text(event.event_time),
        "s3events.version_id": event.version_id,
    }
    if message is not None:
        found |= {
            "messaging.message.id": message.message_id,
            "s3events.receives": message.receive_count,
            "s3events.trace_header": _short(message.trace_header),
        }
    return {name: value for name, value in found.items() if value is not None}


def run_attributes(dag_id: str, run_id: str, outcome: str) -> dict[str, Any]:
    """Return what a span says of a run, by the names that Airflow's own spans have."""
    return {"airflow.dag_id": dag_id, "airflow.dag_run.run_id": run_id, "s3events.outcome": outcome}


def queue_name(queue: str) -> str:
    """Return the name of a queue of which the name, the ARN or the URL is given."""
    return queue.replace("/", ":").rpartition(":")[2]


def _short(header: str | None) -> str | None:
    return None if header is None else header[:_LONGEST]
