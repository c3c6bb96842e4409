"""``s3events explain`` against an emulated S3, a ledger in SQLite, and Airflow's REST API."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.cli import main
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.identity import run_id
from airflow_s3events.ledger import Decision, Ledger
from airflow_s3events.ledger.sql import SqlStore
from tests.adapters.airflow_api import AirflowApi
from tests.adapters.conftest import Bucket


class Shell:
    """Where the command is typed."""

    def __init__(self, bucket: Bucket, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.bucket = bucket
        self.url = f"sqlite:///{folder}/ledger.db"
        self.capsys = capsys
        self.err = ""

    def explain(self, key: str, *options: str) -> tuple[int, str]:
        """Return the exit status and what was printed."""
        standard = ["--ledger", self.url, "--aws-conn-id", "aws_default"]
        status = main(["explain", self.bucket.uri(key), *standard, *options])
        out, self.err = self.capsys.readouterr()
        return status, out

    def seen(self, event: ObjectEvent, what: str, **members: Any) -> None:
        """A dispatcher met the event, and noted what it decided."""

        async def note() -> None:
            store = SqlStore(self.url)
            ledger = Ledger(store)
            await ledger.judge([(event, ["process"])])
            decision = Decision(event=event, what=what, message_id="m1", **{"dag_id": "process", **members})
            await ledger.record([decision])
            await store.close()

        asyncio.run(note())


@pytest.fixture
def shell(bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(bucket, tmp_path, capsys)


def event_of(sqs: Any, bucket: Bucket) -> ObjectEvent:
    """The one event that waits in the bucket's queue."""
    answer = sqs.receive_message(QueueUrl=bucket.queue, WaitTimeSeconds=5)
    (event,) = parse_body(answer["Messages"][0]["Body"]).events
    return event


def test_a_run_is_named_with_its_state_and_its_page(shell: Shell, sqs: Any, airflow_api: AirflowApi) -> None:
    shell.bucket.put("in/a.csv")
    event = event_of(sqs, shell.bucket)
    name = run_id(event)
    airflow_api.runs["process", name] = {"state": "failed"}
    shell.seen(event, "started", run_id=name)
    status, out = shell.explain("in/a.csv", "--airflow-conn-id", "airflow_api")
    assert status == 0
    assert f"run {name}: failed" in out
    assert f"http://127.0.0.1:{airflow_api.port}/dags/process/runs/{name}" in out
    assert "event settled" in out


def test_without_a_way_to_airflow_runs_are_named_without_their_state(shell: Shell, sqs: Any) -> None:
    shell.bucket.put("a")
    event = event_of(sqs, shell.bucket)
    shell.seen(event, "unmatched", dag_id="", reason="no route")
    status, out = shell.explain("a")
    assert status == 0
    assert "no DAG: unmatched" in out
    assert "(no route)" in out


def test_an_object_that_was_never_seen_is_explained_by_the_set_up(shell: Shell, s3: Any) -> None:
    rule = s3.get_bucket_notification_configuration(Bucket=shell.bucket.name)["QueueConfigurations"][0]
    rule["Filter"] = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}}
    s3.put_bucket_notification_configuration(
        Bucket=shell.bucket.name, NotificationConfiguration={"QueueConfigurations": [rule]}
    )
    shell.bucket.put("out/a.csv")
    status, out = shell.explain("out/a.csv")
    assert status == 3
    assert "no event of this key was ever seen" in out
    assert "no rule of bucket" in out
    assert "its policy does not let" in out


def test_an_overwrite_that_was_not_seen_is_told_from_the_write_before(
    shell: Shell, s3: Any, sqs: Any
) -> None:
    s3.put_bucket_versioning(Bucket=shell.bucket.name, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=shell.bucket.name, Key="a", Body=b"one")["VersionId"]
    # S3 names the version in its notification; the emulator does not.
    event = replace(event_of(sqs, shell.bucket), version_id=version)
    shell.seen(event, "started", run_id=run_id(event))
    shell.bucket.put("a", b"three")
    status, out = shell.explain("a", "--json")
    explained = json.loads(out)
    assert status == 3
    assert [(one["size"], one["event"]) for one in explained["stored"]] == [(5, "never seen"), (3, "settled")]
    assert explained["findings"]


def test_nothing_there_and_nothing_seen(shell: Shell) -> None:
    status, out = shell.explain("gone")
    assert status == 3
    assert "in S3    nothing" in out


def test_a_bucket_that_is_not_there_is_named(shell: Shell) -> None:
    assert (
        main(["explain", "s3://no-such-bucket/a", "--ledger", shell.url, "--aws-conn-id", "aws_default"]) == 2
    )
    assert "no such bucket" in shell.capsys.readouterr().err


def test_a_ledger_that_is_away_is_status_5(shell: Shell) -> None:
    shell.url = "sqlite:////nowhere/ledger.db"
    assert shell.explain("a")[0] == 5


@pytest.mark.parametrize("where", ["landing/a", "s3://landing", "s3:///a"])
def test_only_the_url_of_an_object_is_taken(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", where, "--ledger", "sqlite://"]) == 2
    assert "give s3://bucket/key" in capsys.readouterr().err
