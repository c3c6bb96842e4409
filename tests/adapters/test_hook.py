"""``S3EventsHook``: a queue by every name it has, with the connection's settings."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.hooks.s3_events import hook_for
from airflow_s3events.messages import QueueAttributes

_ACCOUNT = "000000000000"


def settings(**kwargs: Any) -> dict[str, Any]:
    names = ("region_name", "verify", "botocore_config")
    return {"aws_conn_id": "aws_default", **dict.fromkeys(names), **kwargs}


async def describe(queue: str, **kwargs: Any) -> QueueAttributes:
    hook = hook_for(queue, **settings(**kwargs))
    async with hook.open_client() as client:
        return await (await hook.queue(client, queue)).describe()


async def test_url_name_and_arn_lead_to_the_same_queue(queue: str) -> None:
    name = queue.rpartition("/")[2]
    arn = f"arn:aws:sqs:us-east-1:{_ACCOUNT}:{name}"
    assert [(await describe(form)).arn for form in (queue, name, arn)] == [arn] * 3


@pytest.mark.parametrize(
    ("queue", "region"),
    [
        ("arn:aws:sqs:eu-west-3:123456789012:q", "eu-west-3"),
        ("https://sqs.ap-south-1.amazonaws.com/123456789012/q", "ap-south-1"),
        ("https://eu-west-1.queue.amazonaws.com/123456789012/q", "eu-west-1"),
        ("q", "us-east-1"),
    ],
)
async def test_the_region_in_a_queue_s_name_counts_before_the_connection_s(
    endpoint: str,  # noqa: ARG001
    queue: str,
    region: str,
) -> None:
    async with hook_for(queue, **settings()).open_client() as client:
        assert client.meta.region_name == region


async def test_a_region_that_is_given_counts_before_all(endpoint: str) -> None:  # noqa: ARG001
    queue = "https://sqs.ap-south-1.amazonaws.com/123456789012/q"
    async with hook_for(queue, **settings(region_name="eu-west-1")).open_client() as client:
        assert client.meta.region_name == "eu-west-1"


async def test_an_arn_of_another_account_is_looked_up_in_that_account(queue: str) -> None:
    asked: dict[str, Any] = {}
    arn = "arn:aws:sqs:us-east-1:999999999999:q"
    hook = hook_for(arn, **settings())
    async with hook.open_client() as client:

        def look(params: dict[str, Any], **_: Any) -> None:
            asked.update(params)

        client.meta.events.register("provide-client-params.sqs.GetQueueUrl", look)
        with pytest.raises(ConfigurationError):
            await hook.queue(client, arn)
    assert asked == {"QueueName": "q", "QueueOwnerAWSAccountId": "999999999999"}
    assert queue


async def test_botocore_settings_reach_the_client(endpoint: str) -> None:  # noqa: ARG001
    config = {"read_timeout": 33}
    async with hook_for("q", **settings(botocore_config=config)).open_client() as client:
        assert client.meta.config.read_timeout == 33


@pytest.mark.parametrize("queue", ["no such!", "", "arn:aws:s3:::bucket"])
async def test_what_is_no_queue_is_named(endpoint: str, queue: str) -> None:  # noqa: ARG001
    with pytest.raises(ConfigurationError, match="sqs_queue"):
        await describe(queue)


async def test_an_endpoint_that_is_away_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_AWS_DEFAULT",
        '{"conn_type": "aws", "login": "a", "password": "b",'
        ' "extra": {"endpoint_url": "http://127.0.0.1:9", "region_name": "us-east-1"}}',
    )
    with pytest.raises(OutageError):
        await describe("q", botocore_config={"retries": {"max_attempts": 0}})
