"""``s3events decode``: the body of a message in, one object event a line out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import IO, Any

from airflow_s3events.envelopes import Parsed, parse_body
from airflow_s3events.exceptions import BodyError
from airflow_s3events.identity import event_id, run_id
from airflow_s3events.terminal import note

OK = 0
#: The body is not an S3 event, or cannot be read at all.
NOT_AN_EVENT = 2
#: Some records name an object, others do not.
SOME_BAD = 3

# SQS carries 1 MiB; whoever kept a body may have indented it since.
_MOST_BYTES = 16 * 1024 * 1024

_NOTES = {
    "test": "an s3:TestEvent: S3 sends it when notifications are configured, no object is meant",
    "none": "no records: nothing happened to any object",
}


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "decode",
        help="the body of a message in, one JSON object event a line out",
        description="Read the body of one SQS message and print each object event in it as a line of JSON,"
        " with the event id and run id that it would get. Notes go to stderr. Exit status: 0, also for a test"
        " event or an empty list, which print no line; 2 when the body is not an S3 event; 3 when only some"
        " of its records are bad.",
    )
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="the body; - or nothing is stdin"
    )
    parser.add_argument(
        "--message-id",
        help="the message's SQS id, which an event without sequencer or request id is named by",
    )
    parser.add_argument("--json", action="store_true", help="as it is: the lines are JSON")
    return parser


def run(args: argparse.Namespace) -> int:
    """Decode one body; return the exit status."""
    try:
        parsed = parse_body(_read(args.file), message_id=args.message_id)
    except OSError as error:
        return _refuse(f"{args.file}: {error.strerror or error}")
    except (BodyError, ValueError) as error:
        return _refuse(str(error))
    for line in _lines(parsed):
        print(line)
    sys.stdout.flush()
    if parsed.kind in _NOTES:
        note("decode", _NOTES[parsed.kind])
    for record in parsed.bad:
        note("decode", f"record {record.index}: {record.reason}")
    return SOME_BAD if parsed.bad else OK


def _read(file: str) -> bytes:
    if file == "-":
        if sys.stdin is None:
            raise BodyError("stdin is closed")
        return _bounded(sys.stdin.buffer)
    with open(file, "rb") as opened:
        return _bounded(opened)


def _bounded(opened: IO[bytes]) -> bytes:
    body = opened.read(_MOST_BYTES + 1)
    if len(body) > _MOST_BYTES:
        raise BodyError(f"more than {_MOST_BYTES:,} bytes; an SQS message has at most 1,048,576")
    return body


def _lines(parsed: Parsed) -> Iterator[str]:
    for event in parsed.events:
        # ASCII alone, so that any terminal, pipe and locale takes it.
        yield json.dumps(event.serialize() | {"event_id": event_id(event), "run_id": run_id(event)})


def _refuse(reason: str) -> int:
    note("decode", reason)
    return NOT_AN_EVENT
