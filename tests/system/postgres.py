"""A PostgreSQL of the tests' own: a fresh cluster in a folder, on a loopback port, ended with the tests.

It has ``fsync`` off: the tests kill processes, never the machine, so what it wrote survives.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from types import TracebackType

from airflow_s3events.demo.processes import Processes, free_port, send_signal

_UP_IN_SECONDS = 60.0
#: initdb refuses root; these are tried in turn. A server owned by nobody can still not leave its folder.
_USERS = ("postgres", "nobody")


class PostgresMissingError(RuntimeError):
    """There is no PostgreSQL on this machine; the text says what was looked for."""


def find_binaries() -> Path:
    """The folder with ``initdb`` and ``postgres``.

    Raises:
        PostgresMissingError: they are neither on PATH nor where Debian puts them.
    """
    on_path = shutil.which("initdb")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise PostgresMissingError("no initdb on PATH nor in /usr/lib/postgresql/*/bin: install PostgreSQL")


class Postgres:
    """One server: ``with Postgres() as server: url = server.create_database("airflow")``."""

    def __init__(self) -> None:
        self._binaries = find_binaries()
        self._user = _unprivileged_user()
        self.folder = Path(tempfile.mkdtemp(prefix="s3events-postgres-"))
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self.port = free_port()
        self.processes = Processes(self.folder / "output", remove_folder=self.folder)

    def __enter__(self) -> Postgres:
        try:
            self._initialise()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def create_database(self, name: str) -> str:
        """Create an empty database; its SQLAlchemy URL."""
        self._execute(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg2://airflow@127.0.0.1:{self.port}/{name}"

    def kill(self) -> int:
        """Kill -9 of the server, as if its machine had gone; the number of its processes."""
        pids = self.processes.pids("postgres")
        return len(send_signal(pids, signal.SIGKILL))

    def start_again(self) -> None:
        """Start the server on the same data and port."""
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        self._start()

    def stop(self) -> None:
        """End the server and remove its folder."""
        self.processes.stop_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _initialise(self) -> None:
        command = [str(self._binaries / "initdb"), "-D", str(self.folder / "data"), "-U", "airflow"]
        command += ["-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        self.processes.start("initdb", command, os.environ, user=self._user)
        if self.processes.wait("initdb", _UP_IN_SECONDS) != 0:
            raise RuntimeError(f"initdb failed\n{self.processes.log_tail('initdb')}")

    def _start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "fsync": "off",
            "full_page_writes": "off",
            "timezone": "UTC",
        }
        command = [str(self._binaries / "postgres"), "-D", str(self.folder / "data")]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.processes.start("postgres", command, os.environ, user=self._user)
        deadline = time.monotonic() + _UP_IN_SECONDS
        while not self._answers():
            if self.processes.exit_status("postgres") is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start\n{self.processes.log_tail('postgres')}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        import psycopg2

        try:
            self._execute("SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True

    def _execute(self, statement: str) -> None:
        import psycopg2

        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user="airflow", dbname="postgres")
        connection.autocommit = True
        try:
            connection.cursor().execute(statement)
        finally:
            connection.close()


def _unprivileged_user() -> str | None:
    """Whom to run the server as: ourselves (None) unless we are root."""
    if os.geteuid() != 0:
        return None
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    for user in _USERS:
        if user in known:
            return user
    raise PostgresMissingError(f"PostgreSQL does not run as root, and none of {_USERS} exists here")
