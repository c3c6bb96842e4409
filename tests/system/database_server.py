"""A database server of the tests' own: fresh data in its own folder, on a loopback port, until they end."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from airflow_s3events.demo.processes import Processes, free_port

if TYPE_CHECKING:
    from typing_extensions import Self

_UP_IN_SECONDS = 60.0


class DatabaseServer:
    """``with`` it, the server runs; behind it, its folder is gone.

    Args:
        name: What it is called in messages.
        user: Whom its processes run as; None: ourselves.
    """

    def __init__(self, name: str, *, user: str | None) -> None:
        self._name = name
        self._user = user
        self.folder = Path(tempfile.mkdtemp(prefix=f"s3events-{name.lower()}-"))
        if user is not None:
            shutil.chown(self.folder, user)
        self.port = free_port()
        self.processes = Processes(self.folder / "output", remove_folder=self.folder)

    def __enter__(self) -> Self:
        try:
            self._run("install", self._install_command())
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server and remove its folder."""
        self.processes.stop_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _install_command(self) -> list[str]:
        """Return the command that writes empty data into ``folder / "data"``."""
        raise NotImplementedError

    def _server_command(self) -> list[str]:
        """Return the command that serves them on ``port``."""
        raise NotImplementedError

    def _answers(self) -> bool:
        """Return whether the server is up."""
        raise NotImplementedError

    def _run(self, step: str, command: list[str]) -> None:
        self.processes.start(step, command, os.environ, user=self._user)
        if self.processes.wait(step, _UP_IN_SECONDS) != 0:
            raise RuntimeError(f"{self._name}: {command[0]} failed\n{self.processes.log_tail(step)}")

    def _start(self) -> None:
        self.processes.start("server", self._server_command(), os.environ, user=self._user)
        deadline = time.monotonic() + _UP_IN_SECONDS
        while not self._answers():
            if self.processes.exit_status("server") is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._name} did not start\n{self.processes.log_tail('server')}")
            time.sleep(0.05)


def unprivileged_user(users: tuple[str, ...]) -> str | None:
    """Return whom to run a server as that refuses root: the first who exists; None where we are not root.

    Raises:
        LookupError: We are root, and nobody of them exists.
    """
    if os.geteuid() != 0:
        return None
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    for user in users:
        if user in known:
            return user
    raise LookupError(f"it does not run as root, and none of {users} exists here")
