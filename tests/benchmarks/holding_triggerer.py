"""What it costs a real triggerer to hold messages while their runs work.

Run it as ``python -m tests.benchmarks.holding_triggerer --messages 2000 --seconds 600``.

A whole Airflow on PostgreSQL. When a dispatcher has deferred, the scheduler is ended, since only the
triggerer is looked at, and so many runs are written into the database, all of them running; then their
messages are sent, and the trigger receives and holds them. Other triggers fire meanwhile at moments that
were set before: how late the event loop woke them, and how late their events were stored, without messages on
hold and with them. CPU is that of the triggerer's two processes, supervisor and runner.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil  # type: ignore[import-untyped]  # comes with Airflow

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.envelopes import parse_body
from airflow_s3events.identity import run_id
from airflow_s3events.testing import object_created_body
from tests.benchmarks import report
from tests.benchmarks.stage import Stage, staged

#: Triggers of others fire so far apart: not a multiple of any interval of Airflow's.
_APART_SECONDS = 9.7
#: At most: they are deferred before the measurement begins.
_MOST_PUNCTUAL = 75
_POLL_SECONDS = 0.02
#: A dispatcher that has been deferred for so long has nothing left to do.
_REST_SECONDS = 30.0
#: Between the end of the scheduler and the first measurement.
_SETTLE_SECONDS = 15.0


def main() -> None:
    """Measure, print."""
    options = report.parser(__doc__)
    options.add_argument("--messages", type=int, default=2_000)
    options.add_argument("--seconds", type=float, default=600.0)
    options.add_argument(
        "--before-seconds", type=float, default=60.0, help="measure so long without messages"
    )
    chosen = options.parse_args()
    load = os.getloadavg()[0]

    def prepare(aws: EmbeddedAws) -> Mapping[str, str]:
        queue = aws.notifying_bucket("landing", max_receive_count=20).queue_url
        return {"BENCHMARK_QUEUE": queue, "BENCHMARK_MESSAGES": str(chosen.messages)}

    with staged("holding", prepare=prepare) as stage:
        for dag_id in ("dispatcher", "held", "punctual"):
            stage.cluster.wait_for_dag(dag_id)
        result = _play(stage, chosen.messages, chosen.seconds, chosen.before_seconds)
    result |= {"messages": chosen.messages, "load_before": load, "load_after": os.getloadavg()[0]}
    report.publish("holding_triggerer", "Holding in a triggerer", _text(result), result, write=False)


def _play(stage: Stage, messages: int, seconds: float, before_seconds: float) -> dict[str, Any]:
    # S3's test event wakes its task once; what the task does would end with the scheduler.
    stage.wait("the dispatcher to rest", lambda: stage.deferred_seconds("dispatcher") > _REST_SECONDS, 300)
    # Holding and its end take a while between the two measurements: moments for all of it.
    begin = time.time() + 200
    moments = [begin + n * _APART_SECONDS for n in range(_MOST_PUNCTUAL)]
    for number, at in enumerate(moments):
        stage.cluster.api.trigger("punctual", f"at-{number}", {"at": at})
    stage.cluster.api.trigger("punctual", "ticking")
    stage.wait("all others to defer", lambda: _have_deferred(stage, len(moments) + 1), 600)
    late = time.time() - begin
    stage.cluster.kill("scheduler")
    time.sleep(max(_SETTLE_SECONDS, -late))
    before = _measure(stage, before_seconds)
    bodies = [object_created_body("landing", f"in/{number}.csv") for number in range(messages)]
    _store_runs(stage, bodies)
    _send(stage, bodies)
    stage.wait("all messages to be held", lambda: _held(stage) == messages, 900)
    print(f"all are held after {time.time() - begin:.0f} s; before: {before}", file=sys.stderr)
    found = {"before": before, "holding": _measure(stage, seconds), "held_at_the_end": _held(stage)}
    states = stage.rows("SELECT state, count(*) FROM dag_run WHERE dag_id = 'held' GROUP BY state")
    found["runs"] = {str(state): int(count) for state, count in states}
    found["dispatcher_deferred"] = stage.deferred_seconds("dispatcher") > seconds
    return found


def _waiting(stage: Stage) -> set[float]:
    """Trigger ids of the tasks that wait for a moment."""
    sql = "SELECT trigger_id FROM task_instance WHERE dag_id = 'punctual' AND trigger_id IS NOT NULL"
    return {row[0] for row in stage.rows(sql)}


def _have_deferred(stage: Stage, count: int) -> bool:
    """Whether so many tasks have got as far as waiting for their moment, or beyond."""
    sql = "SELECT count(*) FROM task_instance WHERE dag_id = 'punctual' AND state IN ('deferred', 'success')"
    return int(stage.rows(sql)[0][0]) >= count


def _held(stage: Stage) -> int:
    visible, hidden = stage.aws.counts(stage.cluster.variables["BENCHMARK_QUEUE"])
    return hidden if visible == 0 else 0


def _store_runs(stage: Stage, bodies: list[str]) -> None:
    """Copy one run of the DAG, as running, once for each event."""
    stage.cluster.api.trigger("held", "first")
    names = [run_id(parse_body(body, message_id="m").events[0]) for body in bodies]
    sql = "SELECT column_name FROM information_schema.columns WHERE table_name = 'dag_run'"
    own = {"id", "run_id", "state", "start_date"}
    copied = [row[0] for row in stage.rows(sql) if row[0] not in own]
    columns = ", ".join(["run_id", "state", "start_date", *copied])
    stage.rows(
        f"INSERT INTO dag_run ({columns}) SELECT name, 'running', now(), {', '.join(copied)}"  # noqa: S608
        " FROM dag_run, unnest(CAST(:names AS text[])) name WHERE dag_id = 'held'",
        names=names,
    )
    stage.rows("DELETE FROM task_instance WHERE dag_id = 'held'")


def _send(stage: Stage, bodies: list[str]) -> None:
    url = stage.cluster.variables["BENCHMARK_QUEUE"]
    for first in range(0, len(bodies), 10):
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[first : first + 10])]
        stage.aws.sqs.send_message_batch(QueueUrl=url, Entries=entries)


@dataclass(frozen=True)
class _Use:
    """CPU seconds so far and resident MiB of a process."""

    cpu_seconds: float
    mib: float

    @classmethod
    def of(cls, pid: int) -> _Use:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return cls(times.user + times.system, process.memory_info().rss / 2**20)


def _measure(stage: Stage, seconds: float) -> dict[str, Any]:
    """CPU, memory and lateness over so many seconds."""
    supervisor = stage.cluster.processes.main_pid("triggerer")
    (runner,) = (pid for pid in stage.cluster.pids("triggerer") if pid != supervisor)
    pids = {"supervisor": supervisor, "runner": runner}
    started, uses = time.time(), {name: _Use.of(pid) for name, pid in pids.items()}
    stored = _watch(stage, seconds)
    took = time.time() - started
    found: dict[str, Any] = {"seconds": round(took, 1)}
    for name, pid in pids.items():
        use = _Use.of(pid)
        cpu = 100 * (use.cpu_seconds - uses[name].cpu_seconds) / took
        found[name] = {"cpu_percent": round(cpu, 2), "mib": round(use.mib, 1)}
    lines = [json.loads(line) for line in (stage.folder / "punctual.jsonl").read_text().splitlines()]
    ticks = [line["late"] for line in lines if "late" in line and started < line["now"] < started + took]
    woke = {line["at"]: line["woke"] - line["at"] for line in lines if "at" in line}
    mine = [at for at in woke if started < at < started + took - 5]
    found["timer_late"] = report.summary(ticks)
    found["woken_late"] = report.summary([woke[at] for at in mine])
    found["stored_late"] = report.summary(_stored_late(mine, stored))
    return found


def _watch(stage: Stage, seconds: float) -> list[float]:
    """The moments at which triggers of others were seen to be gone from the database."""
    gone: list[float] = []
    waiting, until = _waiting(stage), time.time() + seconds
    while time.time() < until:
        time.sleep(_POLL_SECONDS)
        now = _waiting(stage)
        gone += [time.time()] * len(waiting - now)
        waiting = now
    return gone


def _stored_late(moments: list[float], stored: list[float]) -> list[float]:
    """How long after each moment the next event was stored: they are farther apart than they are late."""
    return [min((at for at in stored if at >= moment), default=float("inf")) - moment for moment in moments]


def _text(result: Mapping[str, Any]) -> str:
    rows = [
        {
            "": name,
            "runner, % of a core": phase["runner"]["cpu_percent"],
            "supervisor, % of a core": phase["supervisor"]["cpu_percent"],
            "runner, MiB": phase["runner"]["mib"],
            "supervisor, MiB": phase["supervisor"]["mib"],
            "a timer late, at worst, s": phase["timer_late"]["max"],
            "a trigger woken late, at worst, s": phase["woken_late"]["max"],
            "its event stored after, median and worst, s": (
                f"{phase['stored_late']['p50']}, {phase['stored_late']['max']}"
            ),
        }
        for name, phase in (("nothing held", result["before"]), ("holding", result["holding"]))
    ]
    return report.table(rows)


if __name__ == "__main__":
    main()
