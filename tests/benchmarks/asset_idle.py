"""Receive calls of 25 assets on one idle queue, and the longest time that our code holds up the triggerer.

The calls are counted on the wire, with Airflow's own manager of shared streams driving 25 triggers. Then
20,000 messages from a queue in memory are read and settled for 25 watchers, in a process that has loaded what
a triggerer has: the longest section is the CPU time of one callback of the loop, without the collector's
passes over the whole process, which are given beside it; the longest turn is wall-clock time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.filters import EventFilter, everything, prefix
from airflow_s3events.testing import InMemoryQueue, object_created_body
from tests.benchmarks import report
from tests.benchmarks.call_counts import CountingProxy
from tests.benchmarks.sections import watching

_ASSETS = 25
_BAR = 200
_BAR_MS = 50


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--minutes", type=float, default=4.0)
    options.add_argument("--messages", type=int, default=20_000)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddedAws(Path(folder)) as aws:
        aws.sqs.create_queue(QueueName="idle")
        actions = asyncio.run(_count(aws, chosen.minutes * 60))
    import airflow.jobs.triggerer_job_runner  # noqa: F401 - what a triggerer has loaded

    wants = {
        "each wants its own": [prefix(f"{number}/") for number in range(_ASSETS)],
        "each wants all": [everything] * _ASSETS,
    }
    rounds = {what: _round(chosen.messages, filters) for what, filters in wants.items()}
    an_hour = actions["ReceiveMessage"] * 60 / chosen.minutes
    result = {
        "minutes": chosen.minutes,
        "calls": dict(actions),
        "receives_an_hour": round(an_hour),
        "messages": chosen.messages,
        "sections": rounds,
        "load_after": os.getloadavg()[0],
    }
    rows = [{f"{_ASSETS} watchers": what, **found} for what, found in rounds.items()]
    text = (
        f"{report.table([{'call': name, 'count': count} for name, count in sorted(actions.items())])}\n\n"
        f"In {chosen.minutes:g} minutes: **{an_hour:.0f} receive calls an hour** for {_ASSETS} assets"
        f" (bar: {_BAR}).\n\n{report.table(rows)}\n\n"
        f"{chosen.messages} messages (bar: {_BAR_MS} ms). Load average at the end {result['load_after']:.2f}."
    )
    report.publish("asset_idle", "Assets on an idle queue", text, result, write=chosen.write)


async def _count(aws: EmbeddedAws, seconds: float) -> Counter[str]:
    proxy = CountingProxy(aws.port)
    server = await proxy.serve()
    extra = {
        "endpoint_url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
        "region_name": "us-east-1",
    }
    connection = {"conn_type": "aws", "login": "any", "password": "any", "extra": extra}
    os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(connection)
    watchers = asyncio.ensure_future(watch_idle("idle", _ASSETS))
    await asyncio.sleep(seconds)
    watchers.cancel()
    await asyncio.gather(watchers, return_exceptions=True)
    server.close()
    return proxy.actions


async def watch_idle(queue: str, count: int) -> None:
    """Have Airflow's manager of shared streams drive so many watchers of an empty queue, until cancelled."""
    from airflow.triggers.shared_stream import SharedStreamManager

    from airflow_s3events import S3EventAssetTrigger
    from airflow_s3events.triggers.watching.roll import Roll

    async def nothing(_: Roll) -> bool:
        """There is no triggerer here that could keep an Airflow variable."""
        return False

    Roll._look = nothing  # type: ignore[assignment, method-assign]
    manager = SharedStreamManager()

    async def watch(number: int) -> None:
        trigger = S3EventAssetTrigger(sqs_queue=queue, when=prefix(f"{number}/"), watcher=str(number))
        key = trigger.shared_stream_key()
        stream = manager.subscribe(trigger_id=number, trigger=trigger, key=key)
        try:
            async for _ in trigger.filter_shared_stream(stream):
                raise RuntimeError("the trigger fired although the queue is empty")
        finally:
            await manager.unsubscribe(number, key)

    await asyncio.gather(*(watch(number) for number in range(count)))


def _round(count: int, filters: list[EventFilter]) -> dict[str, float]:
    queue = InMemoryQueue(visibility_seconds=300)
    for number in range(count):
        queue.put(object_created_body("landing", f"{number % _ASSETS}/file {number:06}.csv"))
    with watching() as sections:
        turn = asyncio.run(_longest(queue, count, filters))
    return {
        "longest section, ms of CPU": sections.longest_ms,
        "longest pass of the collector, ms of CPU": sections.longest_collection_ms,
        "passes over the whole process": sections.collections,
        "longest turn, ms": round(turn * 1000, 1),
    }


async def _longest(queue: InMemoryQueue, count: int, filters: list[EventFilter]) -> float:
    """Seconds of the longest turn of the loop while a queue is read and settled."""
    from airflow_s3events.consumer import Consumer, ConsumerSettings
    from airflow_s3events.hauls import HaulSettings, HaulStream
    from airflow_s3events.watchers import Watcher, Watchers

    watchers = Watchers({Watcher(str(number), when) for number, when in enumerate(filters)})
    settings = ConsumerSettings(receivers=4, max_in_flight=30_000, batch_count=1_000, visibility_seconds=300)
    longest = [0.0]

    async def watch_the_clock() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0)
            longest[0] = max(longest[0], time.perf_counter() - before)

    clock = asyncio.ensure_future(watch_the_clock())
    async with Consumer(queue, settings) as consumer:
        stream: Any = HaulStream(consumer, watchers, HaulSettings())
        handed = 0
        async for haul in stream.hauls():
            handed += len(haul.catches)
            for watcher in list(haul.shares):
                haul.take(watcher)
                haul.note_given(watcher)
            stream.resolve(haul)
            if handed == count:
                break
        while len(queue):  # noqa: ASYNC110 - a queue tells nobody
            await asyncio.sleep(0.01)
    clock.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await clock
    return longest[0]


if __name__ == "__main__":
    main()
