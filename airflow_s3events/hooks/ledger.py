"""``open_ledger``: an Airflow connection to a ledger, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import BaseHook
from airflow_s3events.dispatch.journal import Journal, Order
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.ledger import Ledger, LedgerSettings
from airflow_s3events.ledger.address import open_store
from airflow_s3events.ledger_address import LedgerAddress

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from airflow_s3events.hooks.s3_events import S3EventsHook

#: Airflow's types of connection to SQLAlchemy's names of databases.
_DRIVERS = {"postgres": "postgresql", "postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite"}
#: Members of a connection's extra that are the driver's; others are for hooks of Airflow.
_DRIVER_OPTIONS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "charset", "connect_timeout", "options")


@asynccontextmanager
async def open_ledger(
    ledger: str, settings: LedgerSettings, *, aws: Mapping[str, Any], allow_url: bool = False
) -> AsyncIterator[Ledger]:
    """Open the ledger at ``ledger``, and close it in the end.

    Args:
        ledger: ``sql:<Airflow connection>`` or ``dynamodb:<table>``.
        settings: How long it remembers.
        aws: ``aws_conn_id``, ``region_name``, ``verify`` and ``botocore_config`` for DynamoDB.
        allow_url: It may be a database's URL, too: on a command line.

    Raises:
        ConfigurationError: The address, or the connection, cannot be used; names it.
    """
    address = LedgerAddress.of(ledger, allow_url=allow_url)
    url = await asyncio.to_thread(database_url, address.name) if address.kind == "sql" else None
    async with open_store(address, url=url, dynamodb=lambda: _hook(aws).open_client()) as store:
        yield Ledger(store, settings)


@asynccontextmanager
async def open_journal(
    ledger: str | None,
    ordering: Any,
    settings: LedgerSettings | None,
    *,
    aws: Mapping[str, Any],
    make: Callable[[Ledger, Order], Journal] = Journal,
) -> AsyncIterator[Journal]:
    """Open a dispatcher's side of the ledger; without a ledger, one that knows and notes nothing."""
    if ledger is None:
        yield Journal()
        return
    async with open_ledger(ledger, settings or LedgerSettings(), aws=aws) as opened:
        yield make(opened, Order.of(ordering, ledger=ledger))


def database_url(conn_id: str) -> URL:
    """Return the URL of the database behind a connection of type postgres, mysql or sqlite.

    Raises:
        ConfigurationError: It is of another type.
    """
    from sqlalchemy.engine import URL

    connection = BaseHook.get_connection(conn_id)
    driver = _DRIVERS.get(connection.conn_type or "")
    if driver is None:
        raise ConfigurationError(
            f"ledger: connection {conn_id!r} is of type {connection.conn_type!r}; give one of type postgres,"
            " mysql or sqlite"
        )
    if driver == "sqlite":
        return URL.create(driver, database=connection.schema or connection.host)
    extra = connection.extra_dejson
    return URL.create(
        driver,
        username=connection.login,
        password=connection.password,
        host=connection.host,
        port=connection.port,
        database=connection.schema,
        query={name: str(extra[name]) for name in _DRIVER_OPTIONS if name in extra},
    )


def _hook(aws: Mapping[str, Any]) -> S3EventsHook:
    # A ledger in a database needs none of AWS's libraries.
    from airflow_s3events.hooks.s3_events import S3EventsHook

    return S3EventsHook(
        client_type="dynamodb",
        aws_conn_id=aws["aws_conn_id"],
        region_name=aws["region_name"],
        verify=aws["verify"],
        config=aws["botocore_config"],
    )
