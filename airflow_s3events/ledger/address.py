"""Where a ledger is, in one text: ``sql:<connection>``, ``dynamodb:<table>``, or a database's URL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.ledger.store import Store

_FORMS = "'sql:<Airflow connection>' or 'dynamodb:<table>'"


@dataclass(frozen=True, slots=True)
class LedgerAddress:
    """Where a ledger is.

    Attributes:
        kind: ``sql``: a database by its Airflow connection. ``dynamodb``: a table of the AWS connection.
            ``url``: a database by SQLAlchemy's URL, for the command line: a URL can hold a password, and
            settings of tasks are shown.
        name: Connection, table or URL.
    """

    kind: str
    name: str = field(repr=False)

    @staticmethod
    def of(text: Any, *, allow_url: bool = False) -> LedgerAddress:
        """Read an address.

        Raises:
            ConfigurationError: It is none; says what to put there.
        """
        kind, _, name = text.partition(":") if isinstance(text, str) else ("", "", "")
        if name and kind in ("sql", "dynamodb"):
            return LedgerAddress(kind, name)
        if allow_url and name.startswith("//"):
            return LedgerAddress("url", text)
        shown = text if not isinstance(text, str) or "//" not in text else f"{kind}://..."
        raise ConfigurationError(f"ledger={shown!r}: give {_FORMS}{', or a URL' if allow_url else ''}")


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
