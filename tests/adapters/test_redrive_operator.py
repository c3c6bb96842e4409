"""``S3EventRedriveOperator`` and its trigger against an emulated SQS."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airflow_s3events import S3EventRedriveOperator
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.sqs import MoveProgress, SqsQueue
from airflow_s3events.triggers.redrive import S3RedriveTrigger
from tests.adapters.deferral import TaskDeferred
from tests.adapters.queues import attributes, dead_letters_of, messages, put

COMPLETED = MoveProgress(status="COMPLETED", moved=3, to_move=3)
RUNNING = MoveProgress(status="RUNNING", moved=1, to_move=3, handle="handle")


def operator(dead_letter_queue: str, **arguments: Any) -> S3EventRedriveOperator:
    return S3EventRedriveOperator(task_id="redrive", dead_letter_queue=dead_letter_queue, **arguments)


@pytest.fixture
def dlq(sqs: Any, queue: str) -> str:
    return dead_letters_of(sqs, queue)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_s3events.redrive._IDLE_SECONDS", 1.0)


class TestReplay:
    def test_sends_what_is_meant_back_with_the_next_attempt(self, sqs: Any, queue: str, dlq: str) -> None:
        put(sqs, dlq, reason="DAG not found", dag_id="load", attempt="1")
        put(sqs, dlq, "bad", reason="not JSON")

        report = operator(dlq, to_queue=queue, criteria={"dag_id": "load"}).execute({})

        assert (report["looked_at"], report["matched"], report["done"]) == (2, 1, 1)
        (sent,) = messages(sqs, queue)
        assert attributes(sent)["attempt"] == "2"
        assert [message["Body"] for message in messages(sqs, dlq)] == ["bad"]

    def test_without_a_destination_needs_one_queue_that_leads_there(
        self, dlq: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def none(_: Any) -> list[str]:
            return []

        monkeypatch.setattr(SqsQueue, "source_urls", none)
        with pytest.raises(ConfigurationError, match="of 0 queues"):
            operator(dlq).execute({})

    def test_a_criterion_that_there_is_not_is_an_error(self, dlq: str, queue: str) -> None:
        with pytest.raises(TypeError, match="bucket"):
            operator(dlq, to_queue=queue, criteria={"bucket": "landing"}).execute({})

    def test_fails_when_sqs_refuses_copies(
        self, sqs: Any, queue: str, dlq: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def refuse(*_: Any, **__: Any) -> str:
            raise ConfigurationError("SQS refuses it")

        put(sqs, dlq, "bad")
        monkeypatch.setattr(SqsQueue, "send", refuse)
        with pytest.raises(ConfigurationError, match="1 of 1"):
            operator(dlq, to_queue=queue).execute({})


class Moves:
    """SQS's side of a move, which no emulator here has: what it answers, and what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[MoveProgress | Exception | None] = []
        self.asked: list[Any] = []
        monkeypatch.setattr(SqsQueue, "start_move", self._start)
        monkeypatch.setattr(SqsQueue, "latest_move", self._latest)
        monkeypatch.setattr(SqsQueue, "cancel_move", self._cancel)

    async def _start(self, *arguments: Any) -> str:
        self.asked.append(("start", *arguments))
        return "handle"

    async def _latest(self) -> MoveProgress | None:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _cancel(self, handle: str) -> int:
        self.asked.append(("cancel", handle))
        return 1


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> Moves:
    return Moves(monkeypatch)


class TestMove:
    def test_is_started_and_waited_for_in_the_triggerer(self, dlq: str, moves: Moves) -> None:
        moves.answers = [COMPLETED]
        with pytest.raises(TaskDeferred) as deferred:
            operator(dlq, method="move", max_per_second=50, poll_seconds=3).execute({})

        assert moves.asked == [("start", None, 50)]
        assert isinstance(deferred.value.trigger, S3RedriveTrigger)
        assert deferred.value.trigger.poll_seconds == 3

    def test_that_is_under_way_is_joined(self, dlq: str, moves: Moves) -> None:
        moves.answers = [RUNNING]
        with pytest.raises(TaskDeferred):
            operator(dlq, method="move").execute({})
        assert moves.asked == []

    def test_can_be_waited_for_on_the_worker(self, dlq: str, queue: str, moves: Moves) -> None:
        moves.answers = [None, None, RUNNING, COMPLETED]
        task = operator(dlq, method="move", to_queue=queue, deferrable=False, poll_seconds=0)
        assert task.execute({}) == {"status": "COMPLETED", "moved": 3, "failure": ""}
        assert moves.asked[0][1].endswith(queue.rpartition("/")[2])

    def test_is_cancelled_when_the_task_that_waits_is_killed(self, dlq: str, moves: Moves) -> None:
        moves.answers = [RUNNING]
        task = operator(dlq, method="move", deferrable=False)
        task._is_moving = True
        task.on_kill()
        assert moves.asked == [("cancel", "handle")]

    def test_is_not_cancelled_by_a_task_that_does_not_wait(self, dlq: str, moves: Moves) -> None:
        operator(dlq).on_kill()
        assert moves.asked == []

    def test_that_failed_fails_the_task(self, dlq: str) -> None:
        with pytest.raises(ConfigurationError, match="no such queue"):
            operator(dlq).resume({}, {"status": "FAILED", "moved": 1, "failure": "no such queue"})

    @pytest.mark.parametrize("more", [{"criteria": {"dag_id": "load"}}, {"dry_run": True}])
    def test_takes_no_criteria(self, dlq: str, more: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError, match="every letter"):
            operator(dlq, method="move", **more).execute({})

    def test_another_method_is_named(self, dlq: str) -> None:
        with pytest.raises(ConfigurationError, match="method='copy'"):
            operator(dlq, method="copy").execute({})


class TestTrigger:
    def test_fires_when_the_move_is_over_and_waits_out_an_outage(self, dlq: str, moves: Moves) -> None:
        moves.answers = [RUNNING, OutageError("SQS is away"), COMPLETED]
        trigger = S3RedriveTrigger(dead_letter_queue=dlq, poll_seconds=0, quiet_seconds=0)

        async def first() -> Any:
            return await anext(trigger.run())

        assert asyncio.run(first()).payload == {"status": "COMPLETED", "moved": 3, "failure": ""}

    def test_is_made_again_of_what_it_serializes(self) -> None:
        trigger = S3RedriveTrigger(dead_letter_queue="dlq", poll_seconds=3.0, region_name="eu-west-1")
        path, kwargs = trigger.serialize()
        assert path.rpartition(".")[2] == "S3RedriveTrigger"
        assert S3RedriveTrigger(**kwargs).serialize() == (path, kwargs)
