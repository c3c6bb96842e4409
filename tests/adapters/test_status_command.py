"""``s3events status`` and ``tail`` against an emulated SQS, and Airflow's REST API from memory."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_s3events.cli import main
from airflow_s3events.dead_letters import REASON_ATTRIBUTE
from airflow_s3events.filters import everything
from airflow_s3events.signs import SIGNS_KEY, Sign
from airflow_s3events.testing import object_created_body
from airflow_s3events.watchdog import FINDINGS
from airflow_s3events.watchers import roll_key
from tests.adapters.airflow_api import served
from tests.adapters.airflow_state_api import AirflowStateApi
from tests.adapters.test_metrics import statsd
from tests.adapters.test_trigger import receive
from tests.statsd import StatsdServer

__all__ = ["statsd"]
_API = ("--airflow-conn-id", "airflow_api")
_DAGS = (*_API, "--dispatcher", "dispatcher", "--target", "process")


class Shell:
    """Where the commands are typed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.err = ""

    def type(self, *arguments: str) -> tuple[int, str]:
        """Return the exit status and what was printed."""
        status = main([*arguments, "--aws-conn-id", "aws_default"])
        out, self.err = self.capsys.readouterr()
        return status, out

    def status(self, queue: str, *options: str) -> tuple[int, Any]:
        """Return the exit status and what ``status --json`` printed."""
        status, out = self.type("status", queue, "--json", *options)
        return status, json.loads(out) if out else None


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


@pytest.fixture(name="api")
def _api(monkeypatch: pytest.MonkeyPatch) -> Iterator[AirflowStateApi]:
    with served(AirflowStateApi()) as api:
        uri = {"conn_type": "http", "host": "127.0.0.1", "port": api.port, "login": "a", "password": "b"}
        monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", json.dumps(uri))
        yield api  # type: ignore[misc]


@pytest.fixture
def safe_queue(sqs: Any, queue: str) -> str:
    """A queue whose redrive policy allows twenty receives."""
    set_receives(sqs, queue, 20)
    return queue


def set_receives(sqs: Any, queue: str, count: int) -> None:
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])["Attributes"]
    policy = {**json.loads(found["RedrivePolicy"]), "maxReceiveCount": count}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": json.dumps(policy)})


def codes(found: Any) -> list[str]:
    return [finding["code"] for finding in found["findings"]]


@pytest.mark.usefixtures("api")
def test_a_healthy_queue_and_dispatcher_are_said_to_be_so(shell: Shell, safe_queue: str) -> None:
    status, found = shell.status(safe_queue, *_DAGS)
    assert (status, codes(found)) == (0, [])
    assert found["queue"]["attributes"]["waiting"] == 0
    assert found["queue"]["oldest_seconds"] == 0
    assert found["airflow"]["triggerers"] == 1
    assert found["last_event"]["object"] == "s3://landing/in/b.csv"
    assert found["last_event"]["url"].endswith("/dags/process/runs/s3__2")


def test_without_airflow_the_queue_alone_is_looked_at(shell: Shell, safe_queue: str) -> None:
    status, found = shell.status(safe_queue)
    assert (status, found["airflow"]) == (0, None)


def test_for_people_the_findings_stand_below_the_counts_with_what_to_do(
    shell: Shell, api: AirflowStateApi, safe_queue: str
) -> None:
    api.paused.add("dispatcher")
    status, out = shell.type("status", safe_queue, *_DAGS)
    assert status == 3
    assert out.index("waiting") < out.index("dag_paused") < out.index(FINDINGS["dag_paused"][1])


FAULTS: dict[str, Any] = {
    "dag_paused": lambda api: api.paused.add("dispatcher"),
    "dag_broken": lambda api: api.import_errors.add("dispatcher"),
    "dag_missing": lambda api: api.dag_ids.discard("dispatcher"),
    "triggerer_dead": lambda api: setattr(api, "triggerers", 0),
    "scheduler_dead": lambda api: setattr(api, "scheduler", "unhealthy"),
    "triggerer_elsewhere": lambda api: api.task["trigger"].update(triggerer_id=None),
    "no_worker": lambda api: api.task.update(state="queued", trigger=None),
    "spinning": lambda api: api.task.update(state="up_for_retry", trigger=None, try_number=9),
    "not_scheduled": lambda api: api.lists.update(dispatcher=[]),
    "target_broken": lambda api: api.import_errors.add("process"),
    "target_missing": lambda api: api.dag_ids.discard("process"),
}


@pytest.mark.parametrize("code", FAULTS)
def test_what_keeps_a_dispatcher_from_working_is_named(
    code: str, shell: Shell, api: AirflowStateApi, safe_queue: str
) -> None:
    FAULTS[code](api)
    status, found = shell.status(safe_queue, *_DAGS)
    assert (status, code in codes(found)) == (3, True)


def left(code: str) -> dict[str, str]:
    return {f"{SIGNS_KEY}{code}": Sign(code, "seen", time.time()).serialize()}


def test_what_a_dispatcher_left_word_of_is_found(shell: Shell, api: AirflowStateApi, safe_queue: str) -> None:
    api.xcoms |= {**left("ledger_away"), **left("clock_wrong"), "return_value": "1"}
    status, found = shell.status(safe_queue, *_DAGS)
    assert (status, codes(found)) == (3, ["ledger_away", "clock_wrong"])
    assert found["findings"][0]["reason"] == "seen"


def test_who_may_not_read_what_was_left_is_told_all_else(
    shell: Shell, api: AirflowStateApi, safe_queue: str
) -> None:
    api.is_private, api.xcoms = True, left("ledger_away")
    assert shell.status(safe_queue, *_DAGS)[0] == 0
    assert shell.status(safe_queue, *_API)[0] == 0


def test_a_watcher_that_raises_is_found_where_no_dispatcher_is_named(
    shell: Shell, api: AirflowStateApi, safe_queue: str
) -> None:
    now = time.time()
    entry = {"when": everything.serialize(), "seen_at": now, "raised": "no such module", "raised_at": now}
    api.variables[roll_key(safe_queue)] = json.dumps({"landing": entry})
    status, found = shell.status(safe_queue, *_API)
    assert (status, codes(found)) == (3, ["watcher_raises"])


def test_an_airflow_that_is_away_is_a_finding_and_the_queue_is_told_all_the_same(
    shell: Shell, api: AirflowStateApi, safe_queue: str
) -> None:
    api.broken = 500
    status, found = shell.status(safe_queue, *_DAGS)
    assert (status, codes(found)) == (5, ["airflow_away"])
    assert found["queue"]["attributes"]["waiting"] == 0


def test_a_database_that_is_away_is_a_finding(shell: Shell, api: AirflowStateApi, safe_queue: str) -> None:
    api.database, api.broken = "unhealthy", 500
    assert shell.status(safe_queue, *_DAGS)[0] == 5
    assert codes(shell.status(safe_queue, *_DAGS)[1]) == ["database_away"]


def test_a_trigger_that_a_dead_triggerer_has_is_taken_by_none(
    shell: Shell, api: AirflowStateApi, safe_queue: str
) -> None:
    api.task["trigger"]["triggerer_id"] = 7
    status, found = shell.status(safe_queue, *_DAGS)
    assert (status, codes(found)) == (3, ["triggerer_elsewhere"])


def test_a_paused_target_is_a_warning(shell: Shell, api: AirflowStateApi, safe_queue: str) -> None:
    api.paused.add("process")
    status, found = shell.status(safe_queue, *_DAGS)
    assert (status, codes(found)) == (0, ["target_paused"])


def test_dead_letters_are_counted_by_their_reasons_and_left_where_they_are(
    shell: Shell, sqs: Any, safe_queue: str
) -> None:
    letters = f"{safe_queue}-dlq"
    reason = {REASON_ATTRIBUTE: {"DataType": "String", "StringValue": "no S3 event"}}
    for _ in range(2):
        sqs.send_message(QueueUrl=letters, MessageBody="x", MessageAttributes=reason)
    _, found = shell.status(safe_queue)
    assert (found["queue"]["dead_letters"], found["queue"]["reasons"]) == (2, {"no S3 event": 2})
    assert codes(found) == ["dead_letters"]
    assert len(receive(sqs, letters, MaxNumberOfMessages=10)) == 2


def test_a_queue_that_is_gone_is_a_finding(shell: Shell, safe_queue: str) -> None:
    status, found = shell.status(f"{safe_queue}-gone")
    assert (status, codes(found)) == (3, ["queue_unreadable"])


def test_an_api_that_does_not_let_us_in_is_refused(
    shell: Shell, api: AirflowStateApi, safe_queue: str
) -> None:
    api.is_shut = True
    assert shell.status(safe_queue, *_DAGS) == (2, None)
    assert "airflow_conn_id" in shell.err


def test_a_dispatcher_without_a_way_to_airflow_is_refused(shell: Shell, safe_queue: str) -> None:
    assert shell.status(safe_queue, "--dispatcher", "dispatcher") == (2, None)
    assert "--airflow-conn-id" in shell.err


def test_findings_are_gauges_of_the_same_names(
    shell: Shell, statsd: StatsdServer, api: AirflowStateApi, safe_queue: str
) -> None:
    api.paused.add("dispatcher")
    shell.status(safe_queue, *_DAGS, "--metrics")
    sent = {tags["finding"]: value for name, _, value, tags in statsd.samples() if name == "s3events.finding"}
    assert sent == dict.fromkeys(FINDINGS, 0) | {"dag_paused": 1}


def test_metrics_that_are_off_are_not_silently_lost(shell: Shell, safe_queue: str) -> None:
    assert shell.status(safe_queue, "--metrics")[0] == 2
    assert "statsd_on" in shell.err


# tail


@pytest.mark.usefixtures("api")
def test_tail_shows_the_last_events_with_their_runs_the_newest_last(shell: Shell) -> None:
    status, out = shell.type("tail", "--dag", "process", *_API, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [row["object"] for row in rows] == ["s3://landing/in/a.csv", "s3://landing/in/b.csv"]
    assert rows[0]["url"].endswith("/dags/process/runs/s3__1")


@pytest.mark.usefixtures("api")
def test_tail_for_people_has_one_line_for_each_event(shell: Shell) -> None:
    _, out = shell.type("tail", "--dag", "process", *_API)
    assert [line.split()[:2] for line in out.splitlines()][1:] == [
        ["2025-11-25T11:01:00Z", "s3://landing/in/a.csv"],
        ["2025-11-25T11:02:00Z", "s3://landing/in/b.csv"],
    ]


@pytest.mark.usefixtures("api")
def test_tail_of_a_dag_without_events_says_there_is_nothing(shell: Shell) -> None:
    assert shell.type("tail", "--dag", "dispatcher", *_API) == (4, "")


def test_tail_of_a_queue_shows_each_message_and_consumes_none(
    shell: Shell, sqs: Any, safe_queue: str
) -> None:
    keys = [f"in/{number}.csv" for number in range(3)]
    for key in keys:
        sqs.send_message(QueueUrl=safe_queue, MessageBody=object_created_body("landing", key))
    status, out = shell.type("tail", "--queue", safe_queue, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert sorted(row["object"] for row in rows) == [f"s3://landing/{key}" for key in keys]
    assert len(receive(sqs, safe_queue, MaxNumberOfMessages=10)) == 3


def test_tail_shows_what_is_no_s3_event_as_such(shell: Shell, sqs: Any, safe_queue: str) -> None:
    sqs.send_message(QueueUrl=safe_queue, MessageBody="hello")
    assert "no S3 event" in shell.type("tail", "--queue", safe_queue)[1]


def test_a_key_cannot_command_the_terminal(shell: Shell, sqs: Any, safe_queue: str) -> None:
    body = object_created_body("landing", "\x1b[31mred")
    sqs.send_message(QueueUrl=safe_queue, MessageBody=body)
    assert r"s3://landing/\x1b[31mred" in shell.type("tail", "--queue", safe_queue)[1]


def test_tail_refuses_a_queue_whose_messages_it_would_endanger(shell: Shell, sqs: Any, queue: str) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    assert shell.type("tail", "--queue", queue) == (2, "")
    assert "maxReceiveCount is 5" in shell.err
    assert receive(sqs, queue)[0]["Attributes"]["ApproximateReceiveCount"] == "1"


def test_tail_ends_at_a_message_that_has_used_up_half_of_its_receives(
    shell: Shell, sqs: Any, queue: str
) -> None:
    set_receives(sqs, queue, 10)
    sqs.send_message(QueueUrl=queue, MessageBody=object_created_body("landing", "a"))
    for _ in range(4):
        receive(sqs, queue, VisibilityTimeout=0)
    _, out = shell.type("tail", "--queue", queue, "--most", "50", "--json")
    assert [json.loads(line)["receives"] for line in out.splitlines()] == [5]
    assert receive(sqs, queue)[0]["Attributes"]["ApproximateReceiveCount"] == "6"


@pytest.mark.parametrize(
    "options",
    [(), ("--queue", "q", "--dag", "d"), ("--queue", "q", "--follow"), ("--queue", "q", "--most", "0")],
)
def test_tail_refuses_options_that_cannot_be_meant(shell: Shell, options: tuple[str, ...]) -> None:
    assert shell.type("tail", *options)[0] == 2
    assert shell.err
