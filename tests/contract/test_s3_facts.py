"""``S3Facts`` against two emulators: what S3 says of the object of an event."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from airflow_s3events.enrich import S3Facts
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import OutageError, RunRefusedError
from tests.contract.conftest import open_client
from tests.contract.test_s3 import ODD_KEYS

PARTS = ("tags", "head")


@pytest.fixture(params=["moto", "ministack"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    async with open_client(request.getfixturevalue(f"{request.param}_url"), "s3") as opened:
        yield opened


@pytest.fixture
async def bucket(client: Any) -> str:
    name = f"b-{uuid4().hex}"
    await client.create_bucket(Bucket=name)
    return name


async def versioned(client: Any, bucket: str) -> None:
    await client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


async def put(client: Any, bucket: str, key: str = "a.csv", body: bytes = b"1", **more: Any) -> ObjectEvent:
    answer = await client.put_object(Bucket=bucket, Key=key, Body=body, **more)
    return event(bucket, key, etag=answer["ETag"].strip('"'), version_id=answer.get("VersionId"))


def event(bucket: str, key: str = "a.csv", **more: Any) -> ObjectEvent:
    return ObjectEvent(
        event_name="ObjectCreated:Put",
        event_type="ObjectCreated:Put",
        bucket=bucket,
        key=key,
        envelope="s3-records",
        **more,
    )


async def test_a_head_says_type_class_metadata_and_that_it_is_the_events_object(
    client: Any, bucket: str
) -> None:
    made = await put(client, bucket, ContentType="text/csv", Metadata={"Owner": "me"})
    facts = await S3Facts(client).ask(made, "head")
    assert (facts.state, facts.content_type, facts.storage_class) == ("found", "text/csv", "STANDARD")
    assert facts.metadata == {"owner": "me"}
    assert facts.tags is None


async def test_a_head_says_storage_class_and_encryption(client: Any, bucket: str) -> None:
    how: dict[str, Any] = {"StorageClass": "STANDARD_IA", "ServerSideEncryption": "AES256"}
    facts = await S3Facts(client).ask(await put(client, bucket, **how), "head")
    assert (facts.storage_class, facts.encryption) == ("STANDARD_IA", "AES256")


async def test_the_tags_of_an_object_without_versions_may_be_those_of_a_later_one(
    client: Any, bucket: str
) -> None:
    made = await put(client, bucket, Tagging="class=gold&a%2Fb=")
    facts = await S3Facts(client).ask(made, "tags")
    assert (facts.state, facts.tags) == ("unverified", {"class": "gold", "a/b": ""})
    assert facts.with_(await S3Facts(client).ask(made, "head")).state == "found"


async def test_an_event_with_a_version_is_about_that_version(client: Any, bucket: str) -> None:
    await versioned(client, bucket)
    first = await put(client, bucket, Tagging="n=1", Metadata={"n": "1"})
    await put(client, bucket, body=b"2", Tagging="n=2", Metadata={"n": "2"})
    tags, head = [await S3Facts(client).ask(first, part) for part in PARTS]
    assert (tags.state, tags.tags) == ("found", {"n": "1"})
    assert (head.state, head.metadata, head.version_id) == ("found", {"n": "1"}, first.version_id)


async def test_an_object_that_was_overwritten_is_newer_than_the_event(client: Any, bucket: str) -> None:
    made = await put(client, bucket)
    await put(client, bucket, body=b"other")
    facts = await S3Facts(client).ask(made, "head")
    assert (facts.state, facts.content_type) == ("newer", None)


@pytest.mark.parametrize("part", PARTS)
async def test_an_object_that_was_deleted_is_gone(client: Any, bucket: str, part: str) -> None:
    made = await put(client, bucket)
    await client.delete_object(Bucket=bucket, Key="a.csv")
    assert (await S3Facts(client).ask(made, part)).state == "gone"


@pytest.mark.parametrize("part", PARTS)
async def test_a_version_under_a_delete_marker_is_there_until_it_is_deleted(
    client: Any, bucket: str, part: str, request: pytest.FixtureRequest
) -> None:
    if part == "tags" and "ministack" in request.node.callspec.id:
        pytest.skip("ministack does not find the tags of a version under a delete marker")
    await versioned(client, bucket)
    made = await put(client, bucket)
    await client.delete_object(Bucket=bucket, Key="a.csv")
    assert (await S3Facts(client).ask(made, part)).state == "found"
    await client.delete_object(Bucket=bucket, Key="a.csv", VersionId=made.version_id)
    assert (await S3Facts(client).ask(made, part)).state == "gone"


@pytest.mark.parametrize("part", PARTS)
async def test_objects_of_a_bucket_that_was_deleted_are_gone(client: Any, part: str) -> None:
    assert (await S3Facts(client).ask(event(f"none-{uuid4().hex}"), part)).state == "gone"


async def test_odd_keys_reach_s3_as_they_are(client: Any, bucket: str) -> None:
    for key in ODD_KEYS:
        made = await put(client, bucket, key, Tagging="n=1")
        assert (await S3Facts(client).ask(made, "tags")).tags == {"n": "1"}
        assert (await S3Facts(client).ask(made, "head")).state == "found"


class Refusing:
    """A client whose calls end in an answer that no emulator gives."""

    def __init__(self, code: str, status: int) -> None:
        self.error = {
            "Error": {"Code": code, "Message": "no"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }

    async def head_object(self, **_: Any) -> Any:
        from botocore.exceptions import ClientError

        raise ClientError(self.error, "Any")

    get_object_tagging = head_object


@pytest.mark.parametrize(
    ("part", "code", "right"),
    [("head", "403", "s3:ListBucket"), ("tags", "AccessDenied", "s3:GetObjectVersionTagging")],
)
async def test_a_missing_right_is_named_and_the_key_is_not(part: str, code: str, right: str) -> None:
    with pytest.raises(RunRefusedError) as caught:
        await S3Facts(Refusing(code, 403)).ask(event("inbox", "secret.csv"), part)
    assert right in str(caught.value)
    assert "bucket inbox" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_other_refusals_are_the_runs_too_and_throttling_is_an_outage() -> None:
    with pytest.raises(RunRefusedError, match="S3 refuses it"):
        await S3Facts(Refusing("400", 400)).ask(event("inbox"), "head")
    with pytest.raises(OutageError):
        await S3Facts(Refusing("SlowDown", 503)).ask(event("inbox"), "tags")
