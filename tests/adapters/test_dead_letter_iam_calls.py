"""Policies of all that sees to dead letters and failed runs, against the calls really made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from airflow_s3events import (
    S3DeadLetterSensor,
    S3EventFailureNotifier,
    S3EventRedriveOperator,
    S3EventRetryFailedRunsOperator,
)
from airflow_s3events.cli import main
from airflow_s3events.failed_runs import FailedRun
from airflow_s3events.policies import role_policy
from airflow_s3events.testing.bodies import object_created_body
from tests.adapters.test_failure_notifier import context
from tests.adapters.test_iam_calls import Account, account, dispatchers_queue, judge, world
from tests.setup_world import Calls

__all__ = ["account", "world"]

#: What no emulator here has: SQS's own moves, and MWAA.
ANSWERS: dict[str, Any] = {
    "StartMessageMoveTask": {"TaskHandle": "h"},
    "CancelMessageMoveTask": {"ApproximateNumberOfMessagesMoved": 1},
    "InvokeRestApi": {"RestApiStatusCode": 200, "RestApiResponse": {"dag_runs": []}},
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Notes every call, and answers those that the emulator does not know."""
    from aiobotocore.client import AioBaseClient
    from botocore.client import BaseClient

    calls = Calls()
    make: Callable[..., Any] = BaseClient._make_api_call
    make_async: Callable[..., Any] = AioBaseClient._make_api_call

    def noted(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        calls.made.append((client.meta.service_model.service_name, operation, parameters))
        return ANSWERS[operation] if operation in ANSWERS else make(client, operation, parameters)

    async def noted_async(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        calls.made.append((client.meta.service_model.service_name, operation, parameters))
        if operation == "ListMessageMoveTasks":
            is_running = any(made == "StartMessageMoveTask" for _, made, _ in calls.made)
            moves = [{"TaskHandle": "h", "Status": "RUNNING"}] if is_running else []
            return {"Results": moves}
        if operation == "ListDeadLetterSourceQueues":
            return {"queueUrls": [parameters["QueueUrl"].removesuffix("-dlq")]}
        return ANSWERS[operation] if operation in ANSWERS else await make_async(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", noted)
    monkeypatch.setattr(AioBaseClient, "_make_api_call", noted_async)
    monkeypatch.setattr("airflow_s3events.redrive._IDLE_SECONDS", 1.0)
    return calls


def dead_letter(account: Account) -> None:
    account.world.client("sqs").send_message(
        QueueUrl=account.world.queue_url("q-dlq"), MessageBody=object_created_body("landing", "a")
    )


def test_redrive(account: Account, calls: Calls) -> None:
    queue = dispatchers_queue(account)
    for _ in range(2):
        dead_letter(account)
    calls.made.clear()
    dlq = str(account.dead_letter_queue)
    for arguments in ({"to_queue": queue}, {"criteria": {"reason": "no such reason"}, "to_queue": queue}):
        S3EventRedriveOperator(task_id="replay", dead_letter_queue=dlq, most=1, **arguments).execute({})
    S3EventRedriveOperator(task_id="replay", dead_letter_queue=dlq, dry_run=True).execute({})
    move = S3EventRedriveOperator(task_id="move", dead_letter_queue=dlq, to_queue=queue, method="move")
    asyncio.run(move._start_move())
    move._is_moving = True
    move.on_kill()
    judge(calls, role_policy("redrive", account.resources()), account)


def test_retry(account: Account, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    dispatchers_queue(account)
    calls.made.clear()
    found = context()["dag_run"]
    run = FailedRun.of("load", found.run_id, found.conf)
    monkeypatch.setattr(S3EventRetryFailedRunsOperator, "_failed", lambda *_: iter([{"dag_run_id": "r"}]))
    monkeypatch.setattr(S3EventRetryFailedRunsOperator, "_match", lambda *_: run)
    monkeypatch.setattr(S3EventRetryFailedRunsOperator, "_is_due", lambda *_: True)
    report = S3EventRetryFailedRunsOperator(
        task_id="retry",
        failed_dag_id="load",
        action="park",
        dead_letter_queue=str(account.dead_letter_queue),
        mwaa_environment="landing",
    ).execute({})
    assert report["done"] == 1
    role = account.arn("airflow", "role/landing/Op")
    judge(calls, role_policy("retry", account.resources(airflow_role=role)), account)


def test_notify(account: Account, calls: Calls) -> None:
    queue, dlq = dispatchers_queue(account), str(account.dead_letter_queue)
    calls.made.clear()
    for attempt in (0, 1):
        S3EventFailureNotifier(sqs_queue=queue, dead_letter_queue=dlq, max_attempts=1).notify(
            context(attempt)
        )
    judge(calls, role_policy("notify", account.resources()), account)


def test_status(account: Account, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    health = {part: {"status": "healthy"} for part in ("metadatabase", "scheduler", "triggerer")}
    answer = {"RestApiStatusCode": 200, "RestApiResponse": {**health, "jobs": [], "total_entries": 0}}
    monkeypatch.setitem(ANSWERS, "InvokeRestApi", answer)
    queue = dispatchers_queue(account)
    dead_letter(account)
    url = account.world.queue_url("q")
    account.world.client("sqs").send_message(QueueUrl=url, MessageBody=object_created_body("landing", "a"))
    calls.made.clear()
    command = ["status", queue, "--mwaa-environment", "landing", "--json", "--aws-conn-id", "aws_default"]
    assert main(command) == 3
    role = account.arn("airflow", "role/landing/Op")
    judge(calls, role_policy("status", account.resources(airflow_role=role)), account)


def test_alert(account: Account, calls: Calls) -> None:
    dispatchers_queue(account)
    dead_letter(account)
    calls.made.clear()
    sensor = S3DeadLetterSensor(
        task_id="watch", dead_letter_queue=str(account.dead_letter_queue), max_messages=10, max_age_seconds=-1
    )
    assert sensor.poke({}).is_done
    judge(calls, role_policy("alert", account.resources()), account)
