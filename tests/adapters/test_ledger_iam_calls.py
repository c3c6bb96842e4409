"""Policies of all that keeps or reads a ledger, with one in DynamoDB, against the calls really made."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.arns import Arn
from airflow_s3events.cli import main
from airflow_s3events.identity import run_id
from airflow_s3events.ledger import Decision, Ledger
from airflow_s3events.ledger.dynamodb import DynamoDbStore
from airflow_s3events.policies import role_policy
from airflow_s3events.routing import Batch, Route
from airflow_s3events.testing import object_event
from airflow_s3events.testing.bodies import object_created_body
from tests.adapters.channel import Channel
from tests.adapters.test_dead_letter_iam_calls import ANSWERS, calls
from tests.adapters.test_dispatch_operator import deferral_of, operator_of
from tests.adapters.test_iam_calls import Account, account, dispatchers_queue, judge, make_function, world
from tests.emulators import moto_server
from tests.ledger_stores import open_dynamodb
from tests.lines import AIRFLOW
from tests.setup_world import Calls

__all__ = ["account", "calls", "world"]

#: What Airflow's API says to whatever a reconciliation and an explanation ask.
_AIRFLOW = {"is_paused": False, "has_import_errors": False, "total_entries": 0, "state": "queued"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The emulator that has all of it: DynamoDB, too."""
    with moto_server() as url:
        yield url


@pytest.fixture
def airflow_role(account: Account, monkeypatch: pytest.MonkeyPatch) -> Arn:
    monkeypatch.setitem(ANSWERS, "InvokeRestApi", {"RestApiStatusCode": 200, "RestApiResponse": _AIRFLOW})
    return account.arn("airflow", "role/landing/Op")


@pytest.fixture
def ledger(account: Account, calls: Calls) -> str:
    """The address of a ledger in a table of its own."""
    with calls.unnoted():
        with_store(account, DynamoDbStore.create_table)
    return f"dynamodb:{account.world.name}"


def with_store(account: Account, work: Callable[[DynamoDbStore], Awaitable[None]]) -> None:
    async def open_and_work() -> None:
        async with open_dynamodb(account.world.url) as client:
            await work(DynamoDbStore(client, table=account.world.name))

    asyncio.run(open_and_work())


def put(account: Account, key: str, content: bytes = b"1", bucket: str = "") -> None:
    account.world.client("s3").put_object(Bucket=bucket or account.world.bucket, Key=key, Body=content)


def keep_versions(account: Account) -> None:
    account.world.client("s3").put_bucket_versioning(
        Bucket=account.world.bucket, VersioningConfiguration={"Status": "Enabled"}
    )


def send(account: Account, *bodies: str) -> None:
    for body in bodies:
        account.world.client("sqs").send_message(QueueUrl=account.world.queue_url("q"), MessageBody=body)


def ran(command: str, location: str, *options: str) -> int:
    return main([command, location, "--aws-conn-id", "aws_default", *options])


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="the channel of a task is Airflow 3's")
def test_dispatch_with_a_ledger_a_manifest_and_an_audit(
    account: Account, calls: Calls, ledger: str, channel: Channel
) -> None:
    bucket, audits = account.world.bucket, f"{account.world.name}-audits"
    batch = Batch(by=r"in/(?P<day>[0-9-]+)/", idle_seconds=None, manifest="m.json")
    with calls.unnoted():
        queue = dispatchers_queue(account)
        account.world.make_bucket(audits)
        put(account, "in/1/m.json", b'["in/1/a"]')
        send(account, "no event", object_created_body(bucket, "in/0/a"))
    kept = {"ledger": ledger, "audit": f"s3://{audits}/kept"}
    named = {**kept, "dead_letter_queue": str(account.dead_letter_queue)}
    deferral_of(operator_of(queue, "absent", **named))
    with calls.unnoted():
        send(account, *(object_created_body(bucket, f"in/1/{name}") for name in ("m.json", "a")))
    deferral_of(operator_of(queue, Route(dag_id="process", batch=batch), **named))
    assert [conf["s3_batch"]["closed_by"] for conf in channel.runs.values()] == ["manifest"]
    what = account.resources(prefix="in/", manifests=("m.json",), **kept)
    judge(calls, role_policy("dispatch", what), account)


def test_reconcile(account: Account, calls: Calls, ledger: str, airflow_role: Arn) -> None:
    where = f"s3://{account.world.bucket}/in/"
    options = ("--dag", "process", "--min-age-seconds", "0", "--mwaa-environment", "landing")
    with calls.unnoted():
        put(account, "in/a")
    assert ran("reconcile", where, "--ledger", ledger, *options) == 0
    with calls.unnoted():
        keep_versions(account)
        put(account, "in/b")
    assert ran("reconcile", where, "--ledger", ledger, *options) == 0
    what = account.resources(ledger=ledger, airflow_role=airflow_role)
    judge(calls, role_policy("reconcile", what), account)


def test_reconcile_by_an_inventory(account: Account, calls: Calls, tmp_path: Path) -> None:
    bucket, reports = account.world.bucket, f"{account.world.name}-reports"
    folder = f"stock/{bucket}/daily"
    row = f'"{bucket}","in/a","1","2026-05-04T00:00:00.000Z","0a"\n'
    manifest = {
        "sourceBucket": bucket,
        "destinationBucket": f"arn:aws:s3:::{reports}",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size, LastModifiedDate, ETag",
        "files": [{"key": f"{folder}/data/1.csv.gz"}],
    }
    with calls.unnoted():
        account.world.make_bucket(reports)
        put(account, f"{folder}/data/1.csv.gz", gzip.compress(row.encode()), reports)
        put(account, f"{folder}/2026-05-04T01-00Z/manifest.json", json.dumps(manifest).encode(), reports)
    inventory = f"s3://{reports}/{folder}/2026-05-04T01-00Z/manifest.json"
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    options = ("--dag", "process", "--dry-run", "--inventory", inventory, "--ledger", ledger)
    assert ran("reconcile", f"s3://{bucket}/in/", *options) == 3
    what = account.resources(inventory=inventory, ledger=ledger)
    judge(calls, role_policy("reconcile", what), account)


def test_explain(account: Account, calls: Calls, ledger: str, airflow_role: Arn) -> None:
    bucket = account.world.bucket
    with calls.unnoted():
        key = notify_everybody(account)
        put(account, "in/seen")
        with_store(account, lambda store: note_run(store, bucket, "in/seen"))
    for name in ("in/seen", "in/not-seen"):
        ran("explain", f"s3://{bucket}/{name}", "--ledger", ledger, "--mwaa-environment", "landing")
        with calls.unnoted():
            keep_versions(account)
    names = {"queue_key": key, "rule": None, "archive": None, "ledger": ledger, "airflow_role": airflow_role}
    judge(calls, role_policy("explain", account.resources(**names)), account)


async def note_run(store: DynamoDbStore, bucket: str, key: str) -> None:
    """As a dispatcher that has started a run of the object."""
    event = object_event("ObjectCreated:Put", bucket, key)
    ledger = Ledger(store)
    await ledger.judge([(event, ["process"])])
    await ledger.record([Decision(event=event, what="started", dag_id="process", run_id=run_id(event))])


def notify_everybody(account: Account) -> Arn:
    """Have the bucket send to a queue, a topic and a function; return the key of the queue."""
    key = str(account.world.client("kms").create_key()["KeyMetadata"]["Arn"])
    make_function(account)
    topic = account.world.client("sns").create_topic(Name=account.topic.resource)["TopicArn"]
    dispatchers_queue(account)
    account.world.client("sqs").set_queue_attributes(
        QueueUrl=account.world.queue_url("q"), Attributes={"KmsMasterKeyId": key}
    )
    rules: dict[str, Any] = {
        "Queue": {"QueueArn": str(account.queue)},
        "Topic": {"TopicArn": topic},
        "LambdaFunction": {"LambdaFunctionArn": str(account.function)},
    }
    for number, rule in enumerate(rules.values()):
        prefix = {"Name": "prefix", "Value": f"in/{number}"}
        rule |= {"Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": [prefix]}}}
    account.world.put_configuration({f"{kind}Configurations": [rule] for kind, rule in rules.items()})
    return Arn.parse(key, setting="key")
