"""What is in a bucket now, page by page: its objects, its current versions, or an S3 Inventory report.

Each page says where the next one begins, so that a listing that was killed goes on where it was. No more than
a page is in memory.
"""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal, Protocol
from urllib.parse import unquote_plus

from airflow_s3events.aws_errors import translated
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.looks import LISTED, SCHEME, Location, object_event

#: Keys of one page: S3's most (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html).
PAGE_KEYS = 1000
_CHUNK_BYTES = 256 * 1024
_INVENTORY_FIELDS = ("Key", "LastModifiedDate", "ETag", "Size")

Position = dict[str, Any]

_SETTINGS = {
    "AccessDenied": (
        "aws_conn_id: its role needs s3:ListBucket, s3:ListBucketVersions and s3:GetBucketVersioning on the"
        " bucket, and s3:GetObject on an inventory"
    ),
    "NoSuchBucket": "bucket_name: no such bucket",
    "NoSuchKey": "inventory: no such object",
    "InvalidBucketName": "bucket_name: not a bucket's name",
    "PermanentRedirect": "region_name: the bucket is in another region",
}


@dataclass(frozen=True, slots=True)
class ListedPage:
    """Some objects, in order, and where the listing goes on after them."""

    events: tuple[ObjectEvent, ...]
    position: Position


class Listing(Protocol):
    """A listing that can be entered at any of its positions."""

    def pages(self, after: Position | None = None) -> AsyncIterator[ListedPage]:
        """Yield the pages behind ``after``, which an earlier page gave; from the beginning for None."""
        ...


class BucketListing:
    """The objects under a prefix; of a bucket with versions, the current version of each.

    Only ListObjectVersions knows version ids, by which notifications of such a bucket name what was written.
    So S3 is asked for the bucket's versioning first. Delete markers are no objects and are passed over.

    Args:
        client: An aiobotocore client for S3. It stays the caller's.
        bucket: Its name.
        prefix: Only keys that begin with it.
    """

    def __init__(self, client: Any, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    async def pages(self, after: Position | None = None) -> AsyncIterator[ListedPage]:
        """Yield pages of up to 1,000 objects.

        Raises:
            ConfigurationError: The bucket cannot be listed; names the setting.
            OutageError: S3 is away or throttling.
        """
        request: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._prefix}
        key = (after or {}).get("key")
        if await is_versioned(self._client, self._bucket):
            name, marker, read = "list_object_versions", "KeyMarker", self._versions
        else:
            name, marker, read = "list_objects_v2", "StartAfter", self._objects
        if key is not None:
            request[marker] = key
        async with _translated(f"{name} of {SCHEME}{self._bucket}/{self._prefix}"):
            async for page in self._client.get_paginator(name).paginate(**request):
                events, last = read(page)
                if last is not None:
                    yield ListedPage(events, {"key": last})

    def _objects(self, page: Mapping[str, Any]) -> tuple[tuple[ObjectEvent, ...], str | None]:
        contents = page.get("Contents", [])
        events = tuple(self._event(entry) for entry in contents)
        return events, contents[-1]["Key"] if contents else None

    def _versions(self, page: Mapping[str, Any]) -> tuple[tuple[ObjectEvent, ...], str | None]:
        versions, markers = page.get("Versions", []), page.get("DeleteMarkers", [])
        events = tuple(self._event(entry) for entry in versions if entry["IsLatest"])
        # The current version of a key comes first: one whose page ends amid its versions has been seen.
        keys = [entry["Key"].encode() for entry in (*versions, *markers)]
        return events, max(keys).decode() if keys else None

    def _event(self, entry: Mapping[str, Any]) -> ObjectEvent:
        return _listed(
            Location(self._bucket, entry["Key"]),
            size=entry.get("Size"),
            etag=entry.get("ETag"),
            modified=entry.get("LastModified"),
            version_id=entry.get("VersionId"),
        )


class InventoryListing:
    """The objects of an S3 Inventory report in CSV, by its ``manifest.json``.

    For buckets of many millions, where listing takes hours. The report is as old as its making: up to a day
    or a week. Of a bucket with versions it must have been made with the fields VersionId, IsLatest and
    IsDeleteMarker (https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html).

    Args:
        client: An aiobotocore client for S3. It stays the caller's.
        manifest: Its ``s3://`` URL.
        bucket: The bucket that it must be of.
        prefix: Only keys that begin with it.
    """

    def __init__(self, client: Any, manifest: str, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._manifest = manifest
        self._bucket = bucket
        self._prefix = prefix

    async def pages(self, after: Position | None = None) -> AsyncIterator[ListedPage]:
        """Yield pages of up to 1,000 objects.

        Raises:
            ConfigurationError: The manifest is not one, is of another bucket or lacks a field; says which.
            OutageError: S3 is away or throttling.
        """
        report = await self._read_manifest()
        begin = after or {"file": 0, "row": 0}
        for number, location in enumerate(report.files):
            if number >= begin["file"]:
                skip = begin["row"] if number == begin["file"] else 0
                async for page in self._file_pages(location, report.columns, number, skip):
                    yield page

    async def _read_manifest(self) -> _Inventory:
        bucket, _, key = self._manifest.removeprefix(SCHEME).partition("/")
        async with _translated(f"GetObject of {self._manifest}"):
            answer = await self._client.get_object(Bucket=bucket, Key=key)
            async with answer["Body"] as body:
                content = await body.read()
        try:
            report = _inventory(json.loads(content))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ConfigurationError(f"inventory: {self._manifest} is no manifest.json: {error!r}") from error
        if report.bucket != self._bucket:
            raise ConfigurationError(f"inventory: it is of bucket {report.bucket}, not of {self._bucket}")
        if "VersionId" not in report.columns and await is_versioned(self._client, self._bucket):
            raise ConfigurationError(
                f"inventory: bucket {self._bucket} has versions; make a report of all of them, with VersionId"
            )
        return report

    async def _file_pages(
        self, location: Location, columns: Sequence[str], number: int, skip: int
    ) -> AsyncIterator[ListedPage]:
        events: list[ObjectEvent] = []
        row_number = 0
        async for row in self._rows(location):
            row_number += 1
            if row_number <= skip:
                continue
            event = self._event(dict(zip(columns, row, strict=True)))
            if event is not None:
                events.append(event)
            if row_number % PAGE_KEYS == 0:
                yield ListedPage(tuple(events), {"file": number, "row": row_number})
                events = []
        yield ListedPage(tuple(events), {"file": number + 1, "row": 0})

    async def _rows(self, location: Location) -> AsyncIterator[list[str]]:
        """Unpack as it comes: a file of a report has hundreds of megabytes."""
        unpacker = zlib.decompressobj(wbits=31)
        rest = b""
        async with _translated(f"GetObject of {location.uri}"):
            answer = await self._client.get_object(Bucket=location.bucket, Key=location.key)
            async with answer["Body"] as body:
                while packed := await body.read(_CHUNK_BYTES):
                    *lines, rest = (rest + unpacker.decompress(packed)).split(b"\n")
                    for row in csv.reader(line.decode() for line in lines):
                        yield row
        if rest := rest + unpacker.flush():
            for row in csv.reader([rest.decode()]):
                yield row

    def _event(self, row: Mapping[str, str]) -> ObjectEvent | None:
        # Keys are encoded as in notifications, and so need no quoting of line breaks.
        key = unquote_plus(row["Key"])
        is_object = row.get("IsLatest", "true") == "true" and row.get("IsDeleteMarker", "false") != "true"
        if not is_object or not key.startswith(self._prefix):
            return None
        return _listed(
            Location(self._bucket, key),
            size=int(row["Size"] or 0),
            etag=row["ETag"],
            modified=datetime.fromisoformat(row["LastModifiedDate"].replace("Z", "+00:00")),
            version_id=row.get("VersionId") or None,
        )


@dataclass(frozen=True, slots=True)
class _Inventory:
    """What a manifest says of its report."""

    bucket: str
    columns: tuple[str, ...]
    files: tuple[Location, ...]


def _inventory(manifest: Mapping[str, Any]) -> _Inventory:
    if manifest["fileFormat"] != "CSV":
        raise ConfigurationError(f"inventory: its format is {manifest['fileFormat']}; make it in CSV")
    columns = tuple(name.strip() for name in manifest["fileSchema"].split(","))
    lacking = [name for name in _INVENTORY_FIELDS if name not in columns]
    if lacking:
        raise ConfigurationError(f"inventory: it lacks {', '.join(lacking)}; make it with these fields")
    where = manifest["destinationBucket"].rpartition(":")[2]
    files = tuple(Location(where, file["key"]) for file in manifest["files"])
    return _Inventory(manifest["sourceBucket"], columns, files)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVersion:
    """One version of one object as S3 has it, or a delete marker."""

    event: ObjectEvent
    is_latest: bool = True
    is_delete_marker: bool = False


async def versions_of(client: Any, location: Location, *, most: int) -> list[StoredVersion]:
    """Return what S3 has under one key, the newest first, at most ``most``; of a plain bucket the object.

    Raises:
        ConfigurationError: The bucket cannot be listed; names the setting.
        OutageError: S3 is away or throttling.
    """
    bucket, key = location
    if not await is_versioned(client, bucket):
        async with _translated(f"list_objects_v2 of {location.uri}"):
            page = await client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
        # The key itself comes before all that it is the beginning of.
        return [_version(location, entry) for entry in page.get("Contents", []) if entry["Key"] == key]
    async with _translated(f"list_object_versions of {location.uri}"):
        page = await client.list_object_versions(Bucket=bucket, Prefix=key, MaxKeys=most)
    found = [_version(location, entry) for entry in page.get("Versions", []) if entry["Key"] == key]
    found += [
        _version(location, entry, is_delete_marker=True)
        for entry in page.get("DeleteMarkers", [])
        if entry["Key"] == key
    ]
    return sorted(found, key=_age)


def _age(version: StoredVersion) -> tuple[bool, float]:
    time = version.event.event_time
    return not version.is_latest, 0.0 if time is None else -time.timestamp()


def _version(
    location: Location, entry: Mapping[str, Any], *, is_delete_marker: bool = False
) -> StoredVersion:
    event = _listed(
        location,
        size=entry.get("Size"),
        etag=entry.get("ETag"),
        modified=entry.get("LastModified"),
        version_id=entry.get("VersionId"),
    )
    is_latest = bool(entry.get("IsLatest", True))
    return StoredVersion(event=event, is_latest=is_latest, is_delete_marker=is_delete_marker)


async def is_versioned(client: Any, bucket: str) -> bool:
    """Whether the bucket has or had versions."""
    async with _translated(f"GetBucketVersioning of {bucket}"):
        status: Literal["Enabled", "Suspended"] | None = (
            await client.get_bucket_versioning(Bucket=bucket)
        ).get("Status")
    return status is not None


def _listed(location: Location, *, modified: datetime | None, **members: Any) -> ObjectEvent:
    """Whole seconds, as most listings have them: so that the same object has one identity in all of them."""
    time = None if modified is None else modified.astimezone(timezone.utc).replace(microsecond=0)
    return object_event(location, modified=time, envelope=LISTED, **members)


def _translated(what: str) -> AbstractAsyncContextManager[None]:
    return translated(what, _SETTINGS, otherwise="S3 refuses it")
