"""What an earlier release left in Airflow's database is understood by this one.

``stored_rows.json`` holds, for each release, what its deferred tasks have stored. A row is never changed or
removed: a release that stores another form adds its rows.
"""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.operators.dispatch import S3EventDispatchOperator
from airflow_s3events.triggers.s3_event import S3EventTrigger

ROWS = json.loads(Path(__file__).with_name("stored_rows.json").read_text())
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row["release"])


@every_row
def test_a_stored_trigger_is_made_again_with_every_argument(row: dict[str, Any]) -> None:
    module, _, name = row["classpath"].rpartition(".")
    trigger = getattr(import_module(module), name)(**row["kwargs"])
    classpath, kwargs = trigger.serialize()
    assert classpath == row["classpath"]
    assert row["kwargs"].items() <= kwargs.items()


@every_row
def test_a_deferred_task_is_resumed_with_what_it_stored(row: dict[str, Any]) -> None:
    method = inspect.signature(getattr(S3EventDispatchOperator, row["next_method"]))
    method.bind(None, context={}, event={"reason": "messages"}, **row["next_kwargs"])


def test_the_form_of_today_is_kept_too() -> None:
    _, kwargs = S3EventTrigger(sqs_queue="q", until=0.0).serialize()
    forms = [(row["kwargs"]["v"], set(row["kwargs"])) for row in ROWS]
    assert (kwargs["v"], set(kwargs)) in forms
