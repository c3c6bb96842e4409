"""What of the SQS calls needs no SQS: regions, names and the translation of errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiobotocore.session import get_session
from aiobotocore.stub import AioStubber
from botocore import exceptions

from airflow_s3events.exceptions import (
    AwsOutageError,
    ConfigurationError,
    OutageError,
    SkewedClockError,
    ThrottledError,
)
from airflow_s3events.messages import Message
from airflow_s3events.sqs import MoveProgress, SqsQueue, queue_url, region_of

URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/landing"


class OneAnswerClient:
    """A client whose every call gives the same answer, or raises it."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.requests: list[dict[str, Any]] = []
        self.meta = SimpleNamespace(region_name="eu-west-1")

    def __getattr__(self, _: str) -> Any:
        async def call(**request: Any) -> Any:
            self.requests.append(request)
            if isinstance(self._answer, BaseException):
                raise self._answer
            return self._answer

        return call


def _client_error(code: str, status: int = 400, text: str = "text") -> exceptions.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": text},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return exceptions.ClientError(response, "ReceiveMessage")


async def _receive(error: Exception) -> None:
    await SqsQueue(OneAnswerClient(error), URL).receive()


@pytest.mark.parametrize(
    ("queue", "region"),
    [
        (URL, "eu-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", "cn-north-1"),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/q", "us-gov-west-1"),
        ("https://sqs.eu-central-1.api.aws/123456789012/q", "eu-central-1"),
        ("https://vpce-1a-2b.sqs.us-east-2.vpce.amazonaws.com/123456789012/q", "us-east-2"),
        ("https://ap-southeast-1.queue.amazonaws.com/123456789012/q", "ap-southeast-1"),
        ("https://queue.amazonaws.com/123456789012/q", "us-east-1"),
        ("http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/q", "us-east-1"),
        ("http://127.0.0.1:4566/000000000000/q", None),
        ("arn:aws-cn:sqs:cn-northwest-1:123456789012:q.fifo", "cn-northwest-1"),
        ("arn:aws:sns:eu-west-1:123456789012:topic", None),
        ("landing", None),
    ],
)
def test_the_region_of_a_queue_is_read_from_its_url_or_arn(queue: str, region: str | None) -> None:
    assert region_of(queue) == region


async def test_an_arn_is_looked_up_in_its_own_account() -> None:
    client = OneAnswerClient({"QueueUrl": URL})

    assert await queue_url(client, "arn:aws:sqs:eu-west-1:210987654321:landing") == URL
    assert client.requests == [{"QueueName": "landing", "QueueOwnerAWSAccountId": "210987654321"}]


@pytest.mark.parametrize("queue", ["", "land ing", "arn:aws:sns:eu-west-1:123456789012:t", "x" * 81])
async def test_what_is_no_queue_is_refused_by_name(queue: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^sqs_queue="):
        await queue_url(OneAnswerClient({}), queue)


@pytest.mark.parametrize(
    "error",
    [
        _client_error("RequestThrottled"),
        _client_error("ThrottlingException"),
        _client_error("com.amazonaws.sqs#OverLimit"),
        _client_error("AWS.SimpleQueueService.OverLimit"),
        _client_error("ExpiredToken", 403),
        _client_error("RequestTimeTooSkewed", 403),
        _client_error("SignatureDoesNotMatch", 403, "Signature expired: 20261126T030000Z is now earlier"),
        _client_error("InvalidSignatureException", 400, "Signature not yet current: 20261126T050000Z is"),
        _client_error("InternalFailure", 500),
        _client_error("ServiceUnavailable", 503),
        exceptions.EndpointConnectionError(endpoint_url=URL),
        exceptions.ReadTimeoutError(endpoint_url=URL),
        exceptions.CredentialRetrievalError(provider="role", error_msg="metadata is away"),
        ConnectionResetError("reset"),
        asyncio.TimeoutError(),
    ],
    ids=str,
)
async def test_what_waiting_cures_is_an_outage(error: Exception) -> None:
    with pytest.raises(OutageError, match="ReceiveMessage"):
        await _receive(error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("RequestThrottled", ThrottledError),
        ("com.amazonaws.sqs#ThrottlingException", ThrottledError),
        ("KmsThrottled", ThrottledError),
        ("RequestTimeTooSkewed", SkewedClockError),
        ("OverLimit", AwsOutageError),
    ],
)
async def test_an_outage_says_whether_aws_throttles_or_the_clock_is_wrong(
    code: str, kind: type[Exception]
) -> None:
    with pytest.raises(AwsOutageError) as raised:
        await _receive(_client_error(code))
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("error", "setting"),
    [
        (_client_error("AWS.SimpleQueueService.NonExistentQueue"), "sqs_queue"),
        (_client_error("com.amazonaws.sqs#QueueDoesNotExist"), "sqs_queue"),
        (_client_error("AccessDenied", 403), "aws_conn_id"),
        (_client_error("InvalidClientTokenId", 403), "aws_conn_id"),
        (_client_error("SignatureDoesNotMatch", 403, "The request signature we calculated"), "SignatureDoes"),
        (_client_error("KmsAccessDenied"), "kms:Decrypt"),
        (_client_error("SomethingNew"), "SomethingNew: text"),
        (exceptions.NoCredentialsError(), "aws_conn_id"),
        (exceptions.NoRegionError(), "region_name"),
    ],
    ids=str,
)
async def test_what_waiting_does_not_cure_names_the_setting(error: Exception, setting: str) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        await _receive(error)


@pytest.mark.parametrize(
    "error",
    [
        _client_error("ReceiptHandleIsInvalid", text='The handle "SECRET" is not valid'),
        exceptions.ParamValidationError(report="ReceiptHandle SECRET"),
    ],
    ids=str,
)
async def test_no_error_quotes_a_receipt_handle(error: Exception) -> None:
    with pytest.raises(ConfigurationError) as raised:
        await _receive(error)

    assert "SECRET" not in str(raised.value)


async def test_an_entry_that_the_answer_leaves_out_has_failed() -> None:
    messages = [Message(message_id=str(n), receipt_handle=f"h{n}", body="b") for n in range(3)]
    client = OneAnswerClient({"Successful": [{"Id": "1"}], "Failed": [{"Id": "0"}]})

    assert await SqsQueue(client, URL).delete(messages) == [messages[0], messages[2]]


async def test_an_answer_without_system_attributes_is_a_message_all_the_same() -> None:
    entry = {
        "MessageId": "m",
        "ReceiptHandle": "h",
        "Body": "b",
        "MessageAttributes": {"raw": {"DataType": "Binary", "BinaryValue": b"\0"}},
    }

    message = (await SqsQueue(OneAnswerClient({"Messages": [entry]}), URL).receive())[0]

    assert (message.receive_count, message.sent_at, dict(message.attributes)) == (1, None, {})


def test_a_queue_shows_its_url() -> None:
    assert repr(SqsQueue(None, URL)) == f"SqsQueue({URL!r})"


class TestMove:
    """The calls about a move of SQS, held to AWS's own model of them."""

    ARN = "arn:aws:sqs:eu-west-1:123456789012:landing"

    @pytest.fixture
    async def stubbed(self) -> AsyncIterator[tuple[SqsQueue, Any]]:
        session = get_session()
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        async with session.create_client("sqs", region_name="eu-west-1", **keys) as client:
            with AioStubber(client) as stubber:
                yield SqsQueue(client, URL), stubber

    def _expect(self, stubber: Any, call: str, answer: dict[str, Any], request: dict[str, Any]) -> None:
        asked = {"QueueUrl": URL, "AttributeNames": ["All"]}
        stubber.add_response("get_queue_attributes", {"Attributes": {"QueueArn": self.ARN}}, asked)
        stubber.add_response(call, answer, request)

    async def test_starts_with_what_is_given(self, stubbed: tuple[SqsQueue, Any]) -> None:
        queue, stubber = stubbed
        request = {"SourceArn": self.ARN, "DestinationArn": self.ARN, "MaxNumberOfMessagesPerSecond": 50}
        self._expect(stubber, "start_message_move_task", {"TaskHandle": "handle"}, request)
        assert await queue.start_move(self.ARN, 50) == "handle"

    async def test_leads_to_where_each_message_came_from(self, stubbed: tuple[SqsQueue, Any]) -> None:
        queue, stubber = stubbed
        self._expect(stubber, "start_message_move_task", {"TaskHandle": "h"}, {"SourceArn": self.ARN})
        assert await queue.start_move() == "h"

    async def test_says_how_far_it_has_come(self, stubbed: tuple[SqsQueue, Any]) -> None:
        queue, stubber = stubbed
        task = {
            "Status": "RUNNING",
            "TaskHandle": "handle",
            "ApproximateNumberOfMessagesMoved": 2,
            "ApproximateNumberOfMessagesToMove": 9,
        }
        request = {"SourceArn": self.ARN, "MaxResults": 1}
        self._expect(stubber, "list_message_move_tasks", {"Results": [task]}, request)
        progress = await queue.latest_move()
        assert progress == MoveProgress(status="RUNNING", moved=2, to_move=9, handle="handle")
        assert not progress.is_over
        assert "handle" not in repr(progress)

    async def test_that_never_was_is_none(self, stubbed: tuple[SqsQueue, Any]) -> None:
        queue, stubber = stubbed
        request = {"SourceArn": self.ARN, "MaxResults": 1}
        self._expect(stubber, "list_message_move_tasks", {"Results": []}, request)
        assert await queue.latest_move() is None

    async def test_that_failed_says_why_and_is_over(self, stubbed: tuple[SqsQueue, Any]) -> None:
        queue, stubber = stubbed
        task = {"Status": "FAILED", "FailureReason": "AWS.SimpleQueueService.NonExistentQueue"}
        request = {"SourceArn": self.ARN, "MaxResults": 1}
        self._expect(stubber, "list_message_move_tasks", {"Results": [task]}, request)
        progress = await queue.latest_move()
        assert progress is not None
        assert progress.is_over
        assert "NonExistentQueue" in progress.failure

    async def test_is_cancelled_by_its_handle(self, stubbed: tuple[SqsQueue, Any]) -> None:
        queue, stubber = stubbed
        answer = {"ApproximateNumberOfMessagesMoved": 4}
        stubber.add_response("cancel_message_move_task", answer, {"TaskHandle": "handle"})
        assert await queue.cancel_move("handle") == 4
