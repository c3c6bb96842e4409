"""A Redis of the tests' own, in memory, on a loopback port: the broker of Celery."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path
from types import TracebackType

from airflow_s3events.demo.processes import Processes, free_port

_UP_IN_SECONDS = 20.0


class RedisMissingError(RuntimeError):
    """There is no Redis server on this machine; the text says what was looked for."""


def find_server() -> str:
    """The path of ``redis-server``.

    Raises:
        RedisMissingError: It is not on PATH.
    """
    found = shutil.which("redis-server")
    if found is None:
        raise RedisMissingError("no redis-server on PATH: install Redis")
    return found


class Redis:
    """One server: ``with Redis(folder) as redis: redis.url``."""

    def __init__(self, folder: Path) -> None:
        self._server = find_server()
        self.port = free_port()
        self.processes = Processes(folder)

    @property
    def url(self) -> str:
        """What Celery calls its broker."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Redis:
        command = [self._server, "--bind", "127.0.0.1", "--port", str(self.port)]
        command += ["--save", "", "--appendonly", "no"]
        self.processes.start("redis", command, os.environ)
        deadline = time.monotonic() + _UP_IN_SECONDS
        while not self._answers():
            if self.processes.exit_status("redis") is not None or time.monotonic() > deadline:
                said = self.processes.log_tail("redis")
                self.processes.stop_all()
                raise RuntimeError(f"Redis did not start\n{said}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.processes.stop_all()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
