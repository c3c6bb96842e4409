"""Receive calls of an idle dispatcher: its trigger on an empty queue, counted on the wire.

A dispatcher whose queue is empty is deferred: all it does is what ``S3EventTrigger.run`` does. A proxy
between it and the emulator counts the requests by their action.
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

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.triggers.s3_event import S3EventTrigger
from tests.benchmarks import report
from tests.benchmarks.call_counts import CountingProxy

_BAR = 200


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--minutes", type=float, default=10.0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddedAws(Path(folder)) as aws:
        aws.sqs.create_queue(QueueName="idle")
        actions = asyncio.run(_count(aws, chosen.minutes * 60))
    an_hour = actions["ReceiveMessage"] * 60 / chosen.minutes
    result = {"minutes": chosen.minutes, "calls": dict(actions), "receives_an_hour": round(an_hour)}
    text = (
        f"{report.table([{'call': name, 'count': count} for name, count in sorted(actions.items())])}\n\n"
        f"In {chosen.minutes:g} minutes: **{an_hour:.0f} receive calls an hour** (bar: {_BAR})."
    )
    report.publish("idle_receives", "Receive calls of an idle dispatcher", text, result, write=chosen.write)


async def _count(aws: EmbeddedAws, seconds: float) -> Counter[str]:
    proxy = CountingProxy(aws.port)
    server = await proxy.serve()
    port = server.sockets[0].getsockname()[1]
    extra = {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "any", "password": "any", "extra": extra}
    os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(connection)
    trigger = S3EventTrigger(sqs_queue="idle", until=time.time() + 2 * seconds)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_fired(trigger), seconds)
        raise RuntimeError("the trigger fired although the queue is empty")
    server.close()
    return proxy.actions


async def _fired(trigger: S3EventTrigger) -> None:
    async with contextlib.aclosing(trigger.run()) as events:  # type: ignore[type-var]
        async for _ in events:
            return


if __name__ == "__main__":
    main()
