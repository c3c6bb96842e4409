"""What metrics cost: processor time of one counted event, and the calls that a message causes.

Run it with ``python -m tests.benchmarks.metrics``; it prints the best and the median of seven rounds. The
calls are those of a dispatcher that starts 1,000 runs from a queue in memory, in virtual time, a message each
0.1 s.
"""

from __future__ import annotations

import asyncio
import platform
import statistics
import time
from collections.abc import Callable, Sequence

from airflow_s3events.consumer import Consumer, ConsumerSettings
from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.metrics import Meter, Sample
from airflow_s3events.reporting import DISPATCHED, Reporter, note_consumer, note_outcomes
from airflow_s3events.routing import Routes
from airflow_s3events.testing import InMemoryQueue, object_created_body, run_in_virtual_time
from tests.core.dispatch_fakes import FakeRuns

ROUNDS = 7
CALLS = 200_000
MESSAGES = 1_000
SECONDS_BETWEEN = 0.1


def microseconds(call: Callable[[], None], times: int = CALLS) -> tuple[float, float]:
    """Return the best and the median processor time of one call."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            call()
        rounds.append((time.process_time() - start) / times * 1e6)
    return min(rounds), statistics.median(rounds)


async def dispatch() -> tuple[int, int, int]:
    """Return the samples sent, the reports that they came in, and the questions for the queue's counts."""
    reports: list[int] = []
    queue = InMemoryQueue(visibility_seconds=300)
    asked = 0

    def emit(samples: Sequence[Sample]) -> None:
        reports.append(len(samples))

    async def describe() -> object:
        nonlocal asked
        asked += 1
        return await queue.describe()

    consumer = Consumer(queue, ConsumerSettings(idle_seconds=10))
    dispatcher = Dispatcher(
        inbox=consumer,
        routes=Routes.of("process"),
        runs=FakeRuns("process"),
        settings=DispatchSettings(),
        now=asyncio.get_running_loop().time,
        clock=asyncio.get_running_loop().time,
        meter=Meter("q"),
    )

    def note() -> None:
        note_consumer(dispatcher.meter, consumer)
        note_outcomes(dispatcher.meter, dispatcher.counts, DISPATCHED)

    async def send() -> None:
        for number in range(MESSAGES):
            queue.put(object_created_body("landing", f"in/{number}.csv"))
            await asyncio.sleep(SECONDS_BETWEEN)

    sending = asyncio.ensure_future(send())
    async with Reporter(dispatcher.meter, emit, note=note, describe=describe), consumer:  # type: ignore[arg-type]
        await dispatcher.run()
    await sending
    assert dispatcher.counts["started"] == MESSAGES
    return sum(reports), len(reports), asked


def main() -> None:
    """Print the figures."""
    meter = Meter("landing")
    print(f"Python {platform.python_version()}, processor time of one core, best and median of {ROUNDS}")
    costs = {
        "count, no tag of its own": microseconds(lambda: meter.count("events.read")),
        "count, one tag": microseconds(lambda: meter.count("events.matched", "process")),
        "a duration": microseconds(lambda: meter.time("lag.event_to_run", 1.5)),
    }
    for what, (best, median) in costs.items():
        print(f"{what:<28}{best:8.3f} us, median {median:.3f} us")
    samples, reports, asked = run_in_virtual_time(dispatch())
    print(
        f"{MESSAGES} messages, one each {SECONDS_BETWEEN} s: {samples} calls of Airflow's stats in {reports}"
        f" reports ({samples / MESSAGES:.2f} a message), {asked} calls of SQS"
    )


if __name__ == "__main__":
    main()
