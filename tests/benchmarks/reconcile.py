"""A bucket of a million objects against a ledger in PostgreSQL that knows all but a thousand, killed once.

The bucket is a stub on loopback that makes up its keys (``listing_server``); Airflow's API server is a file
(``reconciling_task``). The ledger's rows are copied into its table before the clock runs.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg2

from airflow_s3events.identity import event_id, write_id
from airflow_s3events.ledger.sql import SqlStore, ledger_table
from airflow_s3events.looks import Location, object_event
from tests.benchmarks import report
from tests.benchmarks.listing_server import ETAG, MODIFIED, key_of
from tests.emulators import free_port
from tests.system.postgres import Postgres

_TIME = datetime.fromisoformat(MODIFIED).replace(tzinfo=timezone.utc)
_MOST_MB = 200


def rows(keys: int, unknown: int) -> Iterator[str]:
    """A line for COPY of each write that the ledger knows; every ``keys / unknown``-th is left out."""
    for number in range(keys):
        if number % (keys // unknown) != 0:
            event = object_event(
                Location("b", key_of(number)), size=1, etag=ETAG, modified=_TIME, envelope="s3-listing"
            )
            body = {
                "event_id": event_id(event),
                "origin": "notification",
                "time": _TIME.timestamp(),
                "copy": "",
                "what": "started",
            }
            yield f"write/{write_id(event)}\t1\t\t\\N\tx\t{json.dumps(body)}\n"


class Rows(io.TextIOBase):
    """Lines as a file to read, none kept."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._rest = ""

    def read(self, size: int | None = -1) -> str:
        """Return some of the text."""
        while len(self._rest) < (size or 0):
            line = next(self._lines, None)
            if line is None:
                break
            self._rest += line
        text, self._rest = self._rest[:size], self._rest[size:]
        return text


def fill(url: str, keys: int, unknown: int) -> None:
    """Make the ledger's table, and copy what it knows into it."""
    store = SqlStore(url)
    asyncio.run(store.read(["none"]))
    asyncio.run(store.close())
    columns = [column.name for column in ledger_table().columns]
    with psycopg2.connect(url.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
        cursor.copy_expert(
            f"COPY s3events_ledger ({', '.join(columns)}) FROM STDIN", Rows(rows(keys, unknown))
        )
        cursor.execute("ANALYZE s3events_ledger")


@contextmanager
def listing(keys: int) -> Iterator[str]:
    """The stub, as a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.listing_server", str(port), str(keys)]
    server = subprocess.Popen(command)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def peak_mib(pid: int) -> float:
    """The most resident memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def killed(command: list[str], environment: dict[str, str], until: int, starts: Path) -> float:
    """Begin, and kill with SIGKILL once so many runs were started; the most memory it had."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(starts.read_text().split() if starts.exists() else ()) < until:
        if process.poll() is not None:
            raise RuntimeError("it ended before it could be killed")
        time.sleep(0.05)
    peak = peak_mib(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return peak


def measure(keys: int, unknown: int, folder: Path) -> dict[str, Any]:
    """Fill, list, kill, resume."""
    starts = folder / "starts"
    with Postgres() as server, listing(keys) as endpoint:
        url = server.create_database("ledger")
        fill(url, keys, unknown)
        aws = {"conn_type": "aws", "login": "a", "password": "b"}
        extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
        environment = {
            **os.environ,
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps({**aws, "extra": extra}),
            "AIRFLOW_CONN_LEDGER": url.replace("postgresql+psycopg2", "postgres"),
        }
        command = [sys.executable, "-m", "tests.benchmarks.reconciling_task", str(starts)]
        began = time.perf_counter()
        first = killed(command, environment, unknown // 2, starts)
        at_kill = time.perf_counter() - began
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - began
    result = json.loads(done.stdout.splitlines()[-1])
    names = starts.read_text().split()
    return {
        "objects": keys,
        "unknown": unknown,
        "started": len(set(names)),
        "twice": len(names) - len(set(names)),
        "report": {name: count for name, count in result["report"].items() if name != "examples"},
        "peak_mib": round(max(first, result["peak_mib"]), 1),
        "killed_after_seconds": round(at_kill, 1),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    """One reconciliation in two tries."""
    options = report.parser(__doc__)
    options.add_argument("--objects", type=int, default=1_000_000)
    options.add_argument("--unknown", type=int, default=1_000)
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(args.objects, args.unknown, Path(folder))
    text = report.table([{name: value for name, value in result.items() if name != "report"}])
    text += f"\n\nIts report:\n\n{report.table([result['report']])}"
    text += f"\n\n**{result['started']:,}** started (bar: {args.unknown:,}), {result['twice']} of them twice"
    peak_mb = result["peak_mib"] * 1.048576
    text += f" (bar: 0), **{peak_mb:.0f} MB** resident at most (bar: {_MOST_MB})."
    report.publish("reconcile", "A bucket of a million objects, reconciled", text, result, write=args.write)


if __name__ == "__main__":
    main()
