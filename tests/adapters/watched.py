"""A queue opened as every way of watching for an asset opens it (Airflow 3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from airflow_s3events.filters import everything
from airflow_s3events.watchers import Watcher, Watchers


@asynccontextmanager
async def watched(queue: str) -> AsyncIterator[tuple[Any, Watcher]]:
    """Yield the stream of hauls of a queue, and its one watcher, who wants all."""
    from airflow_s3events import S3EventAssetTrigger, aws_clock
    from airflow_s3events.triggers.watching.sessions import QueueArguments, open_haul_stream

    trigger = S3EventAssetTrigger(sqs_queue=queue, watcher="landing")
    watchers, watcher = Watchers(), Watcher("landing", everything)
    watchers.join(watcher)
    async with AsyncExitStack() as stack:
        arguments = QueueArguments.of(trigger.serialize()[1])
        yield await open_haul_stream(stack, arguments, watchers, aws_clock.AwsClock()), watcher
