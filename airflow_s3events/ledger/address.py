"""``open_store``: the store at an address of a ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from airflow_s3events.ledger.store import Store
from airflow_s3events.ledger_address import LedgerAddress


@asynccontextmanager
async def open_store(
    address: LedgerAddress, *, url: Any = None, dynamodb: Callable[[], AbstractAsyncContextManager[Any]]
) -> AsyncIterator[Store]:
    """Open the store at an address, and close it in the end.

    Args:
        address: Where.
        url: Of the database, where the address names a connection.
        dynamodb: Opens an aiobotocore client of DynamoDB, where the address names a table.
    """
    if address.kind == "dynamodb":
        from airflow_s3events.ledger.dynamodb import DynamoDbStore

        async with dynamodb() as client:
            yield DynamoDbStore(client, table=address.name)
        return
    from airflow_s3events.ledger.sql import SqlStore

    store = SqlStore(url if address.kind == "sql" else address.name)
    try:
        yield store
    finally:
        await store.close()
