"""``EmbeddedAws``: S3 and SQS in a child process, with a bucket that notifies a queue."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from airflow_s3events.demo.cluster import ClusterError
from airflow_s3events.demo.lifetime import Lifetime
from airflow_s3events.demo.processes import Processes, free_port
from airflow_s3events.exceptions import ConfigurationError

REGION = "us-east-1"
_ALL_EVENTS = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
_UP_IN_SECONDS = 30.0
_NAME = "aws"


@dataclass(frozen=True, slots=True)
class NotifyingBucket:
    """A bucket whose events go to a queue, and the dead letter queue behind that."""

    bucket: str
    queue_url: str
    dlq_url: str


@dataclass
class EmbeddedAws(Lifetime):
    """S3 and SQS on a free loopback port, in memory.

    ::

        with EmbeddedAws(folder) as aws:
            landing = aws.notifying_bucket("landing")
            aws.s3.put_object(Bucket=landing.bucket, Key="a.csv", Body=b"1")
            aws.sqs.receive_message(QueueUrl=landing.queue_url)

    It is ministack, with notification bodies in AWS's form: ``aws_server`` says why. Any credentials do.
    """

    folder: Path
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self._processes = Processes(self.folder)

    @property
    def endpoint_url(self) -> str:
        """Endpoint of both services."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def connection(self) -> str:
        """An Airflow connection to this AWS, for ``AIRFLOW_CONN_AWS_DEFAULT`` or any other connection id."""
        extra = {"endpoint_url": self.endpoint_url, "region_name": REGION}
        return json.dumps({"conn_type": "aws", "login": "demo", "password": "demo", "extra": extra})

    @cached_property
    def s3(self) -> Any:
        """A boto3 S3 client."""
        return self._client("s3")

    @cached_property
    def sqs(self) -> Any:
        """A boto3 SQS client."""
        return self._client("sqs")

    def bring_up(self) -> None:
        """Start the server, and wait until it answers."""
        self.start()
        self.wait_up()

    def start(self) -> None:
        """Start the server; returns without waiting. After a ``stop`` it comes back empty on the same port.

        :raises ConfigurationError: ministack is not installed.
        """
        if find_spec("ministack") is None:
            raise ConfigurationError(
                "the embedded AWS needs ministack: pip install 'airflow-provider-s3events[demo]'"
            )
        command = [sys.executable, "-m", "airflow_s3events.demo.aws_server", str(self.port)]
        self._processes.start(_NAME, command, os.environ)

    def wait_up(self, timeout_seconds: float = _UP_IN_SECONDS) -> None:
        """Wait until it answers.

        :raises ClusterError: it ended, or time is up; the text ends with its last log lines.
        """
        if not self._processes.wait_for_answer(_NAME, self._answers, timeout_seconds):
            raise ClusterError(f"the embedded AWS did not start\n{self._processes.log_tail(_NAME)}")

    def stop(self) -> None:
        """End the server; all buckets and queues are gone."""
        self._processes.stop_all()

    def notifying_bucket(
        self,
        name: str,
        *,
        versioned: bool = False,
        max_receive_count: int = 5,
        visibility_timeout_seconds: int = 30,
    ) -> NotifyingBucket:
        """Make bucket ``name``, queues ``name-events`` and ``name-dlq``, and the notification."""
        dlq_url, dlq_arn = self._queue(f"{name}-dlq", {})
        redrive = {"deadLetterTargetArn": dlq_arn, "maxReceiveCount": max_receive_count}
        attributes = {
            "RedrivePolicy": json.dumps(redrive),
            "VisibilityTimeout": str(visibility_timeout_seconds),
        }
        queue_url, queue_arn = self._queue(f"{name}-events", attributes)
        self.s3.create_bucket(Bucket=name)
        if versioned:
            self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        rule = {"QueueArn": queue_arn, "Events": list(_ALL_EVENTS)}
        self.s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"QueueConfigurations": [rule]}
        )
        return NotifyingBucket(name, queue_url, dlq_url)

    def counts(self, queue_url: str) -> tuple[int, int]:
        """Messages of a queue that wait, and messages in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
        return int(attributes[names[0]]), int(attributes[names[1]])

    def _queue(self, name: str, attributes: dict[str, str]) -> tuple[str, str]:
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, answer["Attributes"]["QueueArn"]

    def _client(self, service: str) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id="demo",
            aws_secret_access_key="demo",  # noqa: S106 - the embedded AWS takes anything
            config=Config(proxies={}, retries={"mode": "standard"}),
        )

    def _answers(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.endpoint_url}/_ministack/health", timeout=2):
                return True
        except (OSError, urllib.error.URLError):
            return False
