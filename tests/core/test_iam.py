"""``s3events iam``: a policy on stdout, reasons on stderr."""

from __future__ import annotations

import json

import pytest

from airflow_s3events.cli import main

QUEUE = "arn:aws:sqs:eu-west-1:111122223333:events"


@pytest.mark.parametrize(
    "queue",
    [
        [QUEUE],
        ["https://sqs.eu-west-1.amazonaws.com/111122223333/events"],
        ["events", "--region", "eu-west-1", "--account", "111122223333"],
    ],
)
def test_a_queue_is_its_arn_its_url_or_its_name_with_region_and_account(
    queue: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["iam", "--for", "trigger", "--queue", *queue]) == 0
    (statement,) = json.loads(capsys.readouterr().out)["Statement"]
    assert statement["Resource"] == QUEUE


def test_everything_that_is_named_is_in_the_policy(capsys: pytest.CaptureFixture[str]) -> None:
    named = {
        "--queue": QUEUE,
        "--dead-letter-queue": f"{QUEUE}-dlq",
        "--queue-key": "arn:aws:kms:eu-west-1:111122223333:key/a",
        "--dead-letter-key": "arn:aws:kms:eu-west-1:111122223333:key/b",
        "--topic": "arn:aws:sns:eu-west-1:111122223333:t",
        "--function": "arn:aws:lambda:eu-west-1:111122223333:function:f",
        "--rule": "arn:aws:events:eu-west-1:111122223333:rule/r",
        "--archive": "arn:aws:events:eu-west-1:111122223333:archive/a",
    }
    options = [text for pair in named.items() for text in pair]
    assert main(["iam", "--for", "configure", "--bucket", "landing", *options]) == 0
    resources = {statement["Resource"] for statement in json.loads(capsys.readouterr().out)["Statement"]}
    bus = "arn:aws:events:eu-west-1:111122223333:event-bus/default"
    assert resources == {*named.values(), "arn:aws:s3:::landing", bus}


def test_the_region_tells_the_partition_of_the_bucket(capsys: pytest.CaptureFixture[str]) -> None:
    main(["iam", "--for", "check", "--bucket", "landing", "--region", "cn-north-1"])
    assert "arn:aws-cn:s3:::landing" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--for", "dispatch"],
        ["--for", "dispatch", "--queue", "events"],
        ["--for", "dispatch", "--queue", "events", "--region", "europe", "--account", "111122223333"],
        ["--for", "dispatch", "--queue", "arn:aws:sns:eu-west-1:111122223333:t"],
        ["--for", "sensor", "--bucket", "s3://landing"],
        ["--for", "sensor", "--bucket", "landing", "--enrich", "tags"],
        ["--for", "dispatch", "--queue", QUEUE, "--enrich", "tags"],
        ["--for", "dispatch", "--queue", QUEUE, "--manifest", "m.json"],
        ["--for", "check", "--bucket", "landing", "--ledger", "sql:ledger_db"],
        ["--for", "explain", "--bucket", "landing", "--ledger", "dynamodb:ledger"],
        ["--for", "reconcile", "--bucket", "landing", "--inventory", "reports"],
    ],
)
def test_what_is_missing_or_wrong_is_told_on_stderr(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["iam", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("s3events iam: ")


def test_a_dispatcher_without_a_dead_letter_queue_is_told_what_that_means(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["iam", "--for", "dispatch", "--queue", QUEUE]) == 0
    assert "--dead-letter-queue" in capsys.readouterr().err


def test_what_a_dispatchers_routes_ask_is_in_its_policy_and_nothing_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    named = ["iam", "--for", "dispatch", "--queue", QUEUE, "--bucket", "landing", "--prefix", "in/"]
    assert main(named) == 0
    assert "arn:aws:s3" not in capsys.readouterr().out
    assert main([*named, "--enrich", "tags"]) == 0
    granted = {one["Resource"]: one["Action"] for one in json.loads(capsys.readouterr().out)["Statement"]}
    assert granted["arn:aws:s3:::landing/in/*"] == ["s3:GetObjectTagging", "s3:GetObjectVersionTagging"]
    assert main([*named, "--enrich", "head", "--enrich", "tags"]) == 0
    statements = json.loads(capsys.readouterr().out)["Statement"]
    assert ["s3:GetObject", "s3:GetObjectVersion"] in [one["Action"] for one in statements]
    assert ["s3:ListBucket"] in [one["Action"] for one in statements]
    assert len({one["Sid"] for one in statements}) == len(statements)


def test_a_watcher_without_a_dead_letter_queue_is_told_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["iam", "--for", "watch", "--queue", QUEUE, "--audit", "s3://audits"]) == 0
    out, err = capsys.readouterr()
    assert "arn:aws:s3:::audits/*" in out
    assert "--dead-letter-queue" in err


def test_a_ledger_is_in_the_region_and_account_that_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--region", "eu-west-1", "--account", "111122223333"]
    named = ["iam", "--bucket", "landing", "--ledger", "dynamodb:ledger", *where]
    for purpose in ("reconcile", "explain"):
        assert main([*named, "--for", purpose]) == 0
        assert "arn:aws:dynamodb:eu-west-1:111122223333:table/ledger" in capsys.readouterr().out


def test_a_dispatcher_reads_the_manifests_of_its_batches(capsys: pytest.CaptureFixture[str]) -> None:
    named = ["iam", "--for", "dispatch", "--queue", QUEUE, "--bucket", "landing", "--manifest", "m.json"]
    assert main(named) == 0
    assert "arn:aws:s3:::landing/*m.json" in capsys.readouterr().out
