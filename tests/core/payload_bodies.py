"""Bodies to read: those of ``tests/payloads``, and small ones made for one test."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow_s3events.envelopes import Parsed, parse_body
from airflow_s3events.events import ObjectEvent

PAYLOADS = Path(__file__).parents[1] / "payloads"
MOMENT = datetime(2026, 10, 5, 10, 20, 30, 456000, tzinfo=timezone.utc)
SECOND = MOMENT.replace(microsecond=0)


def payload_text(name: str) -> str:
    return (PAYLOADS / f"{name}.json").read_text()


def payload(name: str) -> Any:
    return json.loads(payload_text(name))


def parse(document: Any) -> Parsed:
    return parse_body(json.dumps(document), message_id="m")


def one(document: Any) -> ObjectEvent:
    (event,) = parse(document).events
    return event


def put(**of_object: Any) -> dict[str, Any]:
    body: dict[str, Any] = payload("put")
    body["Records"][0]["s3"]["object"] |= of_object
    return body


def record(**members: Any) -> dict[str, Any]:
    body: dict[str, Any] = payload("put")
    body["Records"][0] |= members
    return body


def detail(**members: Any) -> dict[str, Any]:
    body: dict[str, Any] = payload("eventbridge-created")
    body["detail"] |= members
    return body
