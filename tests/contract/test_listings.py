"""Listings against an emulated S3 (moto): plain, versioned, and by an inventory."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from aiobotocore.session import AioSession

from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.identity import event_id
from airflow_s3events.listings import BucketListing, InventoryListing, Listing, versions_of
from airflow_s3events.looks import Location

ODD = "in/ü +%2F&.csv"


@pytest.fixture
async def client(moto_url: str) -> AsyncIterator[Any]:
    options = {"endpoint_url": moto_url, "region_name": "us-east-1"}
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    async with AioSession().create_client("s3", **options, **keys) as opened:
        yield opened


@pytest.fixture
async def bucket(client: Any) -> str:
    name = f"b-{uuid4().hex}"
    await client.create_bucket(Bucket=name)
    return name


async def listed(listing: Listing, after: Any = None) -> list[ObjectEvent]:
    return [event async for page in listing.pages(after) for event in page.events]


async def put(client: Any, bucket: str, *keys: str, body: bytes = b"1") -> None:
    for key in keys:
        await client.put_object(Bucket=bucket, Key=key, Body=body)


async def keep_versions(client: Any, bucket: str) -> None:
    await client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


async def inventory(client: Any, bucket: str, schema: str, *files: str, **members: Any) -> str:
    names = [f"data/{number}.csv.gz" for number in range(len(files))]
    for name, text in zip(names, files, strict=True):
        await put(client, bucket, name, body=gzip.compress(text.encode()))
    manifest = {
        "sourceBucket": bucket,
        "destinationBucket": f"arn:aws:s3:::{bucket}",
        "fileFormat": "CSV",
        "fileSchema": schema,
        "files": [{"key": name} for name in names],
    }
    await put(client, bucket, "manifest.json", body=json.dumps(manifest | members).encode())
    return f"s3://{bucket}/manifest.json"


async def test_objects_under_the_prefix_are_listed_in_order(client: Any, bucket: str) -> None:
    await put(client, bucket, "in/b", ODD, "out/c")
    events = await listed(BucketListing(client, bucket, "in/"))
    assert [event.key for event in events] == ["in/b", ODD]
    assert events[0].is_created
    assert (events[0].size, events[0].version_id) == (1, None)
    assert events[0].event_time is not None


async def test_an_empty_bucket_has_no_page(client: Any, bucket: str) -> None:
    assert await listed(BucketListing(client, bucket)) == []


async def test_a_listing_goes_on_behind_a_position(client: Any, bucket: str) -> None:
    await put(client, bucket, "a", "b", "c")
    events = await listed(BucketListing(client, bucket), {"key": "a"})
    assert [event.key for event in events] == ["b", "c"]


async def test_of_a_bucket_with_versions_the_current_ones_are_listed(client: Any, bucket: str) -> None:
    await keep_versions(client, bucket)
    await put(client, bucket, "a", "a", "gone")
    current = (await client.head_object(Bucket=bucket, Key="a"))["VersionId"]
    await client.delete_object(Bucket=bucket, Key="gone")
    events = await listed(BucketListing(client, bucket))
    assert [(event.key, event.version_id) for event in events] == [("a", current)]
    assert await listed(BucketListing(client, bucket), {"key": "a"}) == []


async def test_a_bucket_that_is_none_names_the_setting(client: Any) -> None:
    with pytest.raises(ConfigurationError, match="bucket_name"):
        await listed(BucketListing(client, "none"))


SCHEMA = "Bucket, Key, Size, LastModifiedDate, ETag"


def row(key: str, *more: str) -> str:
    cells = ["b", key, *more, "1", "2026-10-05T12:00:00.123Z", "c4ca4238a0b923820dcc509a6f75849b"]
    return ",".join(f'"{cell}"' for cell in cells) + "\n"


async def test_an_inventory_lists_all_its_files(client: Any, bucket: str) -> None:
    manifest = await inventory(
        client, bucket, SCHEMA, row("a") + row("in%2F%C3%BC+%2B%252F%26.csv"), row("c")
    )
    events = await listed(InventoryListing(client, manifest, bucket))
    assert [event.key for event in events] == ["a", ODD, "c"]
    assert events[0].event_time is not None
    assert (events[0].size, events[0].event_time.microsecond) == (1, 0)


async def test_an_inventory_of_many_rows_goes_on_behind_any_page(client: Any, bucket: str) -> None:
    rows = "".join(row(f"k{n:04}") for n in range(2500))
    listing = InventoryListing(client, await inventory(client, bucket, SCHEMA, rows, row("z")), bucket, "k")
    pages = [page async for page in listing.pages()]
    assert [len(page.events) for page in pages] == [1000, 1000, 500, 0]
    for number, page in enumerate(pages):
        rest = [event for later in pages[number + 1 :] for event in later.events]
        assert await listed(listing, page.position) == rest


async def test_an_inventory_and_a_listing_name_an_object_alike(client: Any, bucket: str) -> None:
    await put(client, bucket, "a")
    (event,) = await listed(BucketListing(client, bucket))
    assert event.event_time is not None
    time = event.event_time.strftime("%Y-%m-%dT%H:%M:%S.999Z")
    text = f'"{bucket}","a","1","{time}","{event.etag}"\n'
    manifest = await inventory(client, bucket, SCHEMA, text)
    (again,) = await listed(InventoryListing(client, manifest, bucket))
    assert event_id(again) == event_id(event)


async def test_an_inventory_with_versions_lists_the_current_ones(client: Any, bucket: str) -> None:
    await keep_versions(client, bucket)
    schema = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag"
    rows = row("a", "v2", "true", "false") + row("a", "v1", "false", "false") + row("b", "v3", "true", "true")
    events = await listed(InventoryListing(client, await inventory(client, bucket, schema, rows), bucket))
    assert [(event.key, event.version_id) for event in events] == [("a", "v2")]


@pytest.mark.parametrize(
    "members",
    [
        {"fileFormat": "ORC"},
        {"sourceBucket": "another"},
        {"fileSchema": "Bucket, Key"},
        {"files": None},
        {"destinationBucket": None},
    ],
    ids=str,
)
async def test_a_manifest_that_cannot_be_used_is_refused(client: Any, bucket: str, members: Any) -> None:
    manifest = await inventory(client, bucket, SCHEMA, row("a"), **members)
    with pytest.raises(ConfigurationError, match="inventory"):
        await listed(InventoryListing(client, manifest, bucket))


async def test_an_inventory_without_versions_of_a_bucket_that_has_them_is_refused(
    client: Any, bucket: str
) -> None:
    manifest = await inventory(client, bucket, SCHEMA, row("a"))
    await keep_versions(client, bucket)
    with pytest.raises(ConfigurationError, match="versions"):
        await listed(InventoryListing(client, manifest, bucket))


async def test_the_versions_of_a_key_come_newest_first_with_its_delete_markers(
    client: Any, bucket: str
) -> None:
    await keep_versions(client, bucket)
    await put(client, bucket, "a", body=b"1")
    await put(client, bucket, "a", body=b"22")
    await put(client, bucket, "ab")
    await client.delete_object(Bucket=bucket, Key="a")
    found = await versions_of(client, Location(bucket, "a"), most=10)
    assert (found[0].is_latest, found[0].is_delete_marker) == (True, True)
    assert sorted(one.event.size or 0 for one in found) == [0, 1, 2]
    assert {one.event.key for one in found} == {"a"}


async def test_of_a_plain_bucket_the_object_of_the_key_alone_is_told(client: Any, bucket: str) -> None:
    await put(client, bucket, "ab")
    assert await versions_of(client, Location(bucket, "a"), most=10) == []
    await put(client, bucket, "a")
    (found,) = await versions_of(client, Location(bucket, "a"), most=10)
    assert (found.event.key, found.is_latest, found.is_delete_marker) == ("a", True, False)
