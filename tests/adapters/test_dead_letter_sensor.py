"""``S3DeadLetterSensor`` against an emulated SQS."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_s3events import S3DeadLetterSensor
from airflow_s3events.exceptions import ConfigurationError
from tests.adapters.queues import dead_letters_of, put


@pytest.fixture
def dlq(sqs: Any, queue: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("airflow_s3events.redrive._IDLE_SECONDS", 1.0)
    return dead_letters_of(sqs, queue)


def poke(dlq: str, **limits: Any) -> Any:
    return S3DeadLetterSensor(task_id="watch", dead_letter_queue=dlq, **limits).poke({})


def test_is_not_met_by_an_empty_queue(dlq: str) -> None:
    assert not poke(dlq, max_age_seconds=0).is_done


def test_is_met_by_one_letter_unless_more_are_allowed(sqs: Any, dlq: str) -> None:
    put(sqs, dlq)
    assert poke(dlq).is_done
    assert not poke(dlq, max_messages=1).is_done


def test_is_met_by_an_old_letter_and_says_what_the_reasons_are(sqs: Any, dlq: str) -> None:
    put(sqs, dlq, reason="DAG not found")
    put(sqs, dlq, reason="DAG not found")
    found = poke(dlq, max_messages=None, max_age_seconds=-1)
    assert found.is_done
    assert found.xcom_value["messages"] == 2
    assert found.xcom_value["reasons"] == {"DAG not found": 2}


def test_is_not_met_by_a_young_letter(sqs: Any, dlq: str) -> None:
    put(sqs, dlq)
    assert not poke(dlq, max_messages=None, max_age_seconds=3600).is_done


def test_wants_a_limit(dlq: str) -> None:
    with pytest.raises(ConfigurationError, match="max_messages, max_age_seconds"):
        poke(dlq, max_messages=None)
