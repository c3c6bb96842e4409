"""A server of the tests' own, on a free loopback port, until they end."""

from __future__ import annotations

import os

from airflow_s3events.demo.lifetime import Lifetime
from airflow_s3events.demo.processes import Processes, free_port

UP_IN_SECONDS = 60.0
_PROCESS = "server"


class OwnServer(Lifetime):
    """``with`` it, the server runs.

    Args:
        name: What it is called in messages.
        processes: Where it is started.
        user: Whom its processes run as; None: ourselves.
    """

    def __init__(self, name: str, processes: Processes, *, user: str | None = None) -> None:
        self._name = name
        self._user = user
        self.processes = processes
        self.port = free_port()

    def bring_up(self) -> None:
        """Start the server, and wait until it answers."""
        self._prepare()
        self._start()

    def stop(self) -> None:
        """End the server."""
        self.processes.stop_all()

    def _prepare(self) -> None:
        """Do what the server needs done once, before it first starts."""

    def _server_command(self) -> list[str]:
        """Return the command that serves on ``port``."""
        raise NotImplementedError

    def _answers(self) -> bool:
        """Return whether the server is up."""
        raise NotImplementedError

    def _start(self) -> None:
        self.processes.start(_PROCESS, self._server_command(), os.environ, user=self._user)
        if not self.processes.wait_for_answer(_PROCESS, self._answers, UP_IN_SECONDS):
            raise RuntimeError(f"{self._name} did not start\n{self.processes.log_tail(_PROCESS)}")
