"""A PostgreSQL that fails over, shuts down or cancels: the ledger is away, and no setting is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import sqlalchemy as sa

from airflow_s3events.exceptions import ConfigurationError, LedgerOutageError
from airflow_s3events.ledger import Document
from airflow_s3events.ledger.sql import SqlStore
from tests.system.postgres import Postgres, PostgresMissingError

#: A write that the server ends with a code of the test's choice.
_REFUSING = """
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'away' USING ERRCODE = '{code}'; END $$;
CREATE TRIGGER refuses BEFORE INSERT ON s3events_ledger EXECUTE FUNCTION refuse();
"""


class Server:
    """One database, and a way to change it from outside."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = sa.create_engine(url, poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT")

    def execute(self, *statements: str) -> None:
        with self._engine.connect() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    try:
        postgres = Postgres()
    except PostgresMissingError as error:
        pytest.skip(str(error))
    with postgres:
        yield Server(postgres.create_database("ledger"))


@pytest.fixture
async def store(server: Server) -> AsyncIterator[SqlStore]:
    server.execute("DROP TABLE IF EXISTS s3events_ledger")
    opened = SqlStore(server.url)
    await opened.read(["event/none"])
    yield opened
    await opened.close()


@pytest.mark.parametrize("code", ["25006", "25P03", "57000", "57014", "57P01", "57P02", "57P03", "57P05"])
async def test_a_server_that_is_not_what_it_was_is_an_outage(
    server: Server, store: SqlStore, code: str
) -> None:
    server.execute(_REFUSING.format(code=code))
    with pytest.raises(LedgerOutageError, match="away"):
        await store.write([Document("event/a", 1, {})])


async def test_a_server_that_refuses_what_is_written_names_the_setting(
    server: Server, store: SqlStore
) -> None:
    server.execute(_REFUSING.format(code="42501"))
    with pytest.raises(ConfigurationError, match="ledger"):
        await store.write([Document("event/a", 1, {})])


@pytest.mark.parametrize("has_table", [True, False])
async def test_after_a_fail_over_another_connection_is_used(
    server: Server, store: SqlStore, has_table: bool
) -> None:
    await store.close()
    if not has_table:
        server.execute("DROP TABLE s3events_ledger")
    server.execute("ALTER DATABASE ledger SET default_transaction_read_only = on")
    other = SqlStore(server.url)
    try:
        with pytest.raises(LedgerOutageError, match="read-only"):
            await other.write([Document("event/a", 1, {})])
    finally:
        server.execute("SET default_transaction_read_only = off", "ALTER DATABASE ledger RESET ALL")
    assert await other.write([Document("event/a", 1, {})]) == set()
    await other.close()
