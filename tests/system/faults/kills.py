"""The scenario ``kills``: waves of objects, each met by a kill -9 while messages are in flight."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow_s3events.demo.processes import send_signal
from tests.system.faults.plan import Kill, Wave
from tests.system.faults.stage import Stage

#: Airflow notices a dead worker after 300 s by default, and looks for orphans of a dead scheduler as often.
_RECOVERY_SECONDS = 1_200.0
_MOMENT_SECONDS = 300.0
#: The API server may still store a run that the killed worker asked for.
_UNDER_WAY = 1.0


def play(stage: Stage, waves: Sequence[Wave]) -> list[dict[str, Any]]:
    """Feed every wave and strike its kill; what was in flight at each, and how long the silence lasted."""
    struck = []
    for wave in waves:
        if wave.kill is None:
            stage.feeder.feed(wave.objects)
            continue
        if wave.kill.kind == "triggerer":
            # While the dispatcher works, nothing depends on the triggerer.
            stage.wait("the dispatcher to defer", stage.is_watched, _MOMENT_SECONDS)
        struck.append(_play_wave(stage, wave, wave.kill))
    return struck


def _play_wave(stage: Stage, wave: Wave, kill: Kill) -> dict[str, Any]:
    before = stage.run_count()
    feeding = threading.Thread(target=stage.feeder.feed, args=[wave.objects])
    feeding.start()
    try:
        wanted = before + (0 if kill.kind == "triggerer" else max(1, int(kill.share * len(wave.objects))))
        moment = stage.wait(
            f"the moment to kill the {kill.kind}", lambda: _moment(stage, kill, wanted), _MOMENT_SECONDS
        )
        struck = strike(stage, kill, moment)
    finally:
        feeding.join()
    stage.wait(
        "a run after the kill", lambda: stage.has_run_since(struck["at"] + _UNDER_WAY), _RECOVERY_SECONDS
    )
    stage.say(f"runs again after {time.time() - struck['at']:.0f} s")
    return struck


def _moment(stage: Stage, kill: Kill, wanted: int) -> dict[str, Any] | None:
    """What is in flight, if this is a moment at which the kill hurts."""
    state, pid, tries = stage.dispatcher()
    if state != ("deferred" if kill.kind == "triggerer" else "running"):
        return None
    runs, counts = stage.run_count(), stage.counts()
    if runs < wanted or not counts["in_flight"]:
        return None
    return {"runs": runs, **counts, "dispatcher": state, "pid": pid, "try": tries}


def strike(stage: Stage, kill: Kill, moment: dict[str, Any]) -> dict[str, Any]:
    """Kill; what was in flight at it."""
    pid = moment.pop("pid")
    at = time.time()
    if kill.kind in stage.cluster.components:
        reached = stage.cluster.kill(kill.kind)
    else:
        signum = signal.SIGSTOP if kill.kind == "freeze" else signal.SIGKILL
        reached = send_signal(_dispatcher_pids(stage, pid, with_worker=kill.kind == "worker"), signum)
    stage.say(f"{kill.kind}: {len(reached)} processes; {moment}")
    if kill.kind == "freeze":
        time.sleep(stage.timeouts.freeze_seconds)
        send_signal(reached, signal.SIGCONT)
    elif kill.kind in stage.cluster.components:
        # As an operator or systemd would: what is left of it ends, then it starts anew.
        time.sleep(kill.down_seconds)
        stage.cluster.restart(kill.kind)
    return {"kind": kill.kind, "at": at, "processes": len(reached), "in_flight_at_kill": moment}


def _dispatcher_pids(stage: Stage, pid: int, *, with_worker: bool) -> list[int]:
    """The dispatcher's task process; with all of its worker above it, which is to die first.

    Not all workers of LocalExecutor: an idle one holds the lock of the executor's queue, and killing that one
    would block Airflow's executor for good.
    """
    if pid not in stage.cluster.pids("worker"):
        raise RuntimeError(f"process {pid} of the dispatcher is none of Airflow's workers")
    workers, chain = stage.cluster.pids("worker"), [pid]
    while with_worker and _parent(chain[0]) in workers:
        chain.insert(0, _parent(chain[0]))
    return chain


def _parent(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:"))
