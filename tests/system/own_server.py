"""A server of the tests' own, on a free loopback port, until they end."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import TYPE_CHECKING

from airflow_s3events.demo.processes import Processes, free_port

if TYPE_CHECKING:
    from typing_extensions import Self

UP_IN_SECONDS = 60.0
_PROCESS = "server"


class OwnServer:
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

    def __enter__(self) -> Self:
        try:
            self._prepare()
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
        deadline = time.monotonic() + UP_IN_SECONDS
        while not self._answers():
            if self.processes.exit_status(_PROCESS) is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._name} did not start\n{self.processes.log_tail(_PROCESS)}")
            time.sleep(0.05)
