"""``ordering="per_key"`` on the operator, against an emulated SQS and a ledger in SQLite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.exceptions import ConfigurationError
from tests.adapters.channel import Channel
from tests.adapters.metadata_database import MetadataDatabase
from tests.adapters.test_dispatch_operator import deferral_of, operator_of, upload
from tests.adapters.test_trigger import counts

Side = Channel | MetadataDatabase


@pytest.fixture(autouse=True)
def ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``sql:ledger`` leads to a database of the test's own."""
    connection = {"conn_type": "sqlite", "host": f"{tmp_path}/ledger.db"}
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps(connection))


@pytest.fixture
def patient_queue(sqs: Any, queue: str) -> str:
    """A queue whose redrive policy allows twenty receives."""
    policy = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])["Attributes"]
    changed = json.loads(policy["RedrivePolicy"]) | {"maxReceiveCount": 20}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": json.dumps(changed)})
    return queue


PER_KEY: dict[str, Any] = {"ledger": "sql:ledger", "ordering": "per_key"}


def test_what_is_not_its_turn_stays_in_the_queue_until_it_is(
    sqs: Any, patient_queue: str, airflow_side: Side
) -> None:
    upload(sqs, patient_queue, "a", "a", "b")
    deferral_of(operator_of(patient_queue, **PER_KEY))
    assert sorted(conf["s3_event"]["key"] for conf in airflow_side.runs.values()) == ["a", "b"]
    assert sum(counts(sqs, patient_queue)) == 1
    airflow_side.empty()
    # Longer than the message is hidden; another dispatcher, with nothing but the ledger in common.
    deferral_of(operator_of(patient_queue, **PER_KEY, linger_seconds=14.0))
    assert [conf["s3_event"]["key"] for conf in airflow_side.runs.values()] == ["a"]
    assert counts(sqs, patient_queue) == (0, 0)


def test_too_few_receives_are_refused_before_any_receive(sqs: Any, queue: str, airflow_side: Side) -> None:
    upload(sqs, queue, "a")
    with pytest.raises(ConfigurationError, match=r"maxReceiveCount=5 .*per_key"):
        operator_of(queue, **PER_KEY).execute({})
    assert counts(sqs, queue) == (1, 0)
    assert airflow_side.runs == {}


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"ledger": None}, "needs a ledger"), ({"acknowledge": "run_succeeded"}, "acknowledge")],
)
def test_what_turns_do_not_go_with_is_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        operator_of("q", **PER_KEY | settings).check_settings()
