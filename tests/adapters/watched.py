"""A queue opened as every way of watching for an asset opens it (Airflow 3)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from airflow_s3events.filters import EventFilter, everything
from airflow_s3events.watchers import Watcher, Watchers


@asynccontextmanager
async def watched(
    queue: str,
    *,
    when: EventFilter = everything,
    elsewhere: Mapping[str, EventFilter] | None = None,
    audit: str | None = None,
) -> AsyncIterator[tuple[Any, Watcher]]:
    """Yield the stream of hauls of a queue, and its one watcher here; it is told of others elsewhere."""
    from airflow_s3events import S3EventAssetTrigger, aws_clock
    from airflow_s3events.triggers.watching.sessions import QueueArguments, open_haul_stream

    trigger = S3EventAssetTrigger(sqs_queue=queue, when=when, watcher="landing", audit=audit)
    watchers, watcher = Watchers(), Watcher("landing", when)
    watchers.join(watcher)
    watchers.told(elsewhere or {})
    async with AsyncExitStack() as stack:
        arguments = QueueArguments.of(trigger.serialize()[1])
        yield await open_haul_stream(stack, arguments, watchers, aws_clock.AwsClock()), watcher
