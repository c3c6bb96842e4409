"""Every body of the shared corpus, where it is present, against the values two other readers agreed on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.envelopes import Parsed, parse_body
from airflow_s3events.exceptions import BodyError

_BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "events"
CORPUS = Path(os.environ.get("S3EVENTS_CORPUS", _BESIDE))
_VALUES = ("event_name", "bucket", "version_id", "sequencer", "size", "etag", "envelope")
# A shape that AWS does not send: to refuse it is as right as to read it, to crash is not.
_LENIENT = {"aws-odd", "compatible", "wrapper"}


def _cases() -> list[tuple[str, dict[str, Any]]]:
    index = CORPUS / "expected.json"
    return sorted(json.loads(index.read_text())["files"].items()) if index.is_file() else []


CASES = _cases()
if not CASES:
    pytest.skip(
        f"no corpus: {CORPUS} has no expected.json; S3EVENTS_CORPUS names another", allow_module_level=True
    )


def _read(name: str) -> Parsed | str:
    try:
        return parse_body((CORPUS / name).read_bytes(), message_id="m")
    except BodyError as error:
        return str(error)


def _by_verdict(*verdicts: str) -> list[Any]:
    return [pytest.param(name, want, id=name) for name, want in CASES if want["verdict"] in verdicts]


@pytest.mark.parametrize(("name", "want"), _by_verdict("events"))
def test_a_body_of_object_events_gives_the_values_it_holds(name: str, want: dict[str, Any]) -> None:
    got = _read(name)
    if isinstance(got, str):
        assert want["profile"] in _LENIENT, got
        return
    assert [{value: getattr(event, value) for value in _VALUES} for event in got.events] == [
        {value: event[value] for value in _VALUES} for event in want["events"]
    ]
    assert [event.key for event in got.events] == [event["key_decoded"] for event in want["events"]]
    for extra in ("reason", "deletion_type"):
        assert [event.extra.get(extra) for event in got.events] == [
            event.get(extra) for event in want["events"]
        ]
    assert (len(got.bad), got.kind, got.envelope) == (want["bad_records"], "events", want["envelope"])


@pytest.mark.parametrize(("name", "want"), _by_verdict("test", "none"))
def test_a_body_without_object_events_is_told_apart(name: str, want: dict[str, Any]) -> None:
    assert _read(name) == Parsed((), (), want["verdict"], want["envelope"])


@pytest.mark.parametrize("name", [name for name, want in CASES if want["verdict"] in ("foreign", "broken")])
def test_a_body_that_is_no_s3_event_is_refused_with_a_reason(name: str) -> None:
    reason = _read(name)
    assert isinstance(reason, str)
    assert reason


def test_few_bodies_with_events_are_refused() -> None:
    refused = {name for name, want in CASES if want["verdict"] == "events" and isinstance(_read(name), str)}
    assert refused <= {"data-prepper--security-lake.json", "powertools-lambda-python--s3SqsEvent.json"}
