"""Memory of a process that consumes, with 100,000 messages waiting and with 100.

Run it as ``python -m tests.benchmarks.memory``.

The queue is ministack in a process of its own; each case is a new process that consumes for the same time, so
that what is compared is the backlog and nothing else. Peak resident memory (VmHWM), in MiB.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from aiobotocore.session import AioSession

from airflow_s3events.consumer import Consumer, ConsumerSettings
from airflow_s3events.sqs import SqsQueue
from airflow_s3events.testing import object_created_body
from tests.emulators import ministack_server

_ALLOWED_MIB = 40
_SENDERS = 8


def _client(url: str) -> Any:
    return AioSession().create_client(
        "sqs",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


async def _fill(url: str, messages: int) -> str:
    """Make a queue with so many messages; return its URL."""
    async with _client(url) as client:
        queue_url = str((await client.create_queue(QueueName=f"backlog-{messages}"))["QueueUrl"])

        async def send(first: int) -> None:
            for start in range(first, messages, 10 * _SENDERS):
                entries = [
                    {"Id": str(n), "MessageBody": object_created_body("landing", f"in/{start + n}.csv")}
                    for n in range(min(10, messages - start))
                ]
                await client.send_message_batch(QueueUrl=queue_url, Entries=entries)

        await asyncio.gather(*(send(10 * sender) for sender in range(_SENDERS)))
    return queue_url


async def _consume(url: str, queue_url: str, seconds: float) -> dict[str, float]:
    async with _client(url) as client:
        settings = ConsumerSettings(life_seconds=seconds, visibility_seconds=60)
        async with Consumer(SqsQueue(client, queue_url), settings) as consumer:
            async for batch in consumer.batches():
                await asyncio.sleep(0.05)
                for message in batch:
                    consumer.acknowledge(message)
        return {"acknowledged": consumer.stats.acknowledged, "peak_mib": _peak_mib()}


def _peak_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell VmHWM")


def _measure(url: str, messages: int, seconds: float) -> dict[str, float]:
    queue_url = asyncio.run(_fill(url, messages))
    command = [sys.executable, "-m", "tests.benchmarks.memory", "--consume", url, queue_url, str(seconds)]
    found: dict[str, float] = json.loads(subprocess.check_output(command))
    return found


def main() -> int:
    """Print one line of JSON; return 1 where the difference is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backlog", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--consume", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.consume:
        url, queue_url, seconds = options.consume
        print(json.dumps(asyncio.run(_consume(url, queue_url, float(seconds)))))
        return 0
    with ministack_server() as url:
        few = _measure(url, 100, options.seconds)
        many = _measure(url, options.backlog, options.seconds)
    difference = many["peak_mib"] - few["peak_mib"]
    found = {
        "100": few,
        str(options.backlog): many,
        "difference_mib": difference,
        "allowed_mib": _ALLOWED_MIB,
    }
    print(json.dumps(found))
    return int(difference > _ALLOWED_MIB)


if __name__ == "__main__":
    sys.exit(main())
