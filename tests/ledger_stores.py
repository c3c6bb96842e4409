"""Every store that a ledger can have, empty: in memory, SQLite, PostgreSQL, MariaDB, DynamoDB (moto's)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from aiobotocore.session import AioSession

from airflow_s3events.ledger import MemoryStore, Store
from airflow_s3events.ledger.dynamodb import DynamoDbStore
from airflow_s3events.ledger.sql import SqlStore

KINDS = ("memory", "sqlite", "postgres", "mariadb", "dynamodb")


@contextlib.asynccontextmanager
async def open_store(kind: str, *, url: str = "") -> AsyncIterator[Store]:
    """Open an empty store; ``url`` is the database's, or that of an emulator."""
    if kind == "memory":
        yield MemoryStore()
    elif kind == "dynamodb":
        async with open_dynamodb(url) as client:
            store = DynamoDbStore(client, table=f"ledger-{uuid4().hex}")
            await store.create_table()
            yield store
    else:
        sql = SqlStore(url, table=f"ledger_{uuid4().hex[:8]}")
        try:
            yield sql
        finally:
            await sql.close()


def open_dynamodb(url: str) -> Any:
    """Return a context manager that opens a client of DynamoDB at ``url``."""
    return AioSession().create_client(
        "dynamodb",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
