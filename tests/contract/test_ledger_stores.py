"""One suite: what a ledger relies on holds in memory, SQLite, PostgreSQL, MariaDB and DynamoDB alike."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.ledger import Counted, Document, IntervalCount, Store, TimedStore
from airflow_s3events.ledger.dynamodb import DynamoDbStore
from airflow_s3events.ledger.sql import SqlStore, ledger_table, upsert
from tests.ledger_stores import KINDS, open_dynamodb, open_store
from tests.system.mariadb import MariaDb, MariaDbMissingError
from tests.system.postgres import Postgres, PostgresMissingError


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    try:
        server = Postgres()
    except PostgresMissingError as error:
        pytest.skip(str(error))
    with server:
        yield server.create_database("ledger")


@pytest.fixture(scope="module")
def mariadb_url() -> Iterator[str]:
    try:
        server = MariaDb()
    except MariaDbMissingError as error:
        pytest.skip(str(error))
    with server:
        yield server.create_database("ledger")


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    urls = {"dynamodb": "moto_url", "postgres": "postgres_url", "mariadb": "mariadb_url"}
    kind = request.param
    url = request.getfixturevalue(urls[kind]) if kind in urls else f"sqlite:///{tmp_path / 'ledger.db'}"
    async with open_store(kind, url=url) as opened:
        yield opened


def document(name: str = "event/a", version: int = 1, **members: Any) -> Document:
    standard: dict[str, Any] = {"name": name, "version": version, "body": {"n": version}}
    return Document(**standard | members)


async def test_what_was_written_is_read(store: Store) -> None:
    body = {"text": 'ü"\u2028', "none": None, "list": [1, 2.5, True], "inner": {"a": "b"}}
    written = document(body=body, subject="s" * 40, expires_at=2_000_000_000)
    assert await store.write([written]) == set()
    assert await store.read(["event/a", "event/b"]) == {"event/a": written}


async def test_nothing_is_read_and_written_for_nothing(store: Store) -> None:
    assert await store.read([]) == {}
    assert await store.write([]) == set()


async def test_a_second_first_version_is_refused(store: Store) -> None:
    await store.write([document(body={"by": "one"})])
    assert await store.write([document(body={"by": "two"})]) == {"event/a"}
    assert (await store.read(["event/a"]))["event/a"].body == {"by": "one"}


async def test_only_the_next_version_is_written(store: Store) -> None:
    await store.write([document()])
    assert await store.write([document(version=3)]) == {"event/a"}
    assert await store.write([document(version=2)]) == set()
    assert await store.write([document(version=2)]) == {"event/a"}
    assert (await store.read(["event/a"]))["event/a"].version == 2


async def test_a_next_version_of_nothing_never_stands(store: Store) -> None:
    """But in SQL, which may insert it: nobody writes one without having read the one before."""
    if isinstance(store, SqlStore):
        pytest.skip("an upsert inserts it; documents are purged, never overtaken")
    assert await store.write([document(version=2)]) == {"event/a"}


async def test_one_that_is_refused_keeps_no_other_from_being_written(store: Store) -> None:
    await store.write([document("event/b")])
    assert await store.write([document("event/a"), document("event/b"), document("event/c")]) == {"event/b"}
    assert set(await store.read(["event/a", "event/b", "event/c"])) == {"event/a", "event/b", "event/c"}


async def test_of_many_that_write_one_version_at_once_one_wins(store: Store) -> None:
    refused = await asyncio.gather(*(store.write([document(body={"by": n})]) for n in range(8)))
    assert sorted(map(len, refused)) == [0] + [1] * 7
    winner = next(n for n, names in enumerate(refused) if not names)
    assert (await store.read(["event/a"]))["event/a"].body == {"by": winner}


async def test_names_that_differ_in_case_alone_are_two(store: Store) -> None:
    assert await store.write([document("event/a/DAG"), document("event/a/dag")]) == set()
    assert set(await store.read(["event/a/DAG"])) == {"event/a/DAG"}


async def test_writers_of_many_rows_at_once_neither_lose_nor_repeat_one(store: Store) -> None:
    names = [f"mark/{n:02}" for n in range(40)]

    async def write(seed: int) -> int:
        mine = random.Random(seed).sample(names, 20)
        return len(mine) - len(await store.write([document(name, body={"by": seed}) for name in mine]))

    written = await asyncio.gather(*(write(seed) for seed in range(8)))
    assert sum(written) == len(await store.read(names))


async def test_a_document_of_many_kilobytes_is_kept_whole(store: Store) -> None:
    large = document(body={"text": "x" * 100_000})
    assert await store.write([large]) == set()
    assert await store.read(["event/a"]) == {"event/a": large}


async def test_a_thousand_documents_at_once(store: Store) -> None:
    documents = [document(f"event/{n:04}") for n in range(1000)]
    assert await store.write(documents) == set()
    assert await store.write(documents[:5]) == {d.name for d in documents[:5]}
    assert await store.read([d.name for d in documents]) == {d.name: d for d in documents}


async def test_documents_are_found_by_what_they_are_about(store: Store) -> None:
    await store.write(
        [document("event/a", subject="x"), document("event/b", subject="y"), document("mark/c")]
    )
    assert [d.name for d in await store.about("x")] == ["event/a"]
    assert await store.about("z") == []


async def test_a_later_version_is_found_once_by_what_it_is_about(store: Store) -> None:
    await store.write([document(subject="x")])
    await store.write([document(version=2, subject="x")])
    assert [d.version for d in await store.about("x")] == [2]


async def test_a_purge_removes_what_has_expired_and_nothing_else(store: Store) -> None:
    expiring = [document(f"event/{n:03}", expires_at=100 + n, subject="x") for n in range(60)]
    await store.write([*expiring, document("write/a")])
    assert await store.purge(150) == 50
    left = await store.read([d.name for d in [*expiring, document("write/a")]])
    assert sorted(left) == [f"event/{n:03}" for n in range(50, 60)] + ["write/a"]
    assert len(await store.about("x")) == 10


async def test_a_purged_document_can_be_written_anew(store: Store) -> None:
    await store.write([document(expires_at=1)])
    await store.purge(2)
    assert await store.write([document()]) == set()


def timed(store: Store) -> TimedStore:
    if not isinstance(store, TimedStore):
        assert isinstance(store, DynamoDbStore)
        pytest.skip("DynamoDB has no order over all items of a table")
    return store


async def test_what_has_a_place_in_time_keeps_it(store: Store) -> None:
    written = document(counted=Counted(1_700_000_000, "started", 2))
    await timed(store).write([written])
    assert await store.read(["event/a"]) == {"event/a": written}


async def test_the_latest_are_those_with_the_latest_moment_the_newest_first(store: Store) -> None:
    moments = {"event/a": 50, "event/b": 90, "event/c": 10}
    await timed(store).write(
        [document(name, counted=Counted(moment, "x", 1)) for name, moment in moments.items()]
    )
    await store.write([document("mark/z")])
    assert [d.name for d in await timed(store).latest(2)] == ["event/b", "event/a"]
    assert [d.name for d in await timed(store).latest(9)] == ["event/b", "event/a", "event/c"]


async def test_a_later_version_stands_where_it_says(store: Store) -> None:
    await timed(store).write([document("event/a", counted=Counted(50, "put_off", 1))])
    await store.write([document("event/b", counted=Counted(60, "started", 1))])
    await store.write([document("event/a", version=2, counted=Counted(70, "started", 2))])
    assert [(d.name, d.version) for d in await timed(store).latest(9)] == [("event/a", 2), ("event/b", 1)]
    assert await timed(store).counts(0, 100, 100) == [IntervalCount(0, "started", 2, 3)]


async def test_counts_are_by_interval_and_label_from_since_until_before_until(store: Store) -> None:
    places = [(9, "a"), (10, "a"), (19, "a"), (20, "b"), (29, "a"), (29, "b"), (40, "a")]
    documents = [document(f"event/{n}", counted=Counted(at, what, n)) for n, (at, what) in enumerate(places)]
    await timed(store).write(documents)
    assert await timed(store).counts(10, 40, 10) == [
        IntervalCount(10, "a", 2, 1 + 2),
        IntervalCount(20, "a", 1, 4),
        IntervalCount(20, "b", 2, 3 + 5),
    ]


async def test_a_table_of_before_gets_a_place_in_time_and_keeps_its_rows(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "CREATE TABLE s3events_ledger (name VARCHAR(320) PRIMARY KEY, version INTEGER NOT NULL,"
                " subject VARCHAR(40) NOT NULL, expires_at BIGINT, writer VARCHAR(32) NOT NULL,"
                " body TEXT NOT NULL)"
            )
        )
        connection.execute(sa.text("INSERT INTO s3events_ledger VALUES ('event/a', 1, '', NULL, '', '{}')"))
    engine.dispose()
    stores = [SqlStore(url), SqlStore(url)]
    assert [list(await each.read(["event/a"])) for each in stores] == [["event/a"], ["event/a"]]
    new = document("event/b", counted=Counted(7, "started", 1))
    await stores[0].write([new])
    assert await stores[1].latest(9) == [new]
    for each in stores:
        await each.close()


async def test_the_table_of_another_process_is_used(tmp_path: Path) -> None:
    stores = [SqlStore(f"sqlite:///{tmp_path / 'ledger.db'}") for _ in range(2)]
    await stores[0].write([document()])
    assert await stores[1].read(["event/a"]) == {"event/a": document()}
    for each in stores:
        await each.close()


async def test_a_database_that_is_away_is_an_outage() -> None:
    store = SqlStore("postgresql+psycopg2://u:topsecret@127.0.0.1:9/none")
    with pytest.raises(OutageError) as raised:
        await store.read(["a"])
    assert "topsecret" not in f"{raised.value}{store!r}"


@pytest.mark.parametrize("url", ["nonsense", "nosuch://x"])
def test_a_url_that_is_none_names_the_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="ledger"):
        SqlStore(url)


async def test_a_table_that_is_another_names_the_setting(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE VIEW s3events_ledger AS SELECT 1 AS other"))
    engine.dispose()
    store = SqlStore(url)
    with pytest.raises((ConfigurationError, OutageError), match="ledger"):
        await store.read(["a"])
    await store.close()


async def test_a_missing_table_of_dynamodb_names_the_command(moto_url: str) -> None:
    async with open_dynamodb(moto_url) as client:
        with pytest.raises(ConfigurationError, match=r"docs/how-to/ledger\.md"):
            await DynamoDbStore(client, table="none").read(["a"])


def test_a_database_without_an_upsert_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="oracle"):
        upsert("oracle", ledger_table())


def test_mysql_writes_only_over_the_version_before_and_sets_the_version_last() -> None:
    text = str(upsert("mysql", ledger_table()).compile(dialect=mysql.dialect()))
    is_next = "s3events_ledger.version + 1 = VALUES(version)"
    columns = ("subject", "expires_at", "writer", "body", "moment", "label", "times", "version")
    set_ = [f"{c} = if({is_next}, VALUES({c}), s3events_ledger.{c})" for c in columns]
    assert text.partition(" ON DUPLICATE KEY UPDATE ")[2] == ", ".join(set_)


def test_mysql_can_make_the_table() -> None:
    text = str(sa.schema.CreateTable(ledger_table()).compile(dialect=mysql.dialect()))
    assert "PRIMARY KEY (name)" in text
    assert "name VARCHAR(320) CHARACTER SET ascii COLLATE ascii_bin" in text


def test_a_document_is_a_value() -> None:
    assert replace(document(), version=2) != document()
