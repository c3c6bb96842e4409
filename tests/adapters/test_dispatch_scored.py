"""``S3EventDispatchOperator`` with a scorer: on the worker, never when the DAG file is parsed."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events._compat import DAG
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import nothing
from airflow_s3events.routing import Route, Routes
from airflow_s3events.scores import Score
from tests.adapters.test_dispatch_operator import deferral_of, operator_of, upload
from tests.adapters.test_trigger import counts
from tests.lines import AIRFLOW, serialized

ROUTES = Routes([Route(dag_id="archive", when=nothing), Route(dag_id="process")])


def score(event: ObjectEvent) -> Score | None:
    if event.key.endswith(".test"):
        return Score(drop="a test file")
    return Score(route="archive") if event.key.startswith("old/") else None


def dags(side: Any) -> list[str]:
    return sorted(dag_id for dag_id, _ in side.runs)


def test_the_scorer_chooses_and_drops_and_the_queue_is_empty_afterwards(
    sqs: Any, queue: str, airflow_side: Any, caplog: pytest.LogCaptureFixture
) -> None:
    upload(sqs, queue, "a.csv", "old/b.csv", "c.test")
    operator = operator_of(queue, ROUTES, scorer=score)
    with caplog.at_level(logging.INFO):
        deferral_of(operator)
    assert dags(airflow_side) == ["archive", "process"]
    assert counts(sqs, queue) == (0, 0)
    assert "a test file" in caplog.text


def test_a_scorer_that_hangs_keeps_neither_the_runs_nor_the_task_from_their_end(
    sqs: Any, queue: str, airflow_side: Any
) -> None:
    release = threading.Event()
    upload(sqs, queue, *(f"{number}.csv" for number in range(6)))
    deferral_of(operator_of(queue, ROUTES, scorer=lambda _: release.wait(60), scorer_timeout_seconds=0.01))
    assert dags(airflow_side) == ["process"] * 6
    release.set()


def test_a_path_is_imported_when_the_task_works_and_not_when_its_dag_is_read(
    sqs: Any, queue: str, airflow_side: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_on_the_worker.py").write_text("def score(event):\n    return None\n")
    operator = operator_of(queue, ROUTES, scorer="only_on_the_worker:score")
    operator.check_settings()
    assert "only_on_the_worker" not in sys.modules
    upload(sqs, queue, "a.csv")
    with pytest.raises(ConfigurationError, match=r"scorer='only_on_the_worker:score'.*cannot be imported"):
        operator.execute({})
    assert counts(sqs, queue) == (1, 0), "nothing was received"
    monkeypatch.syspath_prepend(tmp_path)
    deferral_of(operator)
    assert dags(airflow_side) == ["process"]


def test_a_dag_with_a_scorer_goes_through_airflow_s_serialisation() -> None:
    with DAG(dag_id="dispatcher", schedule=None) as dag:
        operator_of(routes=ROUTES, scorer=score)
    assert len(serialized(dag).tasks) == 1


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"scorer": 1}, "scorer"),
        ({"scorer": "nowhere"}, "scorer"),
        ({"scorer": score, "scorer_timeout_seconds": 0}, "scorer_timeout_seconds"),
        ({"scorer_timeout_seconds": True}, "scorer_timeout_seconds"),
    ],
)
def test_a_setting_that_cannot_work_is_named(settings: Any, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        operator_of(**settings).check_settings()


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2 holds no messages, with or without a scorer")
def test_no_scorer_where_messages_are_held() -> None:
    with pytest.raises(ConfigurationError, match=r"scorer.*run_stored"):
        operator_of(scorer=score, acknowledge="run_succeeded").check_settings()
