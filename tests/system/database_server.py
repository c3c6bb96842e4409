"""A database server of the tests' own: fresh data in its own folder, on a loopback port, until they end."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from airflow_s3events.demo.processes import Processes
from tests.system.own_server import UP_IN_SECONDS, OwnServer


class DatabaseServer(OwnServer):
    """``with`` it, the server runs; behind it, its folder is gone.

    Args:
        name: What it is called in messages.
        user: Whom its processes run as; None: ourselves.
    """

    def __init__(self, name: str, *, user: str | None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"s3events-{name.lower()}-"))
        if user is not None:
            shutil.chown(self.folder, user)
        super().__init__(name, Processes(self.folder / "output", remove_folder=self.folder), user=user)

    def stop(self) -> None:
        """End the server and remove its folder."""
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _install_command(self) -> list[str]:
        """Return the command that writes empty data into ``folder / "data"``."""
        raise NotImplementedError

    def _prepare(self) -> None:
        self._run("install", self._install_command())

    def _run(self, step: str, command: list[str]) -> None:
        self.processes.start(step, command, os.environ, user=self._user)
        if self.processes.wait(step, UP_IN_SECONDS) != 0:
            raise RuntimeError(f"{self._name}: {command[0]} failed\n{self.processes.log_tail(step)}")


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
