"""``S3Bucket``: S3's answers to the questions of a look, over an aiobotocore client of the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from airflow_s3events.arrivals import Awaited
from airflow_s3events.aws_errors import translated
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.looks import (
    Content,
    Head,
    Listed,
    Location,
    Page,
    Question,
    Seen,
    object_event,
    proceed,
)
from airflow_s3events.manifests import MAX_MANIFEST_BYTES

_FORBIDDEN = (
    "aws_conn_id: its role needs s3:GetObject on the object and s3:ListBucket on the bucket; without the"
    " latter S3 answers 403 instead of 404 for what is not there"
)
_REGION = "region_name: the bucket is in another region"
#: AWS's error code to the setting that cures it. A head has no body, so its codes are the status alone
#: (https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html).
_SETTINGS = {
    "403": _FORBIDDEN,
    "AccessDenied": _FORBIDDEN,
    "NoSuchBucket": "bucket_name: no such bucket",
    "InvalidBucketName": "bucket_name: not a bucket's name",
    "301": _REGION,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "InvalidAccessKeyId": "aws_conn_id: AWS does not know this access key",
    "SignatureDoesNotMatch": "aws_conn_id: the secret key does not fit the access key",
    "KeyTooLongError": "bucket_key: longer than S3's 1,024 bytes",
}
_ABSENT = {"404", "NoSuchKey", "NotFound"}


class S3Bucket:
    """S3 as a look asks it: heads, contents and pages of listings, of any bucket.

    Needs aiobotocore 2.14 or later. The client stays the caller's. Each answer raises ``OutageError`` where
    waiting helps and ``ConfigurationError`` where a setting is wrong.

    Args:
        client: An aiobotocore client for S3.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    async def look(self, awaited: Awaited, first: Location | None = None) -> Seen:
        """Hold the conversation of one look: one call for each question."""
        conversation = awaited.look(first)
        step = proceed(conversation, None)
        while not isinstance(step, Seen):
            step = proceed(conversation, await self.answer(step))
        return step

    async def answer(self, question: Question) -> Any:
        """Return S3's answer, in the form that the question says."""
        if isinstance(question, Head):
            return await self._head(question.location)
        if isinstance(question, Content):
            return await self._content(question.location)
        return await self._page(question)

    async def _head(self, location: Location) -> ObjectEvent | None:
        found = await self._object("head_object", "HeadObject", location)
        return None if found is None else _event_of(location, found)

    async def _content(self, location: Location) -> tuple[ObjectEvent, bytes] | None:
        found = await self._object("get_object", "GetObject", location)
        if found is None:
            return None
        if found["ContentLength"] > MAX_MANIFEST_BYTES:
            found["Body"].close()
            raise ConfigurationError(
                f"manifest_key: {location.uri} has more than {MAX_MANIFEST_BYTES:,} bytes"
            )
        async with _translated(f"GetObject of {location.uri}"), found["Body"] as body:
            return _event_of(location, found), await body.read()

    async def _object(self, method: str, action: str, location: Location) -> Mapping[str, Any] | None:
        from botocore.exceptions import ClientError

        async with _translated(f"{action} of {location.uri}"):
            try:
                answer: Mapping[str, Any] = await getattr(self._client, method)(
                    Bucket=location.bucket, Key=location.key
                )
            except ClientError as error:
                if error.response["Error"]["Code"] in _ABSENT:
                    return None
                raise
        return answer

    async def _page(self, page: Page) -> Listed:
        request = {"Bucket": page.bucket, "Prefix": page.prefix}
        if page.token is not None:
            request["ContinuationToken"] = page.token
        async with _translated(f"ListObjectsV2 of {Location(page.bucket, page.prefix).uri}"):
            answer = await self._client.list_objects_v2(**request)
        events = [_listed_event(page.bucket, entry) for entry in answer.get("Contents", [])]
        return Listed(tuple(events), answer.get("NextContinuationToken"))


def _translated(what: str) -> AbstractAsyncContextManager[None]:
    return translated(what, _SETTINGS, otherwise="S3 refuses it")


def _event_of(location: Location, found: Mapping[str, Any]) -> ObjectEvent:
    return object_event(
        location,
        size=found.get("ContentLength"),
        etag=found.get("ETag"),
        modified=found.get("LastModified"),
        version_id=found.get("VersionId"),
        envelope="s3-object",
    )


def _listed_event(bucket: str, entry: Mapping[str, Any]) -> ObjectEvent:
    return object_event(
        Location(bucket, entry["Key"]),
        size=entry.get("Size"),
        etag=entry.get("ETag"),
        modified=entry.get("LastModified"),
        envelope="s3-listing",
    )
