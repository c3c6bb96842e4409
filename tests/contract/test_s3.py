"""``S3Bucket`` against two emulators: the answers that looks are made of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from airflow_s3events.arrivals import Keys, Manifest, Marker, Objects
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.looks import Content, Head, Location, Page
from airflow_s3events.s3 import S3Bucket
from tests.contract.conftest import open_client

#: Keys that some step between here and S3 might decode, encode or cut.
ODD_KEYS = ("a b+c%2Bd=e&f?g#h.txt", "../../etc/passwd", "日本/Grüße 🎉.csv", "x" * 1024)


@pytest.fixture(params=["moto", "ministack"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    async with open_client(request.getfixturevalue(f"{request.param}_url"), "s3") as opened:
        yield opened


@pytest.fixture
async def bucket(client: Any) -> str:
    name = f"b-{uuid4().hex}"
    await client.create_bucket(Bucket=name)
    return name


async def put(client: Any, bucket: str, *keys: str, body: bytes = b"12345") -> None:
    for key in keys:
        await client.put_object(Bucket=bucket, Key=key, Body=body)


async def test_a_head_says_what_the_object_is(client: Any, bucket: str) -> None:
    await client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put_answer = await client.put_object(Bucket=bucket, Key="a.csv", Body=b"12345")
    event = await S3Bucket(client).answer(Head(Location(bucket, "a.csv")))
    assert (event.bucket, event.key, event.size) == (bucket, "a.csv", 5)
    assert (event.version_id, event.etag) == (put_answer["VersionId"], put_answer["ETag"].strip('"'))
    assert event.event_time.tzinfo is not None


async def test_a_page_says_the_same_of_an_object_but_its_version(client: Any, bucket: str) -> None:
    await put(client, bucket, "a.csv")
    head = await S3Bucket(client).answer(Head(Location(bucket, "a.csv")))
    (listed,) = (await S3Bucket(client).answer(Page(bucket, "a"))).events
    for member in ("event_type", "key", "size", "etag"):
        assert getattr(listed, member) == getattr(head, member)


async def test_what_is_not_there_is_none(client: Any, bucket: str) -> None:
    for question in (Head(Location(bucket, "none")), Content(Location(bucket, "none"))):
        assert await S3Bucket(client).answer(question) is None


async def test_an_object_under_a_delete_marker_is_not_there(client: Any, bucket: str) -> None:
    await client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    await put(client, bucket, "a")
    await client.delete_object(Bucket=bucket, Key="a")
    assert await S3Bucket(client).answer(Head(Location(bucket, "a"))) is None
    assert (await S3Bucket(client).answer(Page(bucket, ""))).events == ()


async def test_odd_keys_are_found_one_by_one_and_in_a_listing(client: Any, bucket: str) -> None:
    await put(client, bucket, *ODD_KEYS)
    looks = Keys(tuple(Location(bucket, key) for key in ODD_KEYS)), Objects(bucket, count=len(ODD_KEYS))
    for what in looks:
        seen = await S3Bucket(client).look(what)
        assert {event.key for event in seen.events} == set(ODD_KEYS)


async def test_a_listing_of_several_pages_is_read_to_its_end(client: Any, bucket: str) -> None:
    keys = [f"in/{number:04}" for number in range(1001)]
    await put(client, bucket, *keys)
    seen = await S3Bucket(client).look(Objects(bucket, "in/", len(keys)))
    assert [event.key for event in seen.events] == keys
    assert not (await S3Bucket(client).look(Objects(bucket, "in/", len(keys) + 1))).has_arrived


async def test_a_marker_and_a_manifest_come_with_their_parts(client: Any, bucket: str) -> None:
    await put(client, bucket, "out/b", "out/a", "out/_SUCCESS")
    await put(client, bucket, "m", body=f"out/b\ns3://{bucket}/out/a".encode())
    marker = await S3Bucket(client).look(Marker(Location(bucket, "out/_SUCCESS")))
    manifest = await S3Bucket(client).look(Manifest(Location(bucket, "m")))
    assert [event.key for event in marker.events] == ["out/_SUCCESS", "out/a", "out/b"]
    assert [event.key for event in manifest.events] == ["m", "out/b", "out/a"]


async def test_a_bucket_that_does_not_exist_is_named_by_a_listing(client: Any) -> None:
    with pytest.raises(ConfigurationError, match="bucket_name"):
        await S3Bucket(client).answer(Page(f"none-{uuid4().hex}", ""))
