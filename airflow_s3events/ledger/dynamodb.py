"""Documents in a DynamoDB table, over an aiobotocore client that the caller opened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from airflow_s3events.aws_errors import translated
from airflow_s3events.exceptions import AwsOutageError, LedgerOutageError
from airflow_s3events.ledger.store import Document
from airflow_s3events.ledger_address import SUBJECT_INDEX

#: Name of the table where none is given.
TABLE = "s3events-ledger"

#: Keys of one BatchGetItem, and entries of one BatchWriteItem
#: (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html).
_MOST_KEYS = 100
_MOST_WRITES = 25
#: Conditional writes under way at the same time: they have no batch call, and a connection pool has ten.
_CALLS = 10
#: Tries of what DynamoDB leaves unprocessed, with doubling pauses.
_TRIES = 6
_FIRST_PAUSE_SECONDS = 0.05

_SETTINGS = {
    "ResourceNotFoundException": "ledger: no such table here; make it as docs/how-to/ledger.md says",
    "AccessDeniedException": (
        "aws_conn_id: its role may not do this to the ledger; `s3events iam --ledger` prints the policy"
    ),
    "UnrecognizedClientException": "aws_conn_id: AWS does not know this access key",
    "ValidationException": "ledger: the table has another key; make one as docs/how-to/ledger.md says",
}


def table_definition(table: str = TABLE) -> dict[str, Any]:
    """Return the arguments of CreateTable: pay by request, one index, no stream."""
    text = "S"
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "name", "AttributeType": text},
            {"AttributeName": "subject", "AttributeType": text},
        ],
        "KeySchema": [{"AttributeName": "name", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": SUBJECT_INDEX,
                "KeySchema": [
                    {"AttributeName": "subject", "KeyType": "HASH"},
                    {"AttributeName": "name", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    }


class DynamoDbStore:
    """Documents as items; DynamoDB's own time to live removes what has expired.

    Args:
        client: An aiobotocore client for DynamoDB. It stays the caller's.
        table: Name of the table.
    """

    def __init__(self, client: Any, *, table: str = TABLE) -> None:
        self._client = client
        self.table = table

    def __repr__(self) -> str:
        return f"DynamoDbStore({self.table!r})"

    async def create_table(self) -> None:
        """Make the table, wait until it is there, and turn its time to live on."""
        async with self._translated("CreateTable"):
            await self._client.create_table(**table_definition(self.table))
            await self._client.get_waiter("table_exists").wait(TableName=self.table)
            await self._client.update_time_to_live(
                TableName=self.table,
                TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"},
            )

    async def read(self, names: Sequence[str]) -> dict[str, Document]:
        """Read a hundred at a time, as the last write left them."""
        distinct = list(dict.fromkeys(names))
        chunks = [distinct[first : first + _MOST_KEYS] for first in range(0, len(distinct), _MOST_KEYS)]
        limit = asyncio.Semaphore(_CALLS)
        found = await asyncio.gather(*(self._get(chunk, limit) for chunk in chunks))
        return {document.name: document for documents in found for document in documents}

    async def write(self, documents: Sequence[Document]) -> set[str]:
        """Write each item by itself, some at the same time: DynamoDB has no batch of conditional writes.

        (A transaction would refuse all for the sake of one, at twice the price.)
        """
        limit = asyncio.Semaphore(_CALLS)
        accepted = await asyncio.gather(*(self._put(document, limit) for document in documents))
        return {d.name for d, is_accepted in zip(documents, accepted, strict=True) if not is_accepted}

    async def about(self, subject: str) -> list[Document]:
        """Query the index, which follows the table within a second, as a rule."""
        documents: list[Document] = []
        async with self._translated("Query"):
            pages = self._client.get_paginator("query").paginate(
                TableName=self.table,
                IndexName=SUBJECT_INDEX,
                KeyConditionExpression="subject = :subject",
                ExpressionAttributeValues={":subject": {"S": subject}},
            )
            async for page in pages:
                documents += map(_document, page["Items"])
        return documents

    async def purge(self, before: float) -> int:
        """Scan for what has expired and delete it: only of use where time to live is off."""
        removed = 0
        async with self._translated("Scan"):
            pages = self._client.get_paginator("scan").paginate(
                TableName=self.table,
                FilterExpression="expires_at < :before",
                ProjectionExpression="#name",
                ExpressionAttributeNames={"#name": "name"},
                ExpressionAttributeValues={":before": {"N": str(int(before))}},
            )
            async for page in pages:
                keys = [{"DeleteRequest": {"Key": item}} for item in page["Items"]]
                for first in range(0, len(keys), _MOST_WRITES):
                    await self._delete(keys[first : first + _MOST_WRITES])
                removed += len(keys)
        return removed

    async def _get(self, names: list[str], limit: asyncio.Semaphore) -> list[Document]:
        request = {self.table: {"Keys": [{"name": {"S": name}} for name in names], "ConsistentRead": True}}
        documents: list[Document] = []
        for attempt in range(_TRIES):
            async with limit, self._translated("BatchGetItem"):
                answer = await self._client.batch_get_item(RequestItems=request)
            documents += map(_document, answer["Responses"].get(self.table, []))
            request = answer.get("UnprocessedKeys")
            if not request:
                return documents
            await asyncio.sleep(_FIRST_PAUSE_SECONDS * 2.0**attempt)
        raise LedgerOutageError(f"DynamoDB table {self.table}: keys are left unprocessed: it is throttling")

    async def _put(self, document: Document, limit: asyncio.Semaphore) -> bool:
        from botocore.exceptions import ClientError

        is_new = document.version == 1
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(#name)"}
        condition["ExpressionAttributeNames"] = {"#name": "name"}
        if not is_new:
            condition = {
                "ConditionExpression": "version = :before",
                "ExpressionAttributeValues": {":before": {"N": str(document.version - 1)}},
            }
        async with limit, self._translated("PutItem"):
            try:
                await self._client.put_item(TableName=self.table, Item=_item(document), **condition)
            except ClientError as error:
                if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                    return False
                raise
        return True

    async def _delete(self, requests: list[dict[str, Any]]) -> None:
        left: Any = {self.table: requests}
        for attempt in range(_TRIES):
            answer = await self._client.batch_write_item(RequestItems=left)
            left = answer.get("UnprocessedItems")
            if not left:
                return
            await asyncio.sleep(_FIRST_PAUSE_SECONDS * 2.0**attempt)
        raise LedgerOutageError(
            f"DynamoDB table {self.table}: deletes are left unprocessed: it is throttling"
        )

    @asynccontextmanager
    async def _translated(self, action: str) -> AsyncIterator[None]:
        what = f"{action} of DynamoDB table {self.table}"
        try:
            async with translated(what, _SETTINGS, otherwise="DynamoDB refuses it"):
                yield
        except AwsOutageError as error:
            raise LedgerOutageError(str(error)) from error


def _item(document: Document) -> dict[str, Any]:
    item = {
        "name": {"S": document.name},
        "version": {"N": str(document.version)},
        "body": {"S": json.dumps(document.body, separators=(",", ":"))},
    }
    # The key of an index may not be empty text.
    if document.subject:
        item["subject"] = {"S": document.subject}
    if document.expires_at is not None:
        item["expires_at"] = {"N": str(document.expires_at)}
    return item


def _document(item: dict[str, Any]) -> Document:
    expires = item.get("expires_at")
    return Document(
        item["name"]["S"],
        int(item["version"]["N"]),
        json.loads(item["body"]["S"]),
        item.get("subject", {"S": ""})["S"],
        None if expires is None else int(expires["N"]),
    )
