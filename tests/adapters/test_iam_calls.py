"""Policies against the calls really made: none that the policy refuses, no action that no call needs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_s3events.arns import Arn, bucket_arn
from airflow_s3events.notification_setup.destinations import (
    EventBridgeDestination,
    FunctionDestination,
    QueueDestination,
    TopicDestination,
)
from airflow_s3events.operators.dispatch import S3EventDispatchOperator
from airflow_s3events.operators.notification_setup import (
    S3CheckNotificationOperator,
    S3ConfigureNotificationOperator,
    S3RemoveNotificationOperator,
)
from airflow_s3events.policies import Request, Resources, evaluate, role_policy
from airflow_s3events.testing import bodies
from airflow_s3events.triggers.s3_event import S3EventTrigger
from tests.adapters.channel import Channel
from tests.lines import AIRFLOW
from tests.setup_world import Calls, World, answer_sources

if TYPE_CHECKING or AIRFLOW >= (3, 2):
    from airflow.sdk.exceptions import TaskDeferred
else:
    from airflow.exceptions import TaskDeferred

#: Operation to the action that IAM knows it by, where the two differ
#: (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html).
ACTIONS = {
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
}
#: The same for services.
SERVICES = {"mwaa": "airflow", "monitoring": "cloudwatch"}
#: Needs no right at all.
FREE = {"sts:GetCallerIdentity"}
#: AWS asks for it on our behalf; no call of ours shows it.
ON_OUR_BEHALF = {"kms:Decrypt", "kms:GenerateDataKey"}
#: A call that AWS asks for on two things is one call on the other of them here.
ELSEWHERE = {("Bus", "events:CreateArchive")}
_QUEUE_NAMES = ("QueueName", "QueueUrl")


class Account:
    """Names and ARNs of everything that the calls of a test are about."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.account = world.hooks.account(None)
        self.queue = self.arn("sqs", f"{world.name}-q")
        self.dead_letter_queue = self.arn("sqs", f"{world.name}-q-dlq")
        self.topic = self.arn("sns", f"{world.name}-t")
        self.rule = self.arn("events", f"rule/{world.name}-{world.bucket}")
        self.archive = self.arn("events", f"archive/{world.name}-a")
        self.function = self.arn("lambda", f"function:{world.name}-f")

    def arn(self, service: str, resource: str) -> Arn:
        return Arn.parse(f"arn:aws:{service}:us-east-1:{self.account}:{resource}", setting="any")

    def resources(self, **more: Any) -> Resources:
        names = ("queue", "dead_letter_queue", "topic", "rule", "archive", "function")
        known = {name: getattr(self, name) for name in names}
        return Resources(bucket=self.world.bucket, **{**known, **more})


def resource_of(service: str, parameters: dict[str, Any], account: Account) -> str:
    """The ARN that IAM would match a call against."""
    if service in _RESOURCES:
        return _RESOURCES[service](parameters, account)
    # CloudWatch's calls to read metrics are about nothing.
    return str(parameters.get("FunctionName") or parameters.get("KeyId") or "*")


def _of_s3(parameters: dict[str, Any], _: Account) -> str:
    bucket = bucket_arn(parameters["Bucket"])
    return f"{bucket}/{parameters['Key']}" if "Key" in parameters else bucket


def _of_sqs(parameters: dict[str, Any], account: Account) -> str:
    # Calls about a move of messages give an ARN, or only a handle.
    name = next((parameters[member] for member in _QUEUE_NAMES if member in parameters), "/")
    named = name.rpartition("/")[2]
    return str(account.arn("sqs", named)) if named else str(account.dead_letter_queue)


def _of_sns(parameters: dict[str, Any], account: Account) -> str:
    given = parameters.get("TopicArn") or parameters.get("SubscriptionArn")
    # A subscription's rights are those of its topic.
    return str(account.topic) if given is None else ":".join(given.split(":")[:6])


def _of_events(parameters: dict[str, Any], account: Account) -> str:
    return str(account.archive if "ArchiveName" in parameters else account.rule)


def _of_dynamodb(parameters: dict[str, Any], account: Account) -> str:
    table = parameters.get("TableName") or next(iter(parameters["RequestItems"]))
    index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
    return str(account.arn("dynamodb", f"table/{table}{index}"))


def _of_logs(parameters: dict[str, Any], account: Account) -> str:
    group, stream = parameters["logGroupName"], parameters["logStreamName"]
    return str(account.arn("logs", f"log-group:{group}:log-stream:{stream}"))


_RESOURCES: dict[str, Callable[[dict[str, Any], Account], str]] = {
    "s3": _of_s3,
    "sqs": _of_sqs,
    "sns": _of_sns,
    "events": _of_events,
    "airflow": lambda parameters, account: str(account.arn("airflow", f"role/{parameters['Name']}/Op")),
    "dynamodb": _of_dynamodb,
    "logs": _of_logs,
}


def judge(calls: Calls, policy: dict[str, Any], account: Account) -> None:
    """Every call is let through, and every action of every statement is called."""
    used: set[tuple[str, str]] = set()
    for name, operation, parameters in calls.made:
        service = SERVICES.get(name, name)
        known = f"{ACTIONS.get(operation, operation)}{'Version' if 'VersionId' in parameters else ''}"
        action = f"{service}:{known}"
        if action in FREE:
            continue
        resource = resource_of(service, parameters, account)
        request = Request(action=action, resource=resource, principal="role", context={})
        decision = evaluate(policy, request)
        assert decision.allowed, f"{operation} of {resource}"
        used.update((sid, action) for sid in decision.statements)
    granted = {(one["Sid"], action) for one in policy["Statement"] for action in one["Action"]}
    unused = granted - used - ELSEWHERE
    assert {(sid, action) for sid, action in unused if action not in ON_OUR_BEHALF} == set()


@pytest.fixture
def world(endpoint: str) -> World:
    made = World(endpoint)
    made.make_bucket()
    return made


@pytest.fixture
def account(world: World) -> Account:
    return Account(world)


@pytest.fixture
def calls() -> Calls:
    return Calls()


def everything(account: Account, key: str | None = None) -> list[Any]:
    """One destination of each kind, one after the other."""
    name = account.world.name
    queue = QueueDestination(f"{name}-q", kms_key=key)
    return [
        queue,
        TopicDestination(f"{name}-t", queues=[queue]),
        FunctionDestination(str(account.function)),
        EventBridgeDestination(queue=queue, archive=f"{name}-a"),
    ]


def configure(account: Account, destination: Any) -> None:
    name = account.world.name
    S3ConfigureNotificationOperator(
        task_id="configure",
        bucket_name=account.world.bucket,
        notification_id=name,
        destinations=destination,
        settle_seconds=0,
    ).execute({})


def make_function(account: Account) -> None:
    from tests.contract.test_notification_setup import make_function as make

    assert make(account.world) == str(account.function)


def test_configure(account: Account, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    key = account.world.client("kms").create_key()["KeyMetadata"]["Arn"]
    make_function(account)
    client = account.world.client("sns")
    topic = client.create_topic(Name=account.topic.resource)["TopicArn"]
    client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=str(account.queue))
    calls.watch(monkeypatch)
    configure(account, QueueDestination(str(account.dead_letter_queue)))
    for destination in [*everything(account, key), everything(account, key)[-1]]:
        configure(account, destination)
    client.delete_topic(TopicArn=topic)
    calls.made.pop()
    configure(account, everything(account, key)[1])
    names = {"queue_key": Arn.parse(key, setting="key"), "dead_letter_queue": account.dead_letter_queue}
    more = account.arn("sqs", f"{account.dead_letter_queue.resource}-dlq")
    calls.made = [call for call in calls.made if not _is_about(call, more.resource)]
    judge(calls, role_policy("configure", account.resources(**names)), account)


def _is_about(call: tuple[str, str, dict[str, Any]], queue: str) -> bool:
    return any(str(call[2].get(member, "")).endswith(queue) for member in _QUEUE_NAMES)


def test_check_and_prove(account: Account, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    key = account.world.client("kms").create_key()["KeyMetadata"]["Arn"]
    make_function(account)
    for destination in everything(account, key):
        configure(account, destination)
    account.world.client("sqs").send_message(QueueUrl=account.world.queue_url("q"), MessageBody="other")
    calls.watch(monkeypatch)
    for destination in everything(account, key):
        check(account, destination, prove=False)
    configure_again = everything(account, key)[0]
    checked = calls.made[:]
    configure(account, configure_again)
    calls.made.clear()
    check(account, configure_again, prove=True)
    versions = {"Status": "Enabled"}
    s3 = account.world.client("s3")
    s3.put_bucket_versioning(Bucket=account.world.bucket, VersioningConfiguration=versions)
    del calls.made[-1]
    check(account, configure_again, prove=True)
    queue_key = Arn.parse(key, setting="key")
    archived = {"archive": account.archive}
    names = account.resources(queue_key=queue_key, **archived)
    both = [role_policy(purpose, names)["Statement"] for purpose in ("check", "prove")]
    calls.made += checked
    judge(calls, {"Statement": [statement for one in both for statement in one]}, account)


def check(account: Account, destination: Any, *, prove: bool) -> None:
    S3CheckNotificationOperator(
        task_id="check",
        bucket_name=account.world.bucket,
        notification_id=account.world.name,
        destinations=destination,
        prove=prove,
        prove_seconds=20,
        fail_on_error=prove,
    ).execute({})


def test_remove(account: Account, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    make_function(account)
    for destination in everything(account):
        configure(account, destination)
        calls.watch(monkeypatch)
        remove(account, destination)
        monkeypatch.undo()
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", _connection(account))
    client, url = account.world.client("sqs"), account.world.queue_url("q")
    client.purge_queue(QueueUrl=url)
    answer_sources(monkeypatch)
    calls.watch(monkeypatch)
    remove(account, everything(account)[0], delete_queues=True)
    judge(calls, role_policy("remove", account.resources()), account)


def _connection(account: Account) -> str:
    from tests.setup_world import connection

    return connection(account.world.url)


def remove(account: Account, destination: Any, **more: Any) -> None:
    S3RemoveNotificationOperator(
        task_id="remove",
        bucket_name=account.world.bucket,
        notification_id=account.world.name,
        destinations=destination,
        settle_seconds=0,
        **more,
    ).execute({})


def watch_async(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for aiobotocore's clients."""
    from aiobotocore.client import AioBaseClient

    make: Callable[..., Any] = AioBaseClient._make_api_call

    async def noted(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        calls.made.append((client.meta.service_model.service_name, operation, parameters))
        return await make(client, operation, parameters)

    monkeypatch.setattr(AioBaseClient, "_make_api_call", noted)


def dispatchers_queue(account: Account) -> str:
    dead = account.world.queue("q-dlq")
    redrive = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 20})
    return account.world.queue("q", RedrivePolicy=redrive)


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="the channel of a task is Airflow 3's")
def test_dispatch(account: Account, calls: Calls, channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    queue, sqs = dispatchers_queue(account), account.world.client("sqs")
    url = account.world.queue_url("q")
    for body in ("no event", bodies.object_created_body("landing", "a")):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    watch_async(calls, monkeypatch)
    for dag_id in ("process", "absent"):
        operator = S3EventDispatchOperator(
            task_id="d",
            sqs_queue=queue,
            dead_letter_queue=str(account.dead_letter_queue),
            routes=dag_id,
            linger_seconds=0.2,
        )
        with pytest.raises(TaskDeferred):
            operator.execute({})
        sqs.send_message(QueueUrl=url, MessageBody=bodies.object_created_body("landing", "b"))
    assert channel.runs
    judge(calls, role_policy("dispatch", account.resources()), account)


def test_trigger(account: Account, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = dispatchers_queue(account)
    account.world.client("sqs").send_message(QueueUrl=account.world.queue_url("q"), MessageBody="x")
    watch_async(calls, monkeypatch)

    async def fire() -> Any:
        return await anext(S3EventTrigger(sqs_queue=queue, until=time.time() + 30, quiet_seconds=0).run())

    assert asyncio.run(fire()).payload == {"reason": "messages"}
    judge(calls, role_policy("trigger", account.resources()), account)
