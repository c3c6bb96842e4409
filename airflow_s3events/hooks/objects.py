"""``EventObjectHook``: the object of an event, looked up, tagged, copied and deleted by its version."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from airflow_s3events.aws_errors import translating
from airflow_s3events.events import ObjectEvent

#: S3 copies no more in one call (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html).
MOST_COPIED_BYTES = 5 * 1024**3
PART_BYTES = 1024**3
_PARTS_AT_ONCE = 8
#: 405: the version is a delete marker.
_GONE = {"404", "405", "NoSuchKey", "NoSuchVersion", "NoSuchBucket", "MethodNotAllowed", "NotFound"}
_CHANGED = {"412", "PreconditionFailed"}
_RIGHTS = "aws_conn_id: its role may not do this; `s3events iam --for tag` (or quarantine) prints the policy"
_SETTINGS = {
    "403": _RIGHTS,
    "AccessDenied": f"{_RIGHTS}, or the object is locked",
    "NoSuchBucket": "quarantine_bucket: there is no such bucket",
    "InvalidTag": "tags: S3 does not take one of them",
}
#: Of the object's properties those that a copy in parts does not take over by itself.
_PROPERTIES = (
    "Metadata",
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
)


@dataclass(frozen=True, slots=True)
class Found:
    """What S3 has of an object.

    Attributes:
        version_id: By which it is addressed; None in a bucket that never had versions.
        etag: As S3 writes it, in quotes.
        size: Bytes.
        modified: When it was written.
        properties: Metadata, content type and the like.
    """

    version_id: str | None
    etag: str
    size: int
    modified: datetime
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_fixed(self) -> bool:
        """No upload can take its place: its version id names it alone."""
        return self.version_id not in (None, "null")


class EventObjectHook(S3Hook):
    """S3's calls on one version of one object."""

    def find(self, bucket: str, key: str, version_id: str | None = None) -> Found | None:
        """Return what S3 has; None where it is not there.

        Raises:
            ConfigurationError: S3 refuses to answer; names the setting.
            OutageError: S3 is away or throttling.
        """
        from botocore.exceptions import ClientError

        with _translated(f"HeadObject in bucket {bucket}"):
            try:
                head = self.get_conn().head_object(Bucket=bucket, Key=key, **_version(version_id))
            except ClientError as error:
                if _code(error) in _GONE:
                    return None
                raise
        properties = {name: head[name] for name in _PROPERTIES if head.get(name)}
        version = version_id or head.get("VersionId")
        return Found(version, head["ETag"], head["ContentLength"], head["LastModified"], properties)

    def tags(self, event: ObjectEvent, found: Found) -> dict[str, str]:
        """Return the object's tags."""
        with _translated(f"GetObjectTagging in bucket {event.bucket}"):
            answer = self.get_conn().get_object_tagging(**_address(event, found))
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    def put_tags(self, bucket: str, key: str, version_id: str | None, tags: Mapping[str, str]) -> None:
        """Replace the object's tags."""
        pairs = [{"Key": name, "Value": value} for name, value in tags.items()]
        with _translated(f"PutObjectTagging in bucket {bucket}"):
            self.get_conn().put_object_tagging(
                Bucket=bucket, Key=key, **_version(version_id), Tagging={"TagSet": pairs}
            )

    def copy_version(self, event: ObjectEvent, found: Found, to_bucket: str, to_key: str) -> bool:
        """Copy the object with its metadata; return False where its key was taken meanwhile.

        Tags go along up to 5 GiB: see ``copy_tags``. Above that it is copied in parts, side by side. What was
        killed leaves parts behind, which nobody sees and a lifecycle rule removes
        (AbortIncompleteMultipartUpload).
        """
        from boto3.s3.transfer import TransferConfig
        from botocore.exceptions import ClientError

        config = TransferConfig(
            multipart_threshold=MOST_COPIED_BYTES,
            multipart_chunksize=PART_BYTES,
            max_concurrency=_PARTS_AT_ONCE,
        )
        more = dict(found.properties) if found.size >= MOST_COPIED_BYTES else {}
        with _translated(f"CopyObject from bucket {event.bucket} to {to_bucket}"):
            try:
                self.get_conn().copy(
                    _address(event, found),
                    to_bucket,
                    to_key,
                    ExtraArgs={**more, "CopySourceIfMatch": found.etag},
                    Config=config,
                )
            except ClientError as error:
                if _code(error) in _CHANGED | (_GONE - {"NoSuchBucket"}):
                    return False
                raise
        return True

    def copy_tags(self, event: ObjectEvent, found: Found, to_bucket: str, to_key: str) -> None:
        """Put the object's tags on a copy that was made in parts, which takes none along."""
        if found.size >= MOST_COPIED_BYTES and (tags := self.tags(event, found)):
            self.put_tags(to_bucket, to_key, None, tags)

    def delete_version(self, event: ObjectEvent, found: Found) -> bool:
        """Delete this version for good; return False where another upload has taken its key meanwhile.

        Without a version id S3 deletes only what has this ETag (If-Match), where botocore knows that.
        """
        from botocore.exceptions import ClientError

        client = self.get_conn()
        members = client.meta.service_model.operation_model("DeleteObject").input_shape.members
        match = {} if found.is_fixed or "IfMatch" not in members else {"IfMatch": found.etag}
        with _translated(f"DeleteObject in bucket {event.bucket}"):
            try:
                client.delete_object(**_address(event, found), **match)
            except ClientError as error:
                if _code(error) in _CHANGED:
                    return False
                raise
        return True


def _version(version_id: str | None) -> dict[str, str]:
    return {} if version_id is None else {"VersionId": version_id}


def _address(event: ObjectEvent, found: Found) -> dict[str, str]:
    return {"Bucket": event.bucket, "Key": event.key, **_version(found.version_id)}


def _translated(what: str) -> AbstractContextManager[None]:
    return translating(what, _SETTINGS, otherwise="S3 refuses it")


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
