"""A MariaDB of the tests' own: a fresh data folder, on a loopback port, ended with the tests.

It judges where it is installed, with a driver; nothing of the package depends on it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlalchemy as sa

from airflow_s3events.demo.processes import Processes, free_port

_UP_IN_SECONDS = 60.0
#: The server refuses root; these are tried in turn.
_USERS = ("mysql", "nobody")
#: Modules of drivers, and what SQLAlchemy calls them.
_DRIVERS = {"MySQLdb": "mysqldb", "pymysql": "pymysql"}
_FOLDERS = ("/usr/sbin", "/usr/bin", "/usr/local/bin")


class MariaDbMissingError(RuntimeError):
    """There is no MariaDB, or no driver, on this machine; the text says what was looked for."""


def find_program(name: str) -> str:
    """The path of a program of MariaDB's.

    Raises:
        MariaDbMissingError: it is neither on PATH nor where Debian puts it.
    """
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *_FOLDERS)))
    if found is None:
        raise MariaDbMissingError(f"no {name}: install mariadb-server")
    return found


def find_driver() -> str:
    """SQLAlchemy's name of a driver.

    Raises:
        MariaDbMissingError: there is none.
    """
    for module, name in _DRIVERS.items():
        if find_spec(module) is not None:
            return name
    raise MariaDbMissingError(f"none of {', '.join(_DRIVERS)}: install mysqlclient or PyMySQL")


class MariaDb:
    """One server: ``with MariaDb() as server: url = server.create_database("ledger")``."""

    def __init__(self) -> None:
        self._programs = {name: find_program(name) for name in ("mariadbd", "mariadb-install-db")}
        self._driver = find_driver()
        self._user = _unprivileged_user()
        self.folder = Path(tempfile.mkdtemp(prefix="s3events-mariadb-"))
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self.port = free_port()
        self.processes = Processes(self.folder / "output", remove_folder=self.folder)

    def __enter__(self) -> MariaDb:
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
        """Create an empty database, as MySQL has it by default; its SQLAlchemy URL."""
        with self._connected() as connection:
            connection.execute(sa.text(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4"))
        return self._url(name)

    def stop(self) -> None:
        """End the server and remove its folder."""
        self.processes.stop_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _url(self, name: str) -> str:
        return f"mysql+{self._driver}://root@127.0.0.1:{self.port}/{name}?charset=utf8mb4"

    def _connected(self) -> Any:
        return sa.create_engine(self._url("mysql"), poolclass=sa.pool.NullPool, future=True).begin()

    def _initialise(self) -> None:
        command = [self._programs["mariadb-install-db"], "--no-defaults", f"--datadir={self.folder / 'data'}"]
        command += ["--auth-root-authentication-method=normal", "--skip-test-db"]
        self.processes.start("install", command, os.environ, user=self._user)
        if self.processes.wait("install", _UP_IN_SECONDS) != 0:
            raise RuntimeError(f"mariadb-install-db failed\n{self.processes.log_tail('install')}")

    def _start(self) -> None:
        settings = {
            "datadir": self.folder / "data",
            "bind-address": "127.0.0.1",
            "port": self.port,
            "socket": self.folder / "socket",
            "pid-file": self.folder / "pid",
            "innodb-flush-log-at-trx-commit": 0,
            "innodb-buffer-pool-size": "64M",
            "skip-name-resolve": "ON",
            "sql-mode": "STRICT_ALL_TABLES",
        }
        command = [self._programs["mariadbd"], "--no-defaults"]
        command += [f"--{name}={value}" for name, value in settings.items()]
        self.processes.start("mariadbd", command, os.environ, user=self._user)
        deadline = time.monotonic() + _UP_IN_SECONDS
        while not self._answers():
            if self.processes.exit_status("mariadbd") is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MariaDB did not start\n{self.processes.log_tail('mariadbd')}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with self._connected():
                return True
        except sa.exc.OperationalError:
            return False


def _unprivileged_user() -> str | None:
    """Whom to run the server as: ourselves (None) unless we are root."""
    if os.geteuid() != 0:
        return None
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    for user in _USERS:
        if user in known:
            return user
    raise MariaDbMissingError(f"MariaDB does not run as root, and none of {_USERS} exists here")
