"""``s3events dead-letters`` against an emulator, as a shell runs it: output and exit status."""

from __future__ import annotations

import io
import json
from typing import Any
from uuid import uuid4

import boto3
import pytest

from airflow_s3events import sqs
from airflow_s3events.cli import main
from airflow_s3events.commands import dead_letters
from airflow_s3events.testing.bodies import object_created_body

REGION = "us-east-1"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setattr("airflow_s3events.redrive._IDLE_SECONDS", 1.0)


class Queues:
    """A queue and its dead letter queue, which holds two malformed bodies and one refused event."""

    def __init__(self, url: str) -> None:
        self.endpoint = url
        self.sqs: Any = boto3.client(
            "sqs", endpoint_url=url, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
        )
        self.name = f"q-{uuid4().hex[:8]}"
        self.dead = self.sqs.create_queue(QueueName=f"{self.name}-dlq")["QueueUrl"]
        names = ["QueueArn"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.dead, AttributeNames=names)["Attributes"][
            "QueueArn"
        ]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "5"})
        self.main = self.sqs.create_queue(QueueName=self.name, Attributes={"RedrivePolicy": policy})[
            "QueueUrl"
        ]
        for body in ("bad one", "bad two"):
            self.put(body, **{"s3events.reason": "not JSON"})
        event = object_created_body("landing", "in/a.csv")
        self.put(event, **{"s3events.reason": "DAG not found", "s3events.dag_id": "load"})

    def put(self, body: str, **attributes: str) -> None:
        typed = {name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()}
        self.sqs.send_message(QueueUrl=self.dead, MessageBody=body, MessageAttributes=typed)

    def count(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def call(self, action: str, *options: str) -> int:
        where = ["--region", REGION, "--endpoint-url", self.endpoint]
        return main(["dead-letters", action, f"{self.name}-dlq", *where, *options])


@pytest.fixture
def queues(moto_url: str) -> Queues:
    return Queues(moto_url)


Capture = pytest.CaptureFixture[str]


def test_list_has_a_line_for_each_letter(queues: Queues, capsys: Capture) -> None:
    assert queues.call("list") == dead_letters.OK
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert sum("load  s3://landing/in/a.csv  DAG not found" in line for line in lines) == 1
    assert queues.count(queues.dead) == 3


def test_list_in_json_holds_no_body(queues: Queues, capsys: Capture) -> None:
    assert queues.call("list", "--json", "--reason", "not json") == dead_letters.OK
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["reason"] for one in told] == ["not JSON"] * 2
    assert not any("body" in one for one in told)


def test_show_has_the_body_too(queues: Queues, capsys: Capture) -> None:
    assert queues.call("show", "--key", "in/*") == dead_letters.OK
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(json.loads(line)["body"])["Records"]


@pytest.mark.parametrize("action", ["list", "show", "redrive", "purge"])
def test_nothing_that_matches_is_a_status_of_its_own(queues: Queues, action: str) -> None:
    assert queues.call(action, "--dag", "other") == dead_letters.NOTHING_MATCHED


def test_redrive_sends_to_the_queue_whose_policy_leads_there(queues: Queues, capsys: Capture) -> None:
    assert queues.call("redrive", "--dag", "load") == dead_letters.OK
    assert capsys.readouterr().out == "1 sent back, of 1 that match and 3 looked at\n"
    assert (queues.count(queues.main), queues.count(queues.dead)) == (1, 2)


def test_redrive_says_what_came_back_and_was_left(queues: Queues, capsys: Capture) -> None:
    for _ in range(2):
        queues.put("came back", **{"s3events.message_id": "m"})
    assert queues.call("redrive") == dead_letters.OK
    assert capsys.readouterr().out == (
        "4 sent back, of 4 that match and 5 looked at; came back meanwhile, and left there: 1\n"
    )
    assert (queues.count(queues.main), queues.count(queues.dead)) == (4, 1)


def test_redrive_says_what_it_would_do(queues: Queues, capsys: Capture) -> None:
    assert queues.call("redrive", "--dry-run", "--json", "--to", queues.name) == dead_letters.OK
    report = json.loads(capsys.readouterr().out)
    assert (report["matched"], report["done"]) == (3, 0)
    assert queues.count(queues.dead) == 3


def test_redrive_to_the_dead_letter_queue_itself_is_refused(queues: Queues, capsys: Capture) -> None:
    assert queues.call("redrive", "--to", f"{queues.name}-dlq") == dead_letters.REFUSED
    assert "itself" in capsys.readouterr().err


def test_park_puts_letters_elsewhere(queues: Queues) -> None:
    assert (
        queues.call("park", "--reason", "not JSON", "--to", queues.name, "--new-reason", "x")
        == dead_letters.OK
    )
    assert (queues.count(queues.main), queues.count(queues.dead)) == (2, 1)


def test_copies_that_sqs_refuses_are_named(queues: Queues, capsys: Capture) -> None:
    queues.sqs.set_queue_attributes(QueueUrl=queues.main, Attributes={"MaximumMessageSize": "1024"})
    queues.put("x" * 2000)
    assert queues.call("redrive") == dead_letters.SOME_REFUSED
    assert "SQS refuses it" in capsys.readouterr().err
    assert (queues.count(queues.main), queues.count(queues.dead)) == (3, 1)


class TestPurge:
    def test_deletes_when_both_questions_are_answered_on_the_command_line(self, queues: Queues) -> None:
        assert (
            queues.call("purge", "--reason", "not", "--confirm", f"{queues.name}-dlq", "3") == dead_letters.OK
        )
        assert queues.count(queues.dead) == 0

    @pytest.mark.parametrize("answers", [("other", "3"), ("", "2")])
    def test_deletes_nothing_when_one_is_not(self, queues: Queues, answers: tuple[str, str]) -> None:
        name, count = answers
        confirmed = ["--confirm", name or f"{queues.name}-dlq", count]
        assert queues.call("purge", *confirmed) == dead_letters.NOT_CONFIRMED
        assert queues.count(queues.dead) == 3

    def test_does_not_ask_where_nobody_can_answer(
        self, queues: Queues, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        assert queues.call("purge") == dead_letters.NOT_CONFIRMED
        assert f"--confirm {queues.name}-dlq 3" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("second", "status"), [("3", dead_letters.OK), ("yes", dead_letters.NOT_CONFIRMED)]
    )
    def test_asks_twice_at_a_terminal(
        self, queues: Queues, monkeypatch: pytest.MonkeyPatch, capsys: Capture, second: str, status: int
    ) -> None:
        typed = io.StringIO(f"{queues.name}-dlq\n{second}\n")
        monkeypatch.setattr(typed, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdin", typed)
        assert queues.call("purge") == status
        assert capsys.readouterr().err.count("?") + 1 == 2
        assert queues.count(queues.dead) == (0 if status == dead_letters.OK else 3)

    def test_says_what_it_would_do(self, queues: Queues) -> None:
        assert queues.call("purge", "--dry-run") == dead_letters.OK
        assert queues.count(queues.dead) == 3


def test_a_queue_that_does_not_exist_is_named(queues: Queues, capsys: Capture) -> None:
    queues.name = "nowhere"
    assert queues.call("list") == dead_letters.REFUSED
    assert "nowhere-dlq" in capsys.readouterr().err


def test_aws_that_is_away_is_a_status_of_its_own(queues: Queues) -> None:
    queues.endpoint = "http://127.0.0.1:9"
    assert queues.call("list") == dead_letters.AWAY


_COMPLETED = sqs.MoveProgress(status="COMPLETED", moved=3, to_move=3)
_FAILED = sqs.MoveProgress(status="FAILED", moved=1, failure="no such queue")


class TestMove:
    """SQS's own move: no emulator here has it, so its answers are played."""

    @pytest.fixture(params=[_COMPLETED])
    def moves(self, request: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
        """What was asked of SQS; it says three times how far it has come."""
        started: list[tuple[Any, Any]] = []
        answers = iter([None, sqs.MoveProgress(status="RUNNING", moved=1, to_move=3), request.param])

        async def start(_: Any, to_arn: str | None = None, max_per_second: int | None = None) -> str:
            started.append((to_arn, max_per_second))
            return "handle"

        async def latest(_: Any) -> Any:
            return next(answers)

        monkeypatch.setattr(sqs.SqsQueue, "start_move", start)
        monkeypatch.setattr(sqs.SqsQueue, "latest_move", latest)
        monkeypatch.setattr(dead_letters, "_MOVE_LOOK_SECONDS", 0.0)
        return started

    def test_is_waited_for(self, queues: Queues, moves: list[Any], capsys: Capture) -> None:
        assert queues.call("redrive", "--move", "--max-per-second", "50", "--json") == dead_letters.OK
        out, err = capsys.readouterr()
        assert json.loads(out) == {"status": "COMPLETED", "moved": 3}
        assert "1 of about 3 moved" in err
        assert moves == [(None, 50)]

    @pytest.mark.parametrize("moves", [_FAILED], indirect=True)
    @pytest.mark.usefixtures("moves")
    def test_that_failed_says_why(self, queues: Queues, capsys: Capture) -> None:
        assert queues.call("redrive", "--move") == dead_letters.SOME_REFUSED
        assert "no such queue" in capsys.readouterr().err

    def test_can_lead_elsewhere(self, queues: Queues, moves: list[Any]) -> None:
        assert queues.call("redrive", "--move", "--to", queues.name) == dead_letters.OK
        assert moves[0][0].endswith(f":{queues.name}")

    def test_takes_no_criteria(self, queues: Queues, moves: list[Any], capsys: Capture) -> None:
        assert queues.call("redrive", "--move", "--dag", "load") == dead_letters.REFUSED
        assert "every letter" in capsys.readouterr().err
        assert moves == []
