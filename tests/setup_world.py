"""One emulated AWS account for tests of set-up: a bucket of the test's own, clients to look from outside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import boto3

from airflow_s3events.arns import Arn
from airflow_s3events.hooks.notification_setup import SetupHooks
from airflow_s3events.notification_setup.configure import Wanted, apply, plan
from airflow_s3events.notification_setup.remove import Unwanted, plan_removal, remove
from airflow_s3events.policies import Grant, grant, merged, parse_policy, policy_text

REGION = "us-east-1"
#: Seconds: longer than an emulator takes between a read and a put of ours, even on a busy machine.
SETTLE = 0.05


def connection(url: str, **extra: Any) -> str:
    """An Airflow connection to an emulator."""
    settings = {"endpoint_url": url, "region_name": REGION, **extra}
    return json.dumps({"conn_type": "aws", "login": "AKIATEST", "password": "secret-key", "extra": settings})


@dataclass
class World:
    """An emulator, and names of the test's own in it."""

    url: str
    tell: list[str] = field(default_factory=list)
    aws_conn_id: str = "aws_default"

    def __post_init__(self) -> None:
        self.name = f"t{uuid4().hex[:10]}"
        self.bucket = f"{self.name}-bucket"
        self.hooks = SetupHooks(
            aws_conn_id=self.aws_conn_id, region_name=None, verify=None, botocore_config=None
        )

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def make_bucket(self, name: str | None = None) -> str:
        self.client("s3").create_bucket(Bucket=name or self.bucket)
        return name or self.bucket

    def queue(self, name: str = "q", **attributes: str) -> str:
        """Make a queue from outside; return its ARN."""
        url = self.client("sqs").create_queue(QueueName=f"{self.name}-{name}", Attributes=attributes)[
            "QueueUrl"
        ]
        return str(self.attributes(url)["QueueArn"])

    def open_queue(self, name: str) -> str:
        """Make a queue that this bucket may send to, if it is not there; return its ARN."""
        arn = Arn.parse(self.queue(name), setting="queue")
        policy = policy_text(merged(parse_policy(None), [grant(self._sender, arn)]))
        url = self.queue_url(name)
        self.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        return str(arn)

    def open_topic(self, name: str) -> str:
        """The same for a topic."""
        client = self.client("sns")
        arn = Arn.parse(client.create_topic(Name=f"{self.name}-{name}")["TopicArn"], setting="topic")
        policy = policy_text(merged(parse_policy(None), [grant(self._sender, arn)]))
        client.set_topic_attributes(TopicArn=str(arn), AttributeName="Policy", AttributeValue=policy)
        return str(arn)

    @property
    def _sender(self) -> Grant:
        return Grant.of_bucket(self.bucket, self.hooks.account(None))

    def attributes(self, url: str) -> dict[str, str]:
        answer = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        return dict(answer["Attributes"])

    def attributes_of(self, name: str) -> dict[str, str]:
        """Attributes of a queue by its name in this world."""
        return self.attributes(self.queue_url(name))

    def queue_url(self, name: str) -> str:
        return str(self.client("sqs").get_queue_url(QueueName=f"{self.name}-{name}")["QueueUrl"])

    def configuration(self) -> dict[str, Any]:
        answer = self.client("s3").get_bucket_notification_configuration(Bucket=self.bucket)
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    def put_configuration(self, configuration: dict[str, Any]) -> None:
        self.client("s3").put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration=configuration
        )

    def wanted(self, destinations: Any, **members: Any) -> Wanted:
        given = {"notification_id": "ours", "events": ["s3:ObjectCreated:*"], "mode": "merge", **members}
        return Wanted.of(bucket=self.bucket, destinations=destinations, **given)

    def configure(self, destinations: Any, **members: Any) -> list[str]:
        """Set up; return what was changed, in lines."""
        found = plan(self.hooks, self.wanted(destinations, **members))
        told: list[str] = []
        apply(self.hooks, found, settle_seconds=SETTLE, tell=told.append)
        return told

    def remove(self, destinations: Any = (), **members: Any) -> list[str]:
        """Take down; return what was changed, in lines."""
        given = {"notification_id": "ours", **members}
        found = plan_removal(self.hooks, Unwanted.of(bucket=self.bucket, destinations=destinations, **given))
        told: list[str] = []
        remove(self.hooks, found, settle_seconds=SETTLE, tell=told.append)
        return told

    def receive(self, name: str) -> list[dict[str, Any]]:
        url = self.queue_url(name)
        answer = self.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
        return list(answer.get("Messages", []))


def world_at(url: str, monkeypatch: Any) -> World:
    """A new world on an emulator, with its bucket, behind ``aws_default``."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(url))
    answer_sources(monkeypatch)
    made = World(url)
    made.make_bucket()
    return made


def answer_sources(monkeypatch: Any) -> None:
    """Answer which queues have a dead letter queue where an emulator cannot: ministack lacks the call."""
    from botocore.client import BaseClient

    make: Callable[..., Any] = BaseClient._make_api_call

    def answered(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        try:
            return make(client, operation, parameters)
        except client.exceptions.ClientError as error:
            if operation != "ListDeadLetterSourceQueues" or "Invalid" not in error.response["Error"]["Code"]:
                raise
        dead = f':{parameters["QueueUrl"].rpartition("/")[2]}"'
        # Names of one world begin alike.
        urls = make(client, "ListQueues", {"QueueNamePrefix": dead[1:12]}).get("QueueUrls", [])
        asked = [{"QueueUrl": url, "AttributeNames": ["RedrivePolicy"]} for url in urls]
        found = [make(client, "GetQueueAttributes", one).get("Attributes", {}) for one in asked]
        redrives = [one.get("RedrivePolicy", "") for one in found]
        return {"queueUrls": [url for url, redrive in zip(urls, redrives, strict=True) if dead in redrive]}

    monkeypatch.setattr(BaseClient, "_make_api_call", answered)


class Calls:
    """Every call of AWS that a process makes, by operation and parameters."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str, dict[str, Any]]] = []

    def watch(self, monkeypatch: Any) -> Calls:
        """Note the calls of every client from now on."""
        from botocore.client import BaseClient

        make: Callable[..., Any] = BaseClient._make_api_call

        def noted(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            self.made.append((client.meta.service_model.service_name, operation, parameters))
            return make(client, operation, parameters)

        monkeypatch.setattr(BaseClient, "_make_api_call", noted)
        return self

    @contextmanager
    def unnoted(self) -> Iterator[None]:
        """What a test does itself, to prepare, is no call of ours."""
        made = list(self.made)
        yield
        self.made[:] = made

    @property
    def writing(self) -> list[str]:
        """Operations that change something."""
        reading = ("Get", "List", "Describe", "Head")
        return [operation for _, operation, _ in self.made if not operation.startswith(reading)]
