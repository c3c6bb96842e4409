"""What a ledger in PostgreSQL adds to each event of a dispatcher: with and without, in turns.

The dispatcher is the real one, fed in batches of fifty as its operator does; runs are made in memory, at no
cost, so that what is left is ours. Against it stands what Airflow takes to create a run: 15 ms at the very
least, some 60 ms on the machine of the throughput page.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.journal import Journal, Order
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.ledger import Ledger
from airflow_s3events.ledger.sql import SqlStore
from airflow_s3events.messages import Message
from airflow_s3events.routing import Route, Routes
from airflow_s3events.testing import object_created_body
from tests.benchmarks import report
from tests.core.dispatch_fakes import FakeInbox, FakeRuns
from tests.system.postgres import Postgres

_BATCH = 50
#: Milliseconds: the least that creating a run over a task's channel was ever seen to take.
_LEAST_CREATE = 15.0
_ROUTE = Route(dag_id="process", max_queued_runs=1_000_000)


async def milliseconds(journal: Journal, number: int, count: int) -> float:
    """Dispatch ``count`` new events; return the time of one."""
    dispatcher = Dispatcher(
        inbox=FakeInbox(),
        routes=Routes([_ROUTE]),
        runs=FakeRuns("process"),
        settings=DispatchSettings(),
        now=time.time,
        clock=time.monotonic,
        journal=journal,
    )
    messages = [
        Message(
            message_id=f"{number}-{one}",
            receipt_handle="-",
            body=object_created_body("landing", f"in/{number}/{one:06}.csv"),
        )
        for one in range(count)
    ]
    began = time.perf_counter()
    for first in range(0, count, _BATCH):
        await dispatcher.dispatch(messages[first : first + _BATCH])
    assert dispatcher.counts["started"] == count
    return (time.perf_counter() - began) * 1000 / count


async def measure(url: str, rounds: int, events: int) -> dict[str, list[float]]:
    """Take turns, in alternating order."""
    store = SqlStore(url)
    sides = {
        "without": Journal(),
        "ledger": Journal(Ledger(store)),
        "ledger, newest": Journal(Ledger(store), Order.of("newest", ledger="sql:ledger")),
        "ledger, per_key": Journal(Ledger(store), Order.of("per_key", ledger="sql:ledger")),
    }
    times: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds):
        for place, side in enumerate(sorted(sides, reverse=bool(number % 2))):
            times[side].append(await milliseconds(sides[side], 10 * number + place, events))
    await store.close()
    return times


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--rounds", type=int, default=8)
    options.add_argument("--events", type=int, default=1000)
    args = options.parse_args()
    with Postgres() as server:
        times = asyncio.run(measure(server.create_database("ledger"), args.rounds, args.events))
    rows: list[dict[str, Any]] = [
        {
            "side": side,
            "ms an event, median": round(statistics.median(each), 3),
            "each round": str([round(t, 2) for t in each]),
        }
        for side, each in times.items()
    ]
    added = max(statistics.median(times[side]) for side in times) - statistics.median(times["without"])
    share = 100 * added / (_LEAST_CREATE + added)
    text = (
        f"{report.table(rows)}\n\n**{added:.2f} ms** more for each event, which is **{share:.1f} %** of the"
        f" throughput where Airflow creates a run in {_LEAST_CREATE:.0f} ms (bar: 10 %)."
    )
    result = {"milliseconds": times, "added": added, "share_percent": share}
    report.publish("ledger_cost", "What a ledger costs a dispatcher", text, result, write=args.write)


if __name__ == "__main__":
    main()
