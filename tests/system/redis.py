"""A Redis of the tests' own, in memory, on a loopback port: the broker of Celery."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from airflow_s3events.demo.processes import Processes
from tests.system.own_server import OwnServer


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


class Redis(OwnServer):
    """One server: ``with Redis(folder) as redis: redis.url``."""

    def __init__(self, folder: Path) -> None:
        self._server = find_server()
        super().__init__("Redis", Processes(folder))

    @property
    def url(self) -> str:
        """What Celery calls its broker."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _server_command(self) -> list[str]:
        command = [self._server, "--bind", "127.0.0.1", "--port", str(self.port)]
        return [*command, "--save", "", "--appendonly", "no"]

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
