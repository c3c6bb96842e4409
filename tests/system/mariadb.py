"""A MariaDB of the tests' own: a fresh data folder, on a loopback port, ended with the tests.

It judges where it is installed, with a driver; nothing of the package depends on it.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import Any

import sqlalchemy as sa

from tests.system.database_server import DatabaseServer, unprivileged_user

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


class MariaDb(DatabaseServer):
    """One server: ``with MariaDb() as server: url = server.create_database("ledger")``."""

    def __init__(self) -> None:
        self._programs = {name: find_program(name) for name in ("mariadbd", "mariadb-install-db")}
        self._driver = find_driver()
        try:
            user = unprivileged_user(_USERS)
        except LookupError as error:
            raise MariaDbMissingError(f"MariaDB: {error}") from error
        super().__init__("MariaDB", user=user)

    def create_database(self, name: str) -> str:
        """Create an empty database, as MySQL has it by default; its SQLAlchemy URL."""
        with self._connected() as connection:
            connection.execute(sa.text(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4"))
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"mysql+{self._driver}://root@127.0.0.1:{self.port}/{name}?charset=utf8mb4"

    def _connected(self) -> Any:
        return sa.create_engine(self._url("mysql"), poolclass=sa.pool.NullPool, future=True).begin()

    def _install_command(self) -> list[str]:
        command = [self._programs["mariadb-install-db"], "--no-defaults", f"--datadir={self.folder / 'data'}"]
        return [*command, "--auth-root-authentication-method=normal", "--skip-test-db"]

    def _server_command(self) -> list[str]:
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
        return command + [f"--{name}={value}" for name, value in settings.items()]

    def _answers(self) -> bool:
        try:
            with self._connected():
                return True
        except sa.exc.OperationalError:
            return False
