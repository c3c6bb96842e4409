"""Airflow takes every run id that this package makes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from airflow.models.dagrun import DagRun
from airflow.utils.types import DagRunType
from hypothesis import given, settings

from airflow_s3events.identity import MAX_ATTEMPT, run_id
from tests.strategies import keys, make_event


# The first model that is made configures all of Airflow's.
@settings(deadline=None)
@given(keys)
def test_airflow_s_own_validator_takes_a_run_id(key: str) -> None:
    name = run_id(make_event(key=key), attempt=MAX_ATTEMPT)
    assert DagRun(dag_id="any", run_id=name).run_id == name


@given(keys)
def test_a_run_id_is_taken_for_no_run_type_of_airflow(key: str) -> None:
    name = run_id(make_event(key=key)).lower()
    assert not name.startswith(tuple(kind.value for kind in DagRunType))


@given(keys)
def test_a_run_id_names_a_log_folder(key: str) -> None:
    name = run_id(make_event(key=key), attempt=MAX_ATTEMPT)
    with tempfile.TemporaryDirectory() as logs:
        folder = Path(logs) / "dag_id=any" / f"run_id={name}"
        folder.mkdir(parents=True)
        assert [each.name for each in folder.parent.iterdir()] == [f"run_id={name}"]
