"""Documents in a table of PostgreSQL, MySQL or SQLite, by SQLAlchemy 1.4 or 2, which Airflow brings along."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from airflow_s3events.exceptions import ConfigurationError, LedgerOutageError
from airflow_s3events.ledger.store import Counted, Document, IntervalCount

_T = TypeVar("_T")

#: Name of the table where none is given.
TABLE = "s3events_ledger"
#: Rows of one statement, and names: SQLite before 3.32 takes 999 parameters, at nine a row.
_CHUNK = 100
_NAMES = 900
#: Rows of one delete: short enough that dispatchers do not wait behind a purge.
_PURGE_CHUNK = 5_000
#: SQLAlchemy's names of MySQL: the second in URLs that say that they lead to MariaDB.
_MYSQL = ("mysql", "mariadb")
#: Tries of a transaction that a database gave up for the sake of another's.
_TRIES = 8
#: By which drivers tell so: MySQL's numbers of a deadlock and of a lock that took too long, and the
#: SQLSTATEs of PostgreSQL.
_GIVEN_UP = frozenset({1213, 1205, "40P01", "40001"})

#: SQLSTATEs, or their class, of a PostgreSQL that is not what it was, which drivers do not all tell as such:
#: it is read-only since a fail-over, it has ended an idle transaction, or somebody intervened, to shut it
#: down or to cancel what it did (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_AWAY = ("25006", "25P03", "57")

_NEVER = dict.fromkeys(Counted._fields)

_UPSERTS: dict[str, Callable[[sa.Table], Any]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
    "mysql": mysql.insert,
    "mariadb": mysql.insert,
}


def ledger_table(name: str = TABLE) -> sa.Table:
    """Return the table: one row for each document, its body as JSON text, all of it ASCII.

    MySQL's own ways are set aside: there names that differ in case alone would be one, and text would end at
    64 KiB.
    """
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("name", _ascii(320), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("subject", _ascii(40), nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        # Who wrote this version: a statement that refuses a row says nothing of it, so it is read back.
        sa.Column("writer", sa.String(32), nullable=False),
        sa.Column("body", _on_mysql(sa.Text(), mysql.MEDIUMTEXT()), nullable=False),
        # Where a document stands in time: counted over 100,000 rows without touching one of them.
        sa.Column("moment", sa.BigInteger, nullable=True),
        sa.Column("label", _ascii(20), nullable=True),
        sa.Column("times", sa.Integer, nullable=True),
        sa.Index(f"{name}_subject", "subject"),
        sa.Index(f"{name}_expires_at", "expires_at"),
        sa.Index(f"{name}_moment", "moment", "label", "times"),
    )


def _ascii(length: int) -> Any:
    return _on_mysql(sa.String(length), mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"))


def _on_mysql(usual: Any, other: Any) -> Any:
    for name in _MYSQL:
        usual = usual.with_variant(other, name)
    return usual


def upsert(dialect: str, table: sa.Table) -> Any:
    """Return the statement that writes rows given to it, each only over the version before its own.

    The rows are its parameters and no part of it, so that it is compiled once.

    Raises:
        ConfigurationError: There is none for this database.
    """
    if dialect not in _UPSERTS:
        raise ConfigurationError(f"ledger: {dialect} is not one of {', '.join(sorted(_UPSERTS))}")
    insert = _UPSERTS[dialect](table)
    changed = [c.name for c in table.columns if c.name not in ("name", "version")]
    if _UPSERTS[dialect] is mysql.insert:
        # A bound 1 would be one more parameter of each row, which MySQL's drivers do not count.
        is_next = table.c.version + sa.literal_column("1") == insert.inserted.version
        # In this order: MySQL sees what an assignment before has set, so the version comes last.
        new = [(name, sa.func.if_(is_next, insert.inserted[name], table.c[name])) for name in changed]
        new.append(("version", sa.func.if_(is_next, insert.inserted.version, table.c.version)))
        return insert.on_duplicate_key_update(new)
    return insert.on_conflict_do_update(
        index_elements=["name"],
        set_={name: insert.excluded[name] for name in (*changed, "version")},
        where=table.c.version + 1 == insert.excluded.version,
    )


class SqlStore:
    """Documents in a table, which is made on first use where it is not there.

    Every call runs in a thread, on a connection of the engine's pool.

    Args:
        url: SQLAlchemy's URL of the database.
        table: Name of the table, with a schema before a dot if need be.
    """

    def __init__(self, url: str | sa.engine.URL, *, table: str = TABLE) -> None:
        name, schema = (table.rpartition(".")[2], table.rpartition(".")[0] or None)
        self.table = ledger_table(name)
        self.table.schema = schema
        try:
            self._engine = _engine(sa.engine.make_url(url))
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
            raise ConfigurationError(f"ledger: the database's URL: {error}") from error
        self._is_there = False

    def __repr__(self) -> str:
        # A URL may hold a password.
        return f"SqlStore({self._engine.dialect.name}, table={self.table.fullname!r})"

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._engine.dispose)

    async def read(self, names: Sequence[str]) -> dict[str, Document]:
        """Read in one round trip for each 1,000 names."""
        return await self._call(lambda connection: self._read(connection, list(names)))

    async def write(self, documents: Sequence[Document]) -> set[str]:
        """Write in one transaction, rows in order of their names, so that two writers never deadlock."""
        return await self._call(lambda connection: self._write(connection, documents)) if documents else set()

    async def about(self, subject: str) -> list[Document]:
        """Read by the index on subject."""
        query = sa.select(self.table).where(self.table.c.subject == subject).order_by(self.table.c.name)
        return await self._call(lambda connection: [_document(row) for row in connection.execute(query)])

    async def purge(self, before: float) -> int:
        """Delete some thousands at a time, each in a transaction of its own."""
        removed = 0
        while True:
            count = await self._call(lambda connection: self._purge(connection, int(before)))
            removed += count
            if count < _PURGE_CHUNK:
                return removed

    async def latest(self, most: int) -> list[Document]:
        """Read by the index on time, from its end."""
        moment = self.table.c.moment
        query = sa.select(self.table).where(moment.is_not(None)).order_by(moment.desc()).limit(most)
        return await self._call(lambda connection: [_document(row) for row in connection.execute(query)])

    async def counts(self, since: int, until: int, step_seconds: int) -> list[IntervalCount]:
        """Count in the index on time alone."""
        column = self.table.c
        start = (column.moment - (column.moment - since) % step_seconds).label("start")
        counted = (start, column.label, sa.func.count(), sa.func.sum(column.times))
        within = (column.moment >= since, column.moment < until)
        query = sa.select(*counted).where(*within).group_by(start, column.label)
        rows = await self._call(lambda connection: connection.execute(query).fetchall())
        # Sums are of another type in each database.
        found = [IntervalCount(int(row[0]), str(row[1]), int(row[2]), int(row[3])) for row in rows]
        return sorted(found)

    def _read(self, connection: Any, names: list[str]) -> dict[str, Document]:
        found: dict[str, Document] = {}
        for first in range(0, len(names), _NAMES):
            some = names[first : first + _NAMES]
            query = sa.select(self.table).where(self.table.c.name.in_(some))
            found.update((row.name, _document(row)) for row in connection.execute(query))
        return found

    def _write(self, connection: Any, documents: Sequence[Document]) -> set[str]:
        writer = uuid4().hex
        rows = sorted((_row(document, writer) for document in documents), key=lambda row: str(row["name"]))
        kept: set[str] = set()
        for first in range(0, len(rows), _CHUNK):
            some = rows[first : first + _CHUNK]
            connection.execute(upsert(self._engine.dialect.name, self.table), some)
            names = [row["name"] for row in some]
            mine = (self.table.c.name.in_(names), self.table.c.writer == writer)
            kept.update(connection.execute(sa.select(self.table.c.name).where(*mine)).scalars())
        return {document.name for document in documents} - kept

    def _purge(self, connection: Any, before: int) -> int:
        old = sa.select(self.table.c.name).where(self.table.c.expires_at < before).limit(_PURGE_CHUNK)
        names = connection.execute(old).scalars().all()
        for first in range(0, len(names), _NAMES):
            some = names[first : first + _NAMES]
            which = (self.table.c.name.in_(some), self.table.c.expires_at < before)
            connection.execute(sa.delete(self.table).where(*which))
        return len(names)

    async def _call(self, work: Callable[[Any], _T]) -> _T:
        return await asyncio.to_thread(self._run, work)

    def _run(self, work: Callable[[Any], _T]) -> _T:
        with _translated(self._engine):
            if not self._is_there:
                self._make_table()
            for attempt in range(1, _TRIES + 1):
                try:
                    with self._engine.begin() as connection:
                        return work(connection)
                except sa.exc.DBAPIError as error:
                    if attempt == _TRIES or not _is_given_up(error):
                        raise
            raise AssertionError("the last try returns or raises")

    def _make_table(self) -> None:
        try:
            self.table.metadata.create_all(self._engine)
        except sa.exc.DBAPIError:
            # Two processes that start together both find it missing; one of them makes it.
            if not sa.inspect(self._engine).has_table(self.table.name, schema=self.table.schema):
                raise
        self._add_columns()
        self._is_there = True

    def _add_columns(self) -> None:
        """Give a table of before what it lacks; rows that it holds have no place in time."""
        missing = self._missing_columns()
        try:
            with self._engine.begin() as connection:
                for column in missing:
                    kind = column.type.compile(self._engine.dialect)
                    name = self._engine.dialect.identifier_preparer.format_table(self.table)
                    connection.execute(sa.text(f"ALTER TABLE {name} ADD COLUMN {column.name} {kind}"))
                for index in self.table.indexes if missing else ():
                    index.create(connection, checkfirst=True)
        except sa.exc.DBAPIError:
            # Another process that starts at the same time has done it.
            if self._missing_columns():
                raise

    def _missing_columns(self) -> list[sa.Column[Any]]:
        columns = sa.inspect(self._engine).get_columns(self.table.name, schema=self.table.schema)
        known = {column["name"] for column in columns}
        missing = [column for column in self.table.columns if column.name not in known]
        # A table that lacks more than these is not ours: nothing is added to it.
        return missing if {column.name for column in missing} <= set(Counted._fields) else []


def _engine(url: sa.engine.URL) -> sa.engine.Engine:
    options: dict[str, Any] = {}
    if url.get_backend_name() in _MYSQL:
        # Its default locks the gaps between rows, too, over which writers of different rows meet.
        options["isolation_level"] = "READ COMMITTED"
    return sa.create_engine(url, pool_pre_ping=True, future=True, **options)


def _is_given_up(error: sa.exc.DBAPIError) -> bool:
    """Whether the same transaction, begun anew, will go through: two writers stood in each other's way."""
    cause: Any = error.orig
    return bool(_GIVEN_UP & {_sqlstate(cause), *cause.args[:1]})


def _is_away(error: sa.exc.DBAPIError) -> bool:
    return _sqlstate(error.orig).startswith(_AWAY)


def _sqlstate(cause: Any) -> str:
    """Psycopg 2 has it under another name than psycopg 3; the drivers of other databases have none."""
    return str(getattr(cause, "pgcode", None) or getattr(cause, "sqlstate", None) or "")


def _row(document: Document, writer: str) -> dict[str, Any]:
    return {
        "name": document.name,
        "version": document.version,
        "subject": document.subject,
        "expires_at": document.expires_at,
        "writer": writer,
        "body": json.dumps(document.body, separators=(",", ":")),
        **(_NEVER if document.counted is None else document.counted._asdict()),
    }


def _document(row: Any) -> Document:
    counted = None if row.moment is None else Counted(row.moment, row.label, row.times)
    return Document(row.name, row.version, json.loads(row.body), row.subject, row.expires_at, counted)


@contextmanager
def _translated(engine: sa.engine.Engine) -> Iterator[None]:
    """Tell a database that is away from one that refuses; neither text may show the statement's values."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        raise LedgerOutageError(f"the ledger's database: {getattr(error, 'orig', error)}") from error
    except sa.exc.SQLAlchemyError as error:
        if isinstance(error, sa.exc.DBAPIError) and _is_away(error):
            # A connection to what is read-only since a fail-over works, and would be used for ever.
            engine.dispose()
            raise LedgerOutageError(f"the ledger's database: {error.orig}") from error
        raise ConfigurationError(f"ledger: its database refuses: {getattr(error, 'orig', error)}") from error
