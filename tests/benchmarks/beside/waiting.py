"""A process whose triggers wait at empty queues, as in a triggerer: ``python -m ... KIND COUNT``."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any


def _queue(number: int) -> str:
    return f"idle-{number}-events"


async def _until_it_fires(trigger: Any) -> None:
    async for event in trigger.run():
        raise RuntimeError(f"a trigger fired although its queue is empty: {event}")


async def _dispatcher(number: int) -> None:
    from airflow_s3events.triggers.s3_event import S3EventTrigger

    await _until_it_fires(S3EventTrigger(sqs_queue=_queue(number), until=time.time() + 3600))


async def _stock(number: int, **arguments: Any) -> None:
    from airflow.providers.amazon.aws.hooks.sqs import SqsHook
    from airflow.providers.amazon.aws.triggers.sqs import SqsSensorTrigger

    # It takes an URL only.
    async with await SqsHook().get_async_conn() as client:
        url = (await client.get_queue_url(QueueName=_queue(number)))["QueueUrl"]
    await _until_it_fires(SqsSensorTrigger(sqs_queue=url, region_name="us-east-1", **arguments))


async def _wait(kind: str, count: int) -> None:
    if kind == "watchers":
        from tests.benchmarks.asset_idle import watch_idle

        await watch_idle(_queue(0), count)
    tuned = {"waiter_delay": 1, "max_messages": 10} if kind == "stock_tuned" else {}
    one = _dispatcher if kind == "dispatcher" else _stock
    waiting = [asyncio.ensure_future(one(number, **tuned)) for number in range(count)]
    await asyncio.gather(*waiting)


def main() -> None:
    """Wait for ever: who measures ends it."""
    asyncio.run(_wait(sys.argv[1], int(sys.argv[2])))


if __name__ == "__main__":
    main()
