"""What is fuzzed: each target takes any bytes, and raises only where the package is wrong.

A target ends with an error of the package's own that its docstring allows, or the laws hold that are checked
after it. Anything else is a finding.
"""

from __future__ import annotations

import io
import json
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from types import SimpleNamespace
from unittest.mock import patch

from airflow_s3events.commands import decode as decode_command
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import BodyError, ConfigurationError, FactsNeededError
from airflow_s3events.filters import EventFilter
from airflow_s3events.identity import event_id, run_id
from airflow_s3events.testing import event_body, object_created_body

Target = Callable[[bytes], None]

_RUN_ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_EVENTS = tuple(
    event
    for body in (
        object_created_body("landing", "incoming/day=2026-11-26/a b.csv"),
        event_body("ObjectRemoved:Delete", "landing", "incoming/ü.tmp"),
    )
    for event in parse_body(body, message_id="m").events
)


def envelopes(data: bytes) -> None:
    """Any body is events, a test event, nothing, or a ``BodyError``; events keep every law of theirs."""
    try:
        parsed = parse_body(data, message_id="m")
    except BodyError:
        return
    for event in parsed.events:
        _check_event(event)


def _check_event(event: ObjectEvent) -> None:
    text = json.dumps(event.serialize())
    text.encode()
    again = ObjectEvent.deserialize(json.loads(text))
    assert again == event, "an event is not what its JSON says"
    assert event_id(again) == event_id(event), "an event's id does not outlive its JSON"
    name = run_id(event)
    assert 0 < len(name) <= 200, f"a run id of {len(name)} characters"
    assert _RUN_ID_CHARACTERS.issuperset(name), f"a run id with other characters: {name!r}"
    assert ".." not in name, f"Airflow 3.3 refuses this run id: {name!r}"


def filters(data: bytes) -> None:
    """Any plain data is a filter in its one form, or a ``ConfigurationError``; any event gets an answer."""
    try:
        when = EventFilter.deserialize(json.loads(data))
    except (ConfigurationError, ValueError, RecursionError):  # the last two are json's
        return
    plain = when.serialize()
    again = EventFilter.deserialize(json.loads(json.dumps(plain)))
    assert again == when, "a filter is not what its plain data says"
    assert again.serialize() == plain, "plain data has two forms"
    if '"predicate"' not in json.dumps(plain):  # it would import and call what the data names
        _check_answers(when)


def _check_answers(when: EventFilter) -> None:
    for event in _EVENTS:
        try:
            answer = when(event)
        except FactsNeededError:
            continue
        assert answer is not (~when)(event), "a filter and its opposite agree"


def decode(data: bytes) -> None:
    """``s3events decode`` ends with one of its exit codes, and what it prints is lines of JSON."""
    out, err = io.TextIOWrapper(io.BytesIO(), "ascii"), io.StringIO()
    stdin = SimpleNamespace(buffer=io.BytesIO(data))
    with patch.object(sys, "stdin", stdin), redirect_stdout(out), redirect_stderr(err):
        code = decode_command.run(Namespace(file="-", message_id=None))
    assert code in (decode_command.OK, decode_command.NOT_AN_EVENT, decode_command.SOME_BAD), (
        f"exit code {code}"
    )
    out.seek(0)
    for line in out:
        json.loads(line)
    assert "\x1b" not in err.getvalue(), "a terminal would obey what a message says"


TARGETS: Mapping[str, Target] = {"envelopes": envelopes, "filters": filters, "decode": decode}
