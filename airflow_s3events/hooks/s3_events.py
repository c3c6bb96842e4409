"""``S3EventsHook``: an Airflow connection to queues and buckets, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from botocore.config import Config

from airflow_s3events import __version__
from airflow_s3events.sqs import SqsQueue, queue_url, region_of


class S3EventsHook(AwsBaseHook):
    """Opens queues and buckets with the credentials, region, role and endpoint of an AWS connection.

    All parameters are the amazon provider's
    (https://airflow.apache.org/docs/apache-airflow-providers-amazon/stable/connections/aws.html).

    Args:
        aws_conn_id: Airflow connection; None means boto3's own chain of credentials.
        client_type: ``sqs`` (the default) or ``s3``.
        region_name: AWS region; the connection's when None.
        verify: TLS verification, or a path to a bundle of certificates.
        config: botocore configuration, as a mapping.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("client_type", "sqs")
        super().__init__(*args, **kwargs)

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """Return a client as the amazon provider makes it, but for what it tells AWS of its caller.

        The provider puts the names of DAG and operator into the user agent, which it finds by walking the
        stack: ``inspect.stack`` looks through the source files of all modules, for 0.2 s at each start of a
        task. Ours is the name of this package, before the user's own.
        """
        session = self.get_session(region_name=region_name, deferrable=deferrable)
        create = session.create_client if deferrable else session.client
        service = str(self.client_type)
        config = config or self.config
        extra = f"airflow-provider-s3events/{__version__} {config.user_agent_extra or ''}".strip()
        return create(
            service,
            endpoint_url=self.conn_config.get_service_endpoint_url(service),
            config=config.merge(Config(user_agent_extra=extra)),
            verify=self.verify,
        )

    @asynccontextmanager
    async def open_client(self) -> AsyncIterator[Any]:
        """Open one aiobotocore client: once for everything that is done over it."""
        async with await self._async_client() as client:
            yield client

    async def queue(self, client: Any, sqs_queue: str) -> SqsQueue:
        """Return the queue of this URL, ARN or name.

        Raises:
            ConfigurationError: It does not exist or may not be used; names it.
            OutageError: SQS is away or throttling.
        """
        return SqsQueue(client, await queue_url(client, sqs_queue))

    async def _async_client(self) -> Any:
        if hasattr(self, "get_async_conn"):
            return await self.get_async_conn()  # type: ignore[no-untyped-call]
        # The amazon provider before 9.5 asks for the connection where it stands, which may block.
        return await asyncio.to_thread(lambda: self.async_conn)


def hook_for(
    sqs_queue: str,
    *,
    aws_conn_id: str | None,
    region_name: str | None,
    verify: bool | str | None,
    botocore_config: dict[str, Any] | None,
) -> S3EventsHook:
    """Return the hook for ``sqs_queue``; a region in its URL or ARN counts where ``region_name`` is None.

    A queue answers only in its own region, so a queue that names one needs no second setting.
    """
    region = region_name or region_of(sqs_queue)
    return S3EventsHook(aws_conn_id=aws_conn_id, region_name=region, verify=verify, config=botocore_config)


def bucket_hook(
    *,
    aws_conn_id: str | None,
    region_name: str | None,
    verify: bool | str | None,
    botocore_config: dict[str, Any] | None,
) -> S3EventsHook:
    """Return the hook for S3, whose client reaches the buckets of every region that it may."""
    return S3EventsHook(
        client_type="s3",
        aws_conn_id=aws_conn_id,
        region_name=region_name,
        verify=verify,
        config=botocore_config,
    )
