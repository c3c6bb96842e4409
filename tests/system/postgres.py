"""A PostgreSQL of the tests' own: a fresh cluster in a folder, on a loopback port, ended with the tests.

It has ``fsync`` off: the tests kill processes, never the machine, so what it wrote survives.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from airflow_s3events.demo.processes import send_signal
from tests.system.database_server import DatabaseServer, unprivileged_user

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


class Postgres(DatabaseServer):
    """One server: ``with Postgres() as server: url = server.create_database("airflow")``."""

    def __init__(self) -> None:
        self._binaries = find_binaries()
        try:
            user = unprivileged_user(_USERS)
        except LookupError as error:
            raise PostgresMissingError(f"PostgreSQL: {error}") from error
        super().__init__("PostgreSQL", user=user)

    def create_database(self, name: str) -> str:
        """Create an empty database; its SQLAlchemy URL."""
        self._execute(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg2://airflow@127.0.0.1:{self.port}/{name}"

    def kill(self) -> int:
        """Kill -9 of the server, as if its machine had gone; the number of its processes."""
        return len(send_signal(self.processes.pids("server"), signal.SIGKILL))

    def start_again(self) -> None:
        """Start the server on the same data and port."""
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        self._start()

    def _install_command(self) -> list[str]:
        command = [str(self._binaries / "initdb"), "-D", str(self.folder / "data"), "-U", "airflow"]
        return [*command, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]

    def _server_command(self) -> list[str]:
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
        return command + [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

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
