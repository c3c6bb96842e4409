"""One fault of each kind: done to a running stage, and undone after its time."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from airflow_s3events.demo.processes import send_signal
from tests.system.faults.plan import Kill
from tests.system.faults.stage import Stage

_STALL = "stall-"


def strike(stage: Stage, kill: Kill, pid: int | None) -> int:
    """Do it, wait, undo it; the number of processes, or of calls of SQS, that it met.

    Args:
        stage: What it is done to.
        kill: What is done, and for how long.
        pid: The dispatcher's task process, for what is done to it or its worker.
    """
    if kill.kind.startswith("sqs-"):
        return _weather(stage, kill)
    if kill.kind == "database":
        return _database(stage, kill)
    if kill.kind.startswith(_STALL):
        name = _one_of(stage, kill.kind.removeprefix(_STALL), kill)
        return _stall(stage, stage.cluster.pids(name), kill.down_seconds)
    if kill.kind == "freeze":
        return _stall(stage, _chain(stage, pid, with_worker=False), stage.timeouts.freeze_seconds)
    if kill.kind in ("task", "worker"):
        return _task(stage, kill, pid)
    return _component(stage, _one_of(stage, kill.kind, kill), kill.down_seconds)


def _one_of(stage: Stage, component: str, kill: Kill) -> str:
    """One of those of its kind, as the seed drew it."""
    names = [name for name in stage.cluster.components if name.removesuffix("-2") == component]
    return names[int(kill.share * 100) % len(names)]


def _component(stage: Stage, name: str, seconds: float) -> int:
    """As an operator or systemd would: what is left of it ends, then it starts anew."""
    stage.away.add(name)
    reached = stage.cluster.kill(name)
    _said(stage, name, len(reached))
    time.sleep(seconds)
    stage.cluster.restart(name)
    stage.away.discard(name)
    return len(reached)


def _task(stage: Stage, kill: Kill, pid: int | None) -> int:
    worker = stage.worker_of(pid) if kill.kind == "worker" and pid is not None else None
    if worker is not None:
        return _component(stage, worker, kill.down_seconds)
    reached = send_signal(_chain(stage, pid, with_worker=kill.kind == "worker"), signal.SIGKILL)
    _said(stage, kill.kind, len(reached))
    return len(reached)


def _stall(stage: Stage, pids: list[int], seconds: float) -> int:
    reached = send_signal(pids, signal.SIGSTOP)
    _said(stage, "stall", len(reached))
    time.sleep(seconds)
    send_signal(reached, signal.SIGCONT)
    return len(reached)


def _database(stage: Stage, kill: Kill) -> int:
    reached = stage.postgres.kill()
    _said(stage, "database", reached)
    time.sleep(kill.down_seconds)
    stage.postgres.start_again()
    return reached


def _weather(stage: Stage, kill: Kill) -> int:
    before = stage.sky.met[kill.kind]
    stage.sky.now = kill.kind
    _said(stage, kill.kind, 0)
    time.sleep(kill.down_seconds)
    stage.sky.now = ""
    return stage.sky.met[kill.kind] - before


def _said(stage: Stage, what: str, reached: int) -> None:
    stage.say(f"{what}: {reached} processes")


def _chain(stage: Stage, pid: int | None, *, with_worker: bool) -> list[int]:
    """The dispatcher's task process; with all of its worker above it, which is to die first.

    Not all workers of LocalExecutor: an idle one holds the lock of the executor's queue, and killing that one
    would block Airflow's executor for good.
    """
    workers = stage.cluster.pids("worker")
    if pid is None or pid not in workers:
        raise RuntimeError(f"process {pid} of the dispatcher is none of Airflow's workers")
    chain = [pid]
    while with_worker and _parent(chain[0]) in workers:
        chain.insert(0, _parent(chain[0]))
    return chain


def _parent(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:"))
