"""The watchdog: each fault has its finding, with a reason and a remedy; a healthy queue has none."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.messages import QueueAttributes
from airflow_s3events.signs import Sign
from airflow_s3events.watchdog import FINDINGS, AirflowFacts, Alarm, DagFacts, QueueFacts, TaskFacts, alarms

NOW = 1_800_000_000.0
_ROW = re.compile(r"^\| `([a-z_]+)` \| (error|warning) \| (.*) \|$", re.MULTILINE)
ATTRIBUTES = QueueAttributes(
    arn="arn:aws:sqs:eu-west-1:123456789012:landing",
    visibility_seconds=30,
    retention_seconds=345_600,
    dead_letter_arn="arn:aws:sqs:eu-west-1:123456789012:landing-dlq",
    max_receive_count=20,
    waiting=3,
)
QUEUE = QueueFacts(name="landing", attributes=ATTRIBUTES, oldest_seconds=4.0, dead_letters=0)
DEFERRED = TaskFacts(task_id="dispatch", state="deferred", since=NOW - 900, triggerer_id=7)
DISPATCHER = DagFacts(dag_id="dispatcher", states=("running", "success"), tasks=(DEFERRED,))
TARGET = DagFacts(dag_id="process", states=("success",), idle_since=NOW - 90_000)
AIRFLOW = AirflowFacts(dispatcher=DISPATCHER, targets=(TARGET,))


def found(queue: QueueFacts = QUEUE, airflow: AirflowFacts | None = AIRFLOW) -> dict[str, Alarm]:
    return {alarm.code: alarm for alarm in alarms(queue, airflow, NOW)}


def with_dispatcher(**changes: Any) -> AirflowFacts:
    return replace(AIRFLOW, dispatcher=replace(DISPATCHER, **changes))


def with_task(**changes: Any) -> AirflowFacts:
    return with_dispatcher(tasks=(replace(DEFERRED, **changes),))


def with_target(**changes: Any) -> AirflowFacts:
    return replace(AIRFLOW, targets=(replace(TARGET, **changes),))


def with_attributes(**changes: Any) -> QueueFacts:
    return replace(QUEUE, attributes=replace(ATTRIBUTES, **changes))


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert found() == {}
    assert found(airflow=None) == {}
    assert found(airflow=AirflowFacts()) == {}


FAULTS: dict[str, tuple[QueueFacts, AirflowFacts]] = {
    "queue_unreadable": (QueueFacts(name="landing", error="access denied"), AIRFLOW),
    **{
        code: (QUEUE, with_dispatcher(signs=(Sign(code, "seen", NOW - 100),)))
        for code in ("refused", "throttled", "aws_away", "clock_wrong", "ledger_away", "disk_full", "anomaly")
    },
    "airflow_away": (QUEUE, replace(AIRFLOW, error="Airflow answers 500", scheduler="None", triggerers=0)),
    "database_away": (QUEUE, replace(AIRFLOW, database="unhealthy", scheduler="None", triggerers=0)),
    "watcher_raises": (QUEUE, AirflowFacts(raising={"landing": "no module named 'rules'"})),
    "about_to_be_lost": (replace(QUEUE, oldest_seconds=200_000.0), AIRFLOW),
    "late": (replace(QUEUE, oldest_seconds=901.0), AIRFLOW),
    "no_dead_letter_queue": (with_attributes(dead_letter_arn=None, max_receive_count=None), AIRFLOW),
    "few_receives": (with_attributes(max_receive_count=5), AIRFLOW),
    "dead_letters": (replace(QUEUE, dead_letters=2, reasons={"no S3 event": 2}), AIRFLOW),
    "dead_letters_unreadable": (replace(QUEUE, dead_letters=None, dead_letters_error="denied"), AIRFLOW),
    "scheduler_dead": (QUEUE, replace(AIRFLOW, scheduler="unhealthy")),
    "triggerer_dead": (QUEUE, replace(with_task(triggerer_id=None), triggerers=0)),
    "triggerer_elsewhere": (QUEUE, with_task(triggerer_id=None)),
    "dag_missing": (QUEUE, with_dispatcher(exists=False)),
    "dag_broken": (QUEUE, with_dispatcher(is_broken=True)),
    "dag_paused": (QUEUE, with_dispatcher(is_paused=True)),
    "spinning": (QUEUE, with_dispatcher(states=("running", "failed", "failed", "failed", "success"))),
    "not_scheduled": (QUEUE, with_dispatcher(states=("success",), idle_since=NOW - 301, tasks=())),
    "no_worker": (QUEUE, with_task(state="queued", since=NOW - 301)),
    "target_missing": (QUEUE, with_target(exists=False)),
    "target_broken": (QUEUE, with_target(is_broken=True)),
    "target_paused": (QUEUE, with_target(is_paused=True)),
    "target_full": (QUEUE, with_target(queued=1_000)),
}


@pytest.mark.parametrize("code", FINDINGS)
def test_each_fault_has_its_own_finding_and_no_other(code: str) -> None:
    assert list(found(*FAULTS[code])) == [code]


@pytest.mark.parametrize("code", FINDINGS)
def test_each_finding_says_what_was_seen_and_what_to_do(code: str) -> None:
    alarm = found(*FAULTS[code])[code]
    assert alarm.about
    assert alarm.reason
    assert alarm.serialize()["action"] == alarm.action != ""


@pytest.mark.parametrize(
    ("queue", "airflow"),
    [
        (replace(QUEUE, oldest_seconds=900.0), AIRFLOW),
        (replace(QUEUE, oldest_seconds=None), AIRFLOW),
        (with_attributes(max_receive_count=10), AIRFLOW),
        (QUEUE, with_task(triggerer_id=None, since=NOW - 60)),
        (QUEUE, with_task(triggerer_id=None, since=None)),
        (QUEUE, with_task(state="queued", since=NOW - 300)),
        (QUEUE, with_task(state="running", triggerer_id=None)),
        (QUEUE, with_dispatcher(states=("running", "failed", "failed", "success", "failed"))),
        (QUEUE, with_dispatcher(states=("success",), idle_since=NOW - 300, tasks=())),
        (QUEUE, with_task(state="up_for_retry", try_number=3)),
        (QUEUE, with_target(queued=999)),
        (QUEUE, with_dispatcher(signs=(Sign("ledger_away", "long ago", NOW - 301),))),
        (QUEUE, with_dispatcher(signs=(Sign("of_a_later_version", "seen", NOW),))),
    ],
)
def test_just_before_it_is_a_fault_nothing_is_found(queue: QueueFacts, airflow: AirflowFacts) -> None:
    assert found(queue, airflow) == {}


@pytest.mark.parametrize("code", ["throttled", "aws_away"])
def test_an_aws_that_does_not_answer_us_is_no_setting_that_is_wrong(code: str) -> None:
    queue = QueueFacts(name="landing", error="RequestThrottled", trouble=code)
    assert list(found(queue)) == [code]
    assert queue.is_away
    assert not QueueFacts(name="landing", error="access denied").is_away


def test_of_an_airflow_that_is_away_nothing_else_is_known() -> None:
    assert FAULTS["airflow_away"][1].is_away
    assert FAULTS["database_away"][1].is_away
    assert not AIRFLOW.is_away


def test_a_task_that_fails_and_is_retried_for_ever_spins_although_its_run_never_fails() -> None:
    assert list(found(airflow=with_task(state="up_for_retry", try_number=4))) == ["spinning"]


def test_a_dispatcher_that_has_never_run_is_not_scheduled() -> None:
    assert list(found(airflow=with_dispatcher(states=(), tasks=()))) == ["not_scheduled"]


def test_a_trigger_of_a_queue_says_which_triggerer_is_missing() -> None:
    reason = found(airflow=with_task(triggerer_id=None, trigger_queue="landing"))[
        "triggerer_elsewhere"
    ].reason
    assert "'landing'" in reason


def test_the_reasons_of_dead_letters_are_counted_in_the_finding() -> None:
    queue = replace(QUEUE, dead_letters=3, reasons={"no S3 event": 2, "run failed": 1})
    assert found(queue)["dead_letters"].reason == "3 dead letters: 2 no S3 event, 1 run failed"
    assert found(replace(QUEUE, dead_letters=3))["dead_letters"].reason == "3 dead letters"


def test_errors_come_before_warnings() -> None:
    both = alarms(with_attributes(max_receive_count=5), with_dispatcher(is_paused=True), NOW)
    assert [alarm.weight for alarm in both] == ["error", "warning"]


def test_the_page_names_every_finding_with_its_weight_and_its_remedy() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/operate.md").read_text()
    rows = {code: (weight, action) for code, weight, action in _ROW.findall(page)}
    assert rows == dict(FINDINGS)
