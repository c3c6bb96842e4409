"""What it costs to hold messages while their runs work: CPU, memory, and how late the loop is for others.

Run it as ``python -m tests.benchmarks.holding --messages 2000 --seconds 600``.

A keeper, as ``S3EventHoldTrigger`` runs it in the triggerer's runner, on ministack's queue in a process of
its own. Airflow is not here: the counts of runs are answered at once in this process, and what the
triggerer's supervisor does for each (one query) is not part of the figures; how many there are is. Prints one
JSON object. CPU and memory are this process's, after all messages are held.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiobotocore.session import AioSession

from airflow_s3events.consumer import Consumer, ConsumerSettings
from airflow_s3events.holding import Holder
from airflow_s3events.keeping import Keeper
from airflow_s3events.routing import Routes
from airflow_s3events.settlement import RunState
from airflow_s3events.sqs import SqsQueue
from airflow_s3events.testing import object_created_body
from tests.emulators import ministack_server

_TICK_SECONDS = 0.05


class WorkingRuns:
    """Every run works."""

    def __init__(self) -> None:
        self.questions = 0

    async def count(self, dag_id: str, run_ids: Sequence[str], states: Sequence[RunState]) -> int:
        assert dag_id == "process"
        self.questions += 1
        return len(run_ids) if RunState.RUNNING in states else 0


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=600.0)
    options = parser.parse_args()
    with ministack_server() as url:
        print(json.dumps(asyncio.run(_measure(url, options.messages, options.seconds))))


async def _measure(url: str, messages: int, seconds: float) -> dict[str, Any]:
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    async with AioSession().create_client("sqs", endpoint_url=url, region_name="us-east-1", **keys) as client:
        queue = SqsQueue(client, (await client.create_queue(QueueName="held"))["QueueUrl"])
        await _fill(client, queue.url, messages)
        before = _resident_mib()
        settings = ConsumerSettings(max_in_flight=messages, receivers=1)
        async with Consumer(queue, settings) as consumer:
            runs = WorkingRuns()
            holder = Holder(inbox=consumer, runs=runs)
            keeper = Keeper(consumer=consumer, holder=holder, routes=Routes.of("process"))
            working = [asyncio.ensure_future(keeper.run()), asyncio.ensure_future(keeper.work())]
            while len(holder) < messages:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)
            found = await _watch(seconds)
            found |= {"messages": messages, "seconds": seconds, "questions": runs.questions}
            found |= {"held_at_the_end": len(holder), "more_mib": round(_resident_mib() - before, 1)}
            found |= {"extend_calls": consumer.stats.extend_calls, "lapsed": consumer.stats.lapsed}
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
    return found


async def _fill(client: Any, url: str, messages: int) -> None:
    for first in range(0, messages, 10):
        entries = [
            {"Id": str(n), "MessageBody": object_created_body("landing", f"in/{first + n}.csv")}
            for n in range(min(10, messages - first))
        ]
        await client.send_message_batch(QueueUrl=url, Entries=entries)


async def _watch(seconds: float) -> dict[str, Any]:
    """CPU of this process, and how late a timer of the loop fired at worst: another trigger's event."""
    usage, started, worst = resource.getrusage(resource.RUSAGE_SELF), time.monotonic(), 0.0
    while (now := time.monotonic()) - started < seconds:
        await asyncio.sleep(_TICK_SECONDS)
        worst = max(worst, time.monotonic() - now - _TICK_SECONDS)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    return {"cpu_percent": round(100 * cpu / seconds, 2), "latest_timer_seconds": round(worst, 3)}


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
