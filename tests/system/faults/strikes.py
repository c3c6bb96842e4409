"""One fault of each kind: done to a running Airflow, and undone after its time."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from airflow_s3events.demo.processes import send_signal
from tests.system.faults import clocks
from tests.system.faults.ground import Ground
from tests.system.faults.moves import move
from tests.system.faults.plan import Kill

#: A clock that jumps stays wrong for so long, and some seconds more: long enough to be seen.
_WRONG_SECONDS = 15.0


def strike(ground: Ground, kill: Kill, pid: int | None) -> int:
    """Do it, wait, undo it; the number of processes, or of calls of SQS, that it met.

    Args:
        ground: What it is done to.
        kill: What is done, and for how long.
        pid: The dispatcher's task process, for what is done to it or its worker.
    """
    kind, _, rest = kill.kind.partition("-")
    if kill.kind in _BY_KIND:
        return _BY_KIND[kill.kind](ground, kill)
    if kind == "sqs":
        return _weather(ground, kill)
    if kind == "clock":
        return _clock(ground, kill, pid)
    if kind == "stall":
        return _stall(ground, ground.cluster.pids(_one_of(ground, rest, kill)), kill.down_seconds)
    return _process(ground, kill, pid)


def _one_of(ground: Ground, component: str, kill: Kill) -> str:
    """One of those of its kind, as the seed drew it."""
    names = [name for name in ground.components if name.removesuffix("-2") == component]
    return names[int(kill.share * 100) % len(names)]


def _component(ground: Ground, name: str, seconds: float) -> int:
    """As an operator or systemd would: what is left of it ends, then it starts anew."""
    ground.away.add(name)
    reached = ground.cluster.kill(name)
    _said(ground, name, len(reached))
    time.sleep(seconds)
    ground.restart(name)
    ground.away.discard(name)
    return len(reached)


def _process(ground: Ground, kill: Kill, pid: int | None) -> int:
    if kill.kind == "freeze":
        return _stall(ground, _chain(ground, pid, with_worker=False), ground.freeze_seconds)
    if kill.kind in ("task", "worker"):
        return _task(ground, kill, pid)
    return _component(ground, _one_of(ground, kill.kind, kill), kill.down_seconds)


def _task(ground: Ground, kill: Kill, pid: int | None) -> int:
    worker = ground.worker_of(pid) if kill.kind == "worker" and pid is not None else None
    if worker is not None:
        return _component(ground, worker, kill.down_seconds)
    reached = send_signal(_chain(ground, pid, with_worker=kill.kind == "worker"), signal.SIGKILL)
    _said(ground, kill.kind, len(reached))
    return len(reached)


def _stall(ground: Ground, pids: list[int], seconds: float) -> int:
    reached = send_signal(pids, signal.SIGSTOP)
    _said(ground, "stall", len(reached))
    time.sleep(seconds)
    send_signal(reached, signal.SIGCONT)
    return len(reached)


def _database(ground: Ground, kill: Kill) -> int:
    reached = ground.postgres.kill()
    _said(ground, "database", reached)
    time.sleep(kill.down_seconds)
    ground.postgres.start_again()
    return reached


def _weather(ground: Ground, kill: Kill) -> int:
    before = ground.sky.met[kill.kind]
    ground.sky.now = kill.kind
    _said(ground, kill.kind, 0)
    time.sleep(kill.down_seconds)
    ground.sky.now = ""
    return ground.sky.met[kill.kind] - before


def _clock(ground: Ground, kill: Kill, pid: int | None) -> int:
    """Let the clock of one machine jump, that of the dispatcher's worker if it has one, and set it right."""
    if ground.clocks is None:
        raise RuntimeError("the components were started without clocks of their own")
    component = kill.kind.removeprefix("clock-")
    worker = ground.worker_of(pid) if component == "scheduler" and pid is not None else None
    machine = clocks.machine_of(worker or _one_of(ground, component, kill))
    reached = [
        pid
        for name in ground.clocks.names_on(machine, ground.components)
        for pid in ground.cluster.processes.pids(name)
    ]
    jump_seconds = clocks.jump_of(kill, ground.jumps)
    ground.clocks.set_by(machine, jump_seconds)
    _said(ground, f"the clock of {machine} is {jump_seconds:+d} s off", len(reached))
    time.sleep(_WRONG_SECONDS + kill.down_seconds)
    ground.clocks.set_by(machine, 0)
    return len(reached)


def _log_disk(ground: Ground, kill: Kill) -> int:
    """Fill it, again and again: what rotates its logs makes room; the number of bytes that it took."""
    if ground.log_disk is None:
        raise RuntimeError("the logs have no disk of their own")
    taken = ground.log_disk.fill()
    _said(ground, f"the disk for logs is full with {taken} bytes", 0)
    until = time.monotonic() + kill.down_seconds
    while time.monotonic() < until:
        time.sleep(0.2)
        ground.log_disk.fill()
    ground.log_disk.free()
    return taken


def _said(ground: Ground, what: str, reached: int) -> None:
    ground.say(f"{what}: {reached} processes")


def _chain(ground: Ground, pid: int | None, *, with_worker: bool) -> list[int]:
    """The dispatcher's task process; with all of its worker above it, which is to die first.

    Not all workers of LocalExecutor: an idle one holds the lock of the executor's queue, and killing that one
    would block Airflow's executor for good.
    """
    workers = ground.cluster.pids("worker")
    if pid is None or pid not in workers:
        raise RuntimeError(f"process {pid} of the dispatcher is none of Airflow's workers")
    chain = [pid]
    while with_worker and _parent(chain[0]) in workers:
        chain.insert(0, _parent(chain[0]))
    return chain


def _parent(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:"))


_BY_KIND = {"triggerer-moves": move, "log-disk": _log_disk, "database": _database}
