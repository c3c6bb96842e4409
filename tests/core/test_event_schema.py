"""The published schema, and samples of every one that was: readers of today read them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from airflow_s3events.cli import main
from airflow_s3events.commands.schema import event_schema
from airflow_s3events.events import SCHEMA, ObjectEvent
from airflow_s3events.facts import ObjectFacts
from airflow_s3events.identity import event_id
from airflow_s3events.packs import PackedEvent
from tests.core.filter_strategies import answers
from tests.strategies import events, make_event

ROOT = Path(__file__).parents[2]
#: One folder for each version; a sample is added with what is added to the form, and never changed.
SAMPLES = sorted((ROOT / "tests" / "event_samples").glob("*/*.json"))
PUBLISHED = ROOT / "docs" / "reference" / "event.schema.json"
VALIDATOR = Draft202012Validator(event_schema())
samples = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")


def test_the_schema_is_one_and_every_version_has_its_samples() -> None:
    Draft202012Validator.check_schema(event_schema())
    assert {path.parent.name for path in SAMPLES} == {str(number) for number in range(1, SCHEMA + 1)}


def test_the_published_file_and_the_command_are_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == PUBLISHED.read_text()
    assert json.loads(PUBLISHED.read_text()) == event_schema()


@samples
def test_a_sample_is_valid_and_loses_nothing_in_todays_reader(path: Path) -> None:
    data = json.loads(path.read_text())
    VALIDATOR.validate(data)
    again = ObjectEvent.deserialize(data).serialize()
    VALIDATOR.validate(again)
    beside = ("event_id", "acknowledge")
    expected = {name: value for name, value in data.items() if name not in (*beside, "extra")}
    assert {name: again.get(name, again["extra"].get(name)) for name in expected} == expected
    assert again["extra"].items() >= data.get("extra", {}).items()


@samples
def test_a_sample_keeps_its_identity(path: Path) -> None:
    data = json.loads(path.read_text())
    if "event_id" in data:
        assert event_id(ObjectEvent.deserialize(data)) == data["event_id"]


@given(events, st.none() | answers)
def test_every_event_is_valid_in_a_conf_and_in_a_pack(event: ObjectEvent, told: Any) -> None:
    from dataclasses import replace

    facts: ObjectFacts | None = None if told is None else told["tags"].with_(told["head"])
    event = replace(event, facts=facts)
    VALIDATOR.validate({**event.serialize(), "event_id": "e", "acknowledge": "run_succeeded"})
    VALIDATOR.validate(json.loads(json.dumps(dict(PackedEvent.of(event).data))))


def test_every_member_of_the_form_is_in_the_schema() -> None:
    facts = ObjectFacts(state="found", asked=("head",), metadata={})
    data = make_event(facts=facts).serialize()
    assert set(data) <= set(event_schema()["properties"])
    assert set(data["facts"]) == set(event_schema()["properties"]["facts"]["properties"])


@pytest.mark.parametrize("change", [{"schema": 2}, {"key": None}, {"size": -1}, {"facts": {"state": "lost"}}])
def test_what_the_reader_refuses_the_schema_refuses_too(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VALIDATOR.validate(make_event().serialize() | change)
