"""``SqsQueue``: a queue's calls over an aiobotocore client that the caller opened."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from airflow_s3events.arns import Arn, check_account, check_region, is_arn, partition_of
from airflow_s3events.aws_errors import translated
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.messages import Message, QueueAttributes

#: Entries of one batch call, and messages of one receive.
_MOST_ENTRIES = 10
#: Group of everything that this package sends to a FIFO queue: dead letters, and what comes back from there.
_GROUP = "s3events"

#: AWS's error code to the setting that cures it
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html).
_SETTINGS = {
    "AWS.SimpleQueueService.NonExistentQueue": "sqs_queue: no such queue in this region and account",
    "QueueDoesNotExist": "sqs_queue: no such queue in this region and account",
    "InvalidAddress": "sqs_queue or region_name: this address is no queue here",
    "QueueDeletedRecently": "sqs_queue: the queue was just deleted",
    "AccessDenied": "aws_conn_id: the policy of its role, or of the queue, does not allow this",
    "AccessDeniedException": "aws_conn_id: the policy of its role, or of the queue, does not allow this",
    "InvalidSecurity": "endpoint_url of aws_conn_id: the queue wants HTTPS",
    "InvalidClientTokenId": "aws_conn_id: AWS does not know this access key",
    "UnrecognizedClientException": "aws_conn_id: AWS does not know this access key",
    "SignatureDoesNotMatch": "aws_conn_id: the secret key does not fit the access key",
    "AuthFailure": "aws_conn_id: AWS does not accept these credentials",
    "KmsAccessDenied": "the role behind aws_conn_id may not use the queue's KMS key (kms:Decrypt)",
    "KmsDisabled": "the queue's KMS key is disabled",
    "KmsNotFound": "the queue's KMS key does not exist",
    "KmsInvalidState": "the queue's KMS key is in a state in which it cannot be used",
}
_REGION = r"(?P<region>[a-z]{2}(?:-[a-z]+)+-\d+)"
_HOSTS = (
    # sqs.eu-west-1.amazonaws.com(.cn), sqs-fips., sqs.eu-west-1.api.aws,
    # vpce-1-2.sqs.eu-west-1.vpce.amazonaws.com
    re.compile(rf"https?://(?:[\w-]+\.)*sqs(?:-fips)?\.{_REGION}\."),
    # the oldest form, still handed out by some tools: eu-west-1.queue.amazonaws.com
    re.compile(rf"https?://{_REGION}\.queue\.amazonaws\."),
)
_ARN = re.compile(r"arn:[\w-]+:sqs:(?P<region>[^:]+):(?P<account>\d+):(?P<name>[\w-]+(?:\.fifo)?)")
_ADDRESS = re.compile(r"https?://[^/]+/(?P<account>\d{12})/(?P<name>[\w.-]+)/?")
_NAME = re.compile(r"[\w-]{1,80}(?:\.fifo)?", re.ASCII)


def region_of(queue: str) -> str | None:
    """Return the region that a queue's URL or ARN names; None for a name, or a host that says nothing."""
    if arn := _ARN.fullmatch(queue):
        return arn["region"]
    if queue.startswith(("https://queue.amazonaws.com/", "http://queue.amazonaws.com/")):
        return "us-east-1"
    found = [match for host in _HOSTS if (match := host.match(queue))]
    return found[0]["region"] if found else None


def queue_arn(queue: str, region: str | None, account: str | None, *, setting: str) -> Arn:
    """Return the ARN of ``queue``: an ARN as it is, a URL of AWS read, a name put together.

    Args:
        queue: ARN, URL or name.
        region: For a name, and for a URL that tells none.
        account: For a name: twelve digits.
        setting: What an error names.

    Raises:
        ConfigurationError: ``queue`` is none of these, or a name without region or account.
    """
    if is_arn(queue):
        return Arn.of_service(queue, "sqs", setting=setting)
    address = _ADDRESS.fullmatch(queue)
    name = address["name"] if address else queue
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{setting}: {queue!r}: give the URL, the ARN or the name of a queue")
    account = address["account"] if address else account
    region = region_of(queue) or region
    if not region or not account:
        raise ConfigurationError(f"{setting}: {queue!r} is a name: give the ARN, or region and account too")
    check_region(region, setting=setting)
    check_account(account, setting=setting)
    return Arn(partition=partition_of(region), service="sqs", region=region, account=account, resource=name)


async def queue_url(client: Any, queue: str) -> str:
    """Return the URL of ``queue``: a URL as it is, an ARN or a name looked up with ``client``.

    Args:
        client: An aiobotocore client for SQS.
        queue: URL, ARN (another account's too, if its policy allows ``sqs:GetQueueUrl``) or name.

    Raises:
        ConfigurationError: ``queue`` is none of these, does not exist, or is in another region than
            ``client``.
        OutageError: SQS is away or throttling.
    """
    if queue.startswith(("https://", "http://")):
        return queue
    arn = _ARN.fullmatch(queue)
    if arn is None and not _NAME.fullmatch(queue):
        raise ConfigurationError(f"sqs_queue={queue!r}: give the URL, the ARN or the name of a queue")
    request = {"QueueName": queue}
    if arn is not None:
        region = client.meta.region_name
        if arn["region"] != region:
            raise ConfigurationError(f"region_name: {queue} is not in {region}")
        request = {"QueueName": arn["name"], "QueueOwnerAWSAccountId": arn["account"]}
    async with _translated(f"GetQueueUrl of {queue}"):
        answer = await client.get_queue_url(**request)
    return str(answer["QueueUrl"])


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveProgress:
    """How far a move task of SQS has come.

    Attributes:
        status: ``RUNNING``, ``COMPLETED``, ``CANCELLING``, ``CANCELLED`` or ``FAILED``.
        moved: Messages moved so far; approximate, as SQS gives it.
        to_move: Messages that were there at its start; None where SQS does not say.
        failure: Why it failed, or an empty text.
        handle: What cancels it; SQS names it only while it runs.
    """

    status: str
    moved: int = 0
    to_move: int | None = None
    failure: str = ""
    handle: str | None = field(default=None, repr=False)

    @property
    def is_over(self) -> bool:
        """Whether it moves nothing more."""
        return self.status not in ("RUNNING", "CANCELLING")


class SqsQueue:
    """One queue over an aiobotocore client; the calls that a consumer needs.

    Needs aiobotocore 2.14 or later. The client stays the caller's: it is opened and closed there, once. Its
    read time-out must be longer than the longest wait of a receive (20 s; botocore's default is 60 s).
    Neither receipt handles nor bodies are logged or put into errors.

    Args:
        client: An aiobotocore client for SQS.
        url: As ``queue_url`` gives it.
    """

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self.url = url

    def __repr__(self) -> str:
        return f"SqsQueue({self.url!r})"

    async def receive(
        self, *, max_messages: int = 10, wait_seconds: int = 20, visibility_seconds: int | None = None
    ) -> list[Message]:
        """Return up to ``max_messages`` (1 to 10); none after ``wait_seconds`` (0 to 20) without any.

        ``visibility_seconds`` (0 to 43,200) hides what is returned for so long; None takes the queue's own.
        """
        request: dict[str, Any] = {
            "QueueUrl": self.url,
            "MaxNumberOfMessages": max_messages,
            "WaitTimeSeconds": wait_seconds,
            "MessageSystemAttributeNames": ["ApproximateReceiveCount", "SentTimestamp", "AWSTraceHeader"],
            "MessageAttributeNames": ["All"],
        }
        if visibility_seconds is not None:
            request["VisibilityTimeout"] = visibility_seconds
        async with self._translated("ReceiveMessage"):
            answer = await self._client.receive_message(**request)
        # An empty receive has no "Messages" at all.
        received_at = time.time()
        return [_message(entry, received_at) for entry in answer.get("Messages", [])]

    async def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Delete by receipt handle; return the messages whose entry failed."""
        entries = [{"ReceiptHandle": message.receipt_handle} for message in messages]
        failed = await self._batch("delete_message_batch", "DeleteMessageBatch", entries)
        return [messages[index] for index in failed]

    async def change_visibility(self, entries: Sequence[tuple[Message, int]]) -> list[Message]:
        """Hide each message for so many seconds from now; return the messages whose entry failed."""
        batch = [
            {"ReceiptHandle": message.receipt_handle, "VisibilityTimeout": seconds}
            for message, seconds in entries
        ]
        failed = await self._batch("change_message_visibility_batch", "ChangeMessageVisibilityBatch", batch)
        return [entries[index][0] for index in failed]

    async def send(self, body: str, *, attributes: Mapping[str, str], delay_seconds: int = 0) -> str:
        """Send one message and return its message id; ``attributes`` become attributes of type String.

        A FIFO queue takes no delay for one message, and wants a group and an id of its contents: the second
        of two equal messages within five minutes is not kept there
        (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html).
        """
        typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        if self.url.endswith(".fifo"):
            contents = json.dumps([body, dict(attributes)], sort_keys=True).encode()
            extra: dict[str, Any] = {
                "MessageGroupId": _GROUP,
                "MessageDeduplicationId": sha256(contents).hexdigest(),
            }
        else:
            extra = {"DelaySeconds": delay_seconds}
        async with self._translated("SendMessage"):
            answer = await self._client.send_message(
                QueueUrl=self.url, MessageBody=body, MessageAttributes=typed, **extra
            )
        return str(answer["MessageId"])

    async def describe(self) -> QueueAttributes:
        """Return the queue's attributes."""
        async with self._translated("GetQueueAttributes"):
            answer = await self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])
        return _attributes(answer["Attributes"])

    async def source_urls(self) -> list[str]:
        """Return the URLs of the queues whose redrive policy leads here."""
        urls: list[str] = []
        pages = self._client.get_paginator("list_dead_letter_source_queues").paginate(QueueUrl=self.url)
        async with self._translated("ListDeadLetterSourceQueues"):
            async for page in pages:
                urls += page.get("queueUrls", [])
        return urls

    async def start_move(self, to_arn: str | None = None, max_per_second: int | None = None) -> str:
        """Have SQS move all messages of this dead letter queue; return the task's handle.

        SQS allows one such task for each queue, of at most 36 hours, and only on the dead letter queue of
        another queue
        (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html).

        Args:
            to_arn: ARN of the queue to move to; None: each message to the queue that it came from.
            max_per_second: 1 to 500; None leaves it to SQS.
        """
        request: dict[str, Any] = {"SourceArn": (await self.describe()).arn}
        if to_arn is not None:
            request["DestinationArn"] = to_arn
        if max_per_second is not None:
            request["MaxNumberOfMessagesPerSecond"] = max_per_second
        async with self._translated("StartMessageMoveTask"):
            answer = await self._client.start_message_move_task(**request)
        return str(answer["TaskHandle"])

    async def latest_move(self) -> MoveProgress | None:
        """Return how far the latest move of this queue has come; None when there was none."""
        arn = (await self.describe()).arn
        async with self._translated("ListMessageMoveTasks"):
            answer = await self._client.list_message_move_tasks(SourceArn=arn, MaxResults=1)
        found = answer.get("Results", [])
        return _move_progress(found[0]) if found else None

    async def cancel_move(self, handle: str) -> int:
        """Stop a move; return how many messages it had moved. They are not put back."""
        async with self._translated("CancelMessageMoveTask"):
            answer = await self._client.cancel_message_move_task(TaskHandle=handle)
        return int(answer.get("ApproximateNumberOfMessagesMoved", 0))

    async def _batch(self, method: str, action: str, entries: list[dict[str, Any]]) -> list[int]:
        """Make a batch call; return the indexes of the entries that failed, or that the answer left out.

        Entries are numbered, not named by message id: one id may be in a batch twice, with two handles.
        """
        if len(entries) > _MOST_ENTRIES:
            raise ValueError(f"{action} takes {_MOST_ENTRIES} entries, not {len(entries)}")
        if not entries:
            return []
        numbered = [{"Id": str(index), **entry} for index, entry in enumerate(entries)]
        async with self._translated(action):
            answer = await getattr(self._client, method)(QueueUrl=self.url, Entries=numbered)
        done = {entry["Id"] for entry in answer.get("Successful", [])}
        return [index for index in range(len(entries)) if str(index) not in done]

    def _translated(self, action: str) -> AbstractAsyncContextManager[None]:
        return _translated(f"{action} of {self.url}")


def _translated(what: str) -> AbstractAsyncContextManager[None]:
    return translated(what, _SETTINGS, otherwise="SQS refuses it")


def _message(entry: Mapping[str, Any], received_at: float) -> Message:
    system = entry.get("Attributes", {})
    sent = system.get("SentTimestamp")
    own = entry.get("MessageAttributes", {})
    return Message(
        message_id=entry["MessageId"],
        receipt_handle=entry["ReceiptHandle"],
        body=entry["Body"],
        receive_count=int(system.get("ApproximateReceiveCount", 1)),
        sent_at=None if sent is None else float(sent) / 1000,
        attributes={name: value["StringValue"] for name, value in own.items() if "StringValue" in value},
        received_at=received_at,
        trace_header=system.get("AWSTraceHeader"),
    )


def _move_progress(found: Mapping[str, Any]) -> MoveProgress:
    to_move = found.get("ApproximateNumberOfMessagesToMove")
    return MoveProgress(
        status=str(found.get("Status", "")),
        moved=int(found.get("ApproximateNumberOfMessagesMoved", 0)),
        to_move=None if to_move is None else int(to_move),
        failure=str(found.get("FailureReason") or ""),
        handle=found.get("TaskHandle"),
    )


def _attributes(found: Mapping[str, str]) -> QueueAttributes:
    redrive = json.loads(found.get("RedrivePolicy") or "{}")
    receives = redrive.get("maxReceiveCount")
    return QueueAttributes(
        arn=found["QueueArn"],
        visibility_seconds=int(found.get("VisibilityTimeout", 30)),
        retention_seconds=int(found.get("MessageRetentionPeriod", 345_600)),
        dead_letter_arn=redrive.get("deadLetterTargetArn"),
        max_receive_count=None if receives is None else int(receives),
        waiting=int(found.get("ApproximateNumberOfMessages", 0)),
        in_flight=int(found.get("ApproximateNumberOfMessagesNotVisible", 0)),
        delayed=int(found.get("ApproximateNumberOfMessagesDelayed", 0)),
        max_message_bytes=int(found.get("MaximumMessageSize", 262_144)),
    )
