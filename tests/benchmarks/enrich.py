"""Routes that need tags against the bare GetObjectTagging calls: how many are made, and at what rate.

10,000 events, every second of which a tag decides. S3 is a stub on loopback (``tagging_server``) in a process
of its own. Bare calls and enriched batches take turns over one client, the same number of calls at once.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

import psutil  # type: ignore[import-untyped]  # comes with Airflow
from aiobotocore.session import AioSession

from airflow_s3events.enrich import CALLS_AT_ONCE, Enricher, S3Facts
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.filters import suffix, tag
from airflow_s3events.messages import Message
from airflow_s3events.routing import Routes
from airflow_s3events.testing import bodies
from tests.benchmarks import report
from tests.emulators import free_port

EVENTS = 10_000
BATCH = 50
ROUNDS = 5
ROUTES = Routes.of({"gold": tag("class", "gold") & suffix(".csv"), "plain": suffix(".txt")})


@contextmanager
def tagging_server() -> Iterator[str]:
    """Run the stub; yield its address."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.tagging_server", str(port)])
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                calls(url)
                break
            except OSError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()


def calls(url: str) -> dict[str, int]:
    """What the stub was asked so far."""
    counts: dict[str, int] = json.loads(urlopen(f"{url}/calls").read())  # noqa: S310 - loopback
    return counts


def batches() -> Iterator[list[Message]]:
    """Yield the events as messages, made as they are asked for."""
    for first in range(0, EVENTS, BATCH):
        yield [_message(number) for number in range(first, first + BATCH)]


def _message(number: int) -> Message:
    key = f"in/{number:08}.{'csv' if number % 2 else 'txt'}"
    body = bodies.object_created_body("inbox", key, version_id=f"v{number}")
    return Message(message_id=f"m{number}", receipt_handle="none", body=body)


async def bare(client: Any) -> float:
    """Make the calls that the routes need, and nothing else; return the seconds."""
    start = time.perf_counter()
    numbers = iter(range(1, EVENTS, 2))

    async def work() -> None:
        for number in numbers:
            await client.get_object_tagging(Bucket="inbox", Key=f"in/{number:08}.csv", VersionId=f"v{number}")

    await asyncio.gather(*(work() for _ in range(CALLS_AT_ONCE)))
    return time.perf_counter() - start


async def enriched(client: Any) -> tuple[float, int]:
    """Route all events as a dispatcher does; return the seconds, and how many a tag decided."""
    enricher, gold = Enricher(ROUTES, S3Facts(client)), 0
    seconds = 0.0
    for batch in batches():
        start = time.perf_counter()
        await enricher.prepare(batch)
        matches = [enricher.match(event) for event in map(_event, batch)]
        seconds += time.perf_counter() - start
        gold += sum(match.routes[0].dag_id == "gold" for match in matches)
    return seconds, gold


def _event(message: Message) -> ObjectEvent:
    (event,) = parse_body(message.body, message_id=message.delivery_id).events
    return event


async def measure(url: str) -> dict[str, Any]:
    """Let the two take turns."""
    rows: list[dict[str, Any]] = []
    async with AioSession().create_client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="t", aws_secret_access_key="t"
    ) as client:
        await bare(client)
        process, peaks = psutil.Process(), []
        for _ in range(ROUNDS):
            bare_seconds = await bare(client)
            before = calls(url)
            seconds, gold = await enriched(client)
            after = calls(url)
            peaks.append(process.memory_info().rss / 2**20)
            rows.append(
                {
                    "bare calls/s": round(EVENTS / 2 / bare_seconds),
                    "enriched calls/s": round(EVENTS / 2 / seconds),
                    "events/s": round(EVENTS / seconds),
                    "share": round(bare_seconds / seconds, 3),
                    "tagging calls": after["tags"] - before["tags"],
                    "head calls": after.get("head", 0) + after.get("other", 0),
                    "by tag": gold,
                    "resident MiB": round(peaks[-1], 1),
                }
            )
    return {"rows": rows, "share": round(statistics.median(row["share"] for row in rows), 3)}


def main() -> None:
    """Measure, print and, on request, write the page."""
    options = report.parser(__doc__).parse_args()
    report.wait_quiet(options.quiet_seconds)
    with tagging_server() as url:
        result = asyncio.run(measure(url))
    rows = result["rows"]
    most = max(row["tagging calls"] for row in rows)
    grown = rows[-1]["resident MiB"] - rows[0]["resident MiB"]
    text = (
        f"{report.table(rows)}\n\n"
        f"**{result['share']}** of the rate of the bare calls (median of {ROUNDS} turns; bar: 0.8),"
        f" **{most:,}** tagging calls for {EVENTS:,} events (bar: 5,000),"
        f" **{max(row['head calls'] for row in rows)}** others (bar: 0)."
        f" From the first turn to the last the process grew by {grown:.1f} MiB."
    )
    report.publish("enrich", "Routes that ask S3 for tags", text, result, write=options.write)


if __name__ == "__main__":
    main()
