"""The JSON Schema of an object event, as runs and asset events have it; ``s3events schema`` prints it.

Within a version members are only added. So a reader takes what it does not know as it comes (``events_of``
keeps it under ``extra``), and what is absent as null.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from airflow_s3events.events import SCHEMA as _VERSION
from airflow_s3events.facts import STATES

_TEXT = {"type": ["string", "null"]}
_TEXTS = {"type": ["object", "null"], "additionalProperties": {"type": "string"}}

_FACTS: dict[str, Any] = {
    "type": ["object", "null"],
    "description": "What S3 said of the object; there only where a route asked.",
    "required": ["state", "asked"],
    "properties": {
        "state": {"enum": list(STATES), "description": "Whether it is still the event's object."},
        "asked": {"type": "array", "items": {"type": "string"}},
        "version_id": _TEXT,
        "content_type": _TEXT,
        "storage_class": _TEXT,
        "encryption": _TEXT,
        "kms_key_id": _TEXT,
        "metadata": {**_TEXTS, "description": "User metadata, names in lower case."},
        "tags": _TEXTS,
    },
}

_PROPERTIES: dict[str, Any] = {
    "schema": {"const": _VERSION, "description": "Version of this form."},
    "envelope": {"type": "string", "description": "Nesting of envelopes, outermost first."},
    "event_name": {"type": "string", "description": "As sent, without s3:; or EventBridge's detail-type."},
    "event_type": {"type": "string", "description": "The same in S3's own terms: ObjectCreated:Put."},
    "bucket": {"type": "string"},
    "key": {"type": "string", "description": "Decoded: as you would pass it to S3."},
    "version_id": _TEXT,
    "sequencer": _TEXT,
    "size": {"type": ["integer", "null"], "minimum": 0, "description": "Bytes."},
    "etag": _TEXT,
    "event_time": {"type": ["string", "null"], "format": "date-time", "description": "UTC, with a Z."},
    "region": _TEXT,
    "request_id": _TEXT,
    "principal_id": {**_TEXT, "description": "Who; by EventBridge the requester's account or service."},
    "source_ip": _TEXT,
    "configuration_id": _TEXT,
    "delivery_id": _TEXT,
    "extra": {"type": ["object", "null"], "description": "What the envelope said beyond the other members."},
    "facts": _FACTS,
    "event_id": {"type": "string", "description": "The identity of the event; the run id ends in it."},
    "acknowledge": {"const": "run_succeeded", "description": "There where the message waits for the run."},
}


def event_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of ``conf["s3_event"]``, and of each event of an asset event."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "S3 object event",
        "type": "object",
        "required": ["envelope", "event_name", "event_type", "bucket", "key"],
        "properties": _PROPERTIES,
    }


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command and its option."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "schema",
        help="the JSON Schema of the event in a run's conf",
        description="Print the JSON Schema (2020-12) of the member s3_event of a run's conf, and of each"
        " event of an asset event. Exit status: 0.",
    )
    parser.add_argument("--json", action="store_true", help="as it is: a schema is JSON")
    return parser


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - it prints JSON in any case
    """Print the schema; return the exit status."""
    print(json.dumps(event_schema(), indent=2))
    return 0
