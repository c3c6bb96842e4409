"""The hook's client is the amazon provider's client, by every setting of the connection."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

from airflow_s3events import __version__
from airflow_s3events.hooks.s3_events import S3EventsHook

CONNECTION = {
    "conn_type": "aws",
    "login": "AKIDEXAMPLE",
    "password": "not-a-real-secret",
    "extra": {
        "region_name": "eu-west-1",
        "verify": False,
        "endpoint_url": "http://127.0.0.1:9",
        "service_config": {"sqs": {"endpoint_url": "http://127.0.0.1:10"}},
        "config_kwargs": {"read_timeout": 71, "retries": {"mode": "adaptive"}, "user_agent_extra": "team/7"},
    },
}


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(CONNECTION))


def settings(client: Any) -> dict[str, Any]:
    config = client.meta.config
    return {
        "endpoint": client.meta.endpoint_url,
        "region": client.meta.region_name,
        "signature": config.signature_version,
        "read_timeout": config.read_timeout,
        "retries": config.retries,
    }


async def test_its_client_has_the_settings_that_the_amazon_provider_would_give_it() -> None:
    stock = AwsBaseHook(client_type="sqs")
    stock_client = await stock.get_async_conn() if hasattr(stock, "get_async_conn") else stock.async_conn
    async with S3EventsHook().open_client() as ours, stock_client as theirs:
        assert settings(ours) == settings(theirs)
        assert ours.meta.endpoint_url == "http://127.0.0.1:10"


async def test_a_region_given_to_the_hook_goes_before_that_of_the_connection() -> None:
    async with S3EventsHook(region_name="us-west-2").open_client() as client:
        assert client.meta.region_name == "us-west-2"


async def test_its_user_agent_names_this_package_and_keeps_what_the_user_added() -> None:
    async with S3EventsHook().open_client() as client:
        assert f"airflow-provider-s3events/{__version__} team/7" in client.meta.config.user_agent


def test_its_synchronous_client_has_the_settings_that_the_amazon_provider_would_give_it() -> None:
    assert settings(S3EventsHook().conn) == settings(AwsBaseHook(client_type="sqs").conn)
