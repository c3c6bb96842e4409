"""An emulated SQS behind ``aws_default``, and Airflow's side of a task's channel."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import boto3
import pytest

from tests.adapters.airflow_api import AirflowApi, served
from tests.adapters.channel import Channel
from tests.adapters.metadata_database import MetadataDatabase
from tests.emulators import ministack_server
from tests.lines import AIRFLOW

REGION = "us-east-1"
SECRET = "secret-access-key-of-the-test"


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    with ministack_server() as url:
        yield url


@pytest.fixture(scope="session")
def sqs(endpoint: str) -> Any:
    """A boto3 client, to look at queues from outside."""
    return _client("sqs", endpoint)


@pytest.fixture(scope="session")
def s3(endpoint: str) -> Any:
    """A boto3 client, to upload."""
    return _client("s3", endpoint)


def _client(service: str, endpoint: str) -> Any:
    return boto3.client(
        service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
    )


@pytest.fixture(autouse=True)
def connection(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """``aws_default`` leads to the emulator, in tests that use one."""
    if "endpoint" not in request.fixturenames:
        return
    extra = {"endpoint_url": request.getfixturevalue("endpoint"), "region_name": REGION}
    uri = {"conn_type": "aws", "login": "AKIATEST", "password": SECRET, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(uri))


@pytest.fixture
def queue(sqs: Any) -> str:
    """URL of a new queue with a redrive policy of five receives."""
    name = f"q-{uuid4().hex[:8]}"
    dlq = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dlq, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
    url: str = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})["QueueUrl"]
    return url


@dataclass(frozen=True)
class Bucket:
    """A bucket of the test's own that notifies a queue of its own."""

    s3: Any
    name: str
    #: URL.
    queue: str

    def put(self, key: str, content: bytes = b"1") -> None:
        """Upload."""
        self.s3.put_object(Bucket=self.name, Key=key, Body=content)

    def uri(self, key: str) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self.name}/{key}"


@pytest.fixture
def bucket(s3: Any, sqs: Any, queue: str) -> Bucket:
    """A bucket whose events go to ``queue``."""
    name = f"b-{uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration={"QueueConfigurations": [rule]}
    )
    sqs.purge_queue(QueueUrl=queue)  # the test event
    return Bucket(s3, name, queue)


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Channel:
    """Airflow's side of the channel, answering from memory."""
    from airflow.sdk.execution_time import task_runner

    fake = Channel("process", "archive")
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", fake, raising=False)
    return fake


@pytest.fixture
def allowed_run_ids(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets Airflow's pattern of run ids for the time of a test."""
    from airflow_s3events._compat import run_ids

    def allow(pattern: str) -> None:
        monkeypatch.setenv("AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN", pattern)
        run_ids._allowed.cache_clear()

    yield allow
    run_ids._allowed.cache_clear()


@pytest.fixture(scope="session")
def filled_database() -> MetadataDatabase:
    return MetadataDatabase("process", "archive")


@pytest.fixture
def database(filled_database: MetadataDatabase) -> MetadataDatabase:
    """Airflow 2's database, without runs."""
    filled_database.empty()
    return filled_database


@pytest.fixture
def airflow_side(request: pytest.FixtureRequest) -> Channel | MetadataDatabase:
    """What a task of the installed Airflow creates its runs in."""
    side: Channel | MetadataDatabase = request.getfixturevalue("channel" if AIRFLOW >= (3, 0) else "database")
    return side


@pytest.fixture
def airflow_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[AirflowApi]:
    """Airflow's REST API behind the connection ``airflow_api``, with DAGs ``process`` and ``archive``."""
    with served(AirflowApi("process", "archive")) as api:
        where = {"conn_type": "http", "host": "127.0.0.1", "port": api.port, "login": "me", "password": "pw"}
        monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", json.dumps(where))
        yield api
