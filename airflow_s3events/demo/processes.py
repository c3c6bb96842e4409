"""Child processes that can always be found and ended, with everything they started.

Airflow puts its task processes into process groups of their own, and LocalExecutor's workers outlive a killed
scheduler, so neither a process group nor the process tree finds them all. An environment variable does: every
descendant inherits it. ``SPT_NOENV`` keeps Airflow's ``setproctitle`` from overwriting it
(https://github.com/dvarrazzo/py-setproctitle#environment-variables).
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

MARK = "S3EVENTS_PROCESS_MARK"
#: Seconds that a component has to end by itself after SIGTERM.
_GRACE_SECONDS = 8.0
_POLL_SECONDS = 0.05
_COLLECTED_IN_SECONDS = 2.0
#: What the guardian reads when it is no longer needed.
_DISMISSED = b"dismissed"


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def pids_marked(mark: str) -> list[int]:
    """Every living process whose mark begins with ``mark``, this one excepted."""
    wanted = f"{MARK}={mark}".encode()
    marked = _marked_in_proc(wanted) if Path("/proc/self/environ").exists() else _marked_by_psutil(mark)
    return sorted(pid for pid in marked if pid != os.getpid())


def _marked_in_proc(wanted: bytes) -> list[int]:
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _has_variable(entry, wanted)
    ]


def _has_variable(process: Path, wanted: bytes) -> bool:
    try:
        variables = (process / "environ").read_bytes().split(b"\0")
    except OSError:  # it ended meanwhile, is a zombie, or belongs to somebody else
        return False
    return any(variable.startswith(wanted) for variable in variables)


def _marked_by_psutil(mark: str) -> list[int]:
    import psutil  # type: ignore[import-untyped]  # comes with Airflow; used where there is no /proc (macOS)

    def has_mark(process: psutil.Process) -> bool:
        try:
            return str(process.environ().get(MARK, "")).startswith(mark)
        except psutil.Error:  # it ended meanwhile, or belongs to somebody else
            return False

    return [process.pid for process in psutil.process_iter() if has_mark(process)]


def send_signal(pids: Sequence[int], signum: int) -> list[int]:
    """Send ``signum`` to each process; those that were still there."""
    reached = []
    for pid in pids:
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            continue
        reached.append(pid)
    return reached


class Processes:
    """Named child processes that share one mark and log into one folder.

    A guardian process ends them, and removes ``remove_folder``, should we die without ``stop_all``.
    """

    def __init__(self, log_folder: Path, *, remove_folder: Path | None = None) -> None:
        self.log_folder = log_folder
        self.mark = secrets.token_hex(8)
        self._main: dict[str, subprocess.Popen[bytes]] = {}
        self._remove_folder = remove_folder
        self._guardian: subprocess.Popen[bytes] | None = None

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], *, user: str | None = None
    ) -> int:
        """Start ``command`` as ``name`` in a session of its own, output to ``log_path(name)``; its pid.

        ``user`` runs it as somebody else, which only root can.
        """
        self.log_folder.mkdir(parents=True, exist_ok=True)
        self._watch_over()
        marked = {**environment, MARK: f"{self.mark}:{name}:", "SPT_NOENV": "1"}
        with self.log_path(name).open("ab") as log:
            self._main[name] = subprocess.Popen(  # noqa: S603 - our own command lines, no shell
                list(command),
                env=marked,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                extra_groups=None if user is None else [],
            )
        return self._main[name].pid

    def wait(self, name: str, timeout_seconds: float) -> int:
        """Wait for the main process of ``name`` to end; its exit status.

        :raises subprocess.TimeoutExpired: it did not end in time.
        """
        return self._main[name].wait(timeout_seconds)

    def wait_for_answer(self, name: str, answers: Callable[[], bool], timeout_seconds: float) -> bool:
        """Ask ``answers`` until it is so; False where the main process of ``name`` ended, or time is up."""
        deadline = time.monotonic() + timeout_seconds
        while not answers():
            if self.exit_status(name) is not None or time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def exit_status(self, name: str) -> int | None:
        """None while the main process of ``name`` lives; else its exit status, negative for a signal."""
        return self._main[name].poll()

    def main_pid(self, name: str) -> int:
        """Process id of the main process of ``name``, living or not."""
        return self._main[name].pid

    def pids(self, name: str) -> list[int]:
        """Every living process of ``name``: the main one and all that it started, orphans included."""
        self._reap()
        return pids_marked(f"{self.mark}:{name}:")

    def names(self) -> list[str]:
        """Everything started so far, in that order."""
        return list(self._main)

    def log_path(self, name: str) -> Path:
        """Where the output of ``name`` goes."""
        return self.log_folder / f"{name}.log"

    def log_tail(self, name: str, lines: int = 30) -> str:
        """The last ``lines`` lines that ``name`` wrote."""
        if not self.log_path(name).exists():
            return ""
        return "\n".join(self.log_path(name).read_text(errors="replace").splitlines()[-lines:])

    def stop(self, name: str) -> None:
        """End ``name`` and all that it started: SIGTERM to its main process, then SIGKILL to what is left."""
        self._stop([name], _GRACE_SECONDS)

    def stop_all(self, grace_seconds: float = _GRACE_SECONDS) -> None:
        """End everything. Safe to call twice, and from a ``finally`` after Ctrl-C at any point.

        ``grace_seconds``: how long main processes have to end by themselves; 0 kills at once.
        """
        self._stop(self.names(), grace_seconds)
        self._kill_until_gone("")
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.communicate(_DISMISSED)
            self._guardian = None

    def _stop(self, names: Sequence[str], grace_seconds: float) -> None:
        for name in names if grace_seconds else ():
            send_signal(self.pids(name), signal.SIGCONT)
            if self.exit_status(name) is None:
                self._main[name].terminate()
        deadline = time.monotonic() + grace_seconds
        while any(self.exit_status(name) is None for name in names) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        for name in names:
            self._kill_until_gone(f"{name}:")

    def _kill_until_gone(self, suffix: str) -> None:
        killed: set[int] = set()
        while reached := send_signal(pids_marked(f"{self.mark}:{suffix}"), signal.SIGKILL):
            killed.update(reached)
            time.sleep(_POLL_SECONDS)
            self._reap()
        # Orphans stay in the process table until the system has collected them, in its own time.
        deadline = time.monotonic() + _COLLECTED_IN_SECONDS
        while send_signal(list(killed), 0) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            self._reap()

    def _reap(self) -> None:
        for process in self._main.values():
            process.poll()

    def _watch_over(self) -> None:
        if self._guardian is not None:
            return
        folder = str(self._remove_folder) if self._remove_folder else ""
        self._guardian = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "airflow_s3events.demo.processes", self.mark, folder],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )


def guard(mark: str, folder: str) -> None:
    """Wait until our parent closes its end of the pipe or dies; then end what carries ``mark``.

    The folder goes only if the parent died: it has said nothing then.
    """
    dismissed = sys.stdin.buffer.read() == _DISMISSED
    while send_signal(pids_marked(f"{mark}:"), signal.SIGKILL):
        time.sleep(_POLL_SECONDS)
    # A child that was being started when its parent stopped has the mark only a moment later.
    time.sleep(2 * _POLL_SECONDS)
    send_signal(pids_marked(f"{mark}:"), signal.SIGKILL)
    if folder and not dismissed:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    guard(*sys.argv[1:3])
