"""What of the S3 calls needs no S3: the translation of errors."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions

from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.looks import Content, Head, Location, Page, Question
from airflow_s3events.s3 import S3Bucket
from tests.core.test_sqs import OneAnswerClient

PLACE = Location("landing", "a/b.csv")
QUESTIONS = (Head(PLACE), Content(PLACE), Page("landing", "a/"))
of_every_question = pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: type(each).__name__)


def client_error(code: str, status: int) -> exceptions.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "text"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return exceptions.ClientError(response, "HeadObject")


async def ask(question: Question, error: Exception) -> Any:
    return await S3Bucket(OneAnswerClient(error)).answer(question)


@pytest.mark.parametrize("code", ["404", "NoSuchKey"])
@pytest.mark.parametrize("question", QUESTIONS[:2])
async def test_an_object_that_is_not_there_is_none_and_no_error(question: Question, code: str) -> None:
    assert await ask(question, client_error(code, 404)) is None


@of_every_question
@pytest.mark.parametrize(
    ("code", "status", "setting"),
    [
        ("403", 403, "aws_conn_id.*s3:GetObject.*s3:ListBucket"),
        ("AccessDenied", 403, "s3:ListBucket"),
        ("NoSuchBucket", 404, "bucket_name: no such bucket"),
        ("PermanentRedirect", 301, "region_name"),
        ("InvalidAccessKeyId", 403, "aws_conn_id"),
        ("Strange", 400, "S3 refuses it"),
    ],
)
async def test_an_error_that_waiting_does_not_cure_names_the_setting(
    question: Question, code: str, status: int, setting: str
) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        await ask(question, client_error(code, status))


@of_every_question
@pytest.mark.parametrize(
    "error",
    [
        client_error("SlowDown", 503),
        client_error("500", 500),
        client_error("RequestTimeout", 400),
        exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:9"),
        ConnectionResetError(),
    ],
    ids=str,
)
async def test_s3_away_or_throttling_is_an_outage(question: Question, error: Exception) -> None:
    with pytest.raises(OutageError, match="s3://landing/a/"):
        await ask(question, error)


async def test_a_manifest_that_is_too_large_is_not_read() -> None:
    class Body:
        is_closed = False

        def close(self) -> None:
            self.is_closed = True

    body = Body()
    client = OneAnswerClient({"ContentLength": 2**40, "Body": body})
    with pytest.raises(ConfigurationError, match="manifest_key: s3://landing/a/"):
        await S3Bucket(client).answer(Content(PLACE))
    assert body.is_closed
