"""Looks into a bucket until something can be said of an expectation. Knows no Airflow."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date
from typing import Any

from airflow_s3events.aws_clock import date_of
from airflow_s3events.aws_errors import translated
from airflow_s3events.events import ObjectEvent
from airflow_s3events.expectations import (
    MET,
    Expectation,
    Judged,
    LeastRate,
    day_of,
    literal_prefix,
    matching,
)
from airflow_s3events.looks import Location, object_event

_SETTINGS = {
    "AccessDenied": "aws_conn_id: its role needs s3:ListBucket on the bucket",
    "NoSuchBucket": "bucket_name: no such bucket",
    "InvalidBucketName": "bucket_name: not a bucket's name",
    "PermanentRedirect": "region_name: the bucket is in another region",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationWatch:
    """Looks at the expectations of one bucket.

    Attributes:
        client: An aiobotocore client for S3. It stays the caller's.
        bucket: Its name.
        expectations: What is expected.
        day: The day; None: of ``began``, in the zone of each.
        began: Seconds since the epoch at which the day, and a watch of rates, began.
        tolerance_seconds: So much later is still in time.
        watch_seconds: Rates are looked at for so long; 0: once.
        poke_seconds: Between two looks.
        clock: Seconds since the epoch, for where S3 does not say what its clock shows.
    """

    client: Any
    bucket: str
    expectations: Sequence[Expectation]
    day: date | None
    began: float
    tolerance_seconds: float
    watch_seconds: float
    poke_seconds: float
    clock: Callable[[], float]

    async def wait(self, left: Sequence[int], until: float) -> dict[int, Judged]:
        """Look until there is something to be said of one of ``left``; nothing when ``until`` is over.

        Raises:
            ConfigurationError: The bucket cannot be listed; names the setting.
            OutageError: S3 is away or throttling.
        """
        while True:
            found = await self.look(left)
            seconds = min(self.poke_seconds, until - self.clock())
            if found or seconds <= 0:
                return found
            await asyncio.sleep(seconds)

    async def look(self, left: Sequence[int]) -> dict[int, Judged]:
        """Look once; return what can be said of ``left``, by its number."""
        judged = {number: await self._judge(self.expectations[number]) for number in left}
        return {number: one for number, one in judged.items() if one is not None}

    async def _judge(self, rule: Expectation) -> Judged | None:
        day = self.day or day_of(self.began, rule.timezone)
        times: list[float] = []
        now = self.clock()
        for pattern in rule.patterns(day, now):
            now = await self._list(rule, pattern, day, times)
            if len(times) >= rule.count and not self._may_be_late(rule, day, times):
                break
        judged = rule.judge(day, now, times, self.tolerance_seconds)
        is_watched = isinstance(rule, LeastRate) and now < self.began + self.watch_seconds
        return None if judged is not None and judged.what == MET and is_watched else judged

    async def _list(self, rule: Expectation, pattern: str, day: date, times: list[float]) -> float:
        """Put the first times of what matches into ``times``; return what S3's clock shows."""
        wanted, now = matching([pattern]), self.clock()
        async with self._translated(pattern):
            request = {"Bucket": self.bucket, "Prefix": literal_prefix(pattern)}
            async for page in self.client.get_paginator("list_objects_v2").paginate(**request):
                now = date_of(page) or self.clock()
                start = rule.window(day, now)[0] - self.tolerance_seconds
                for event in self._events(page):
                    written = event.event_time.timestamp() if event.event_time else now
                    if written > start and wanted.matches(event):
                        insort(times, written)
                        del times[rule.count :]
                if len(times) >= rule.count and not self._may_be_late(rule, day, times):
                    return now
        return now

    def _may_be_late(self, rule: Expectation, day: date, times: Sequence[float]) -> bool:
        """Whether what else is listed could still be earlier, and so in time."""
        return times[rule.count - 1] > rule.window(day, 0.0)[1] + self.tolerance_seconds

    def _events(self, page: Mapping[str, Any]) -> list[ObjectEvent]:
        return [
            object_event(
                Location(self.bucket, entry["Key"]),
                size=entry.get("Size"),
                etag=None,
                modified=entry.get("LastModified"),
                envelope="s3-listing",
            )
            for entry in page.get("Contents", [])
        ]

    def _translated(self, pattern: str) -> AbstractAsyncContextManager[None]:
        what = f"ListObjectsV2 of s3://{self.bucket}/{literal_prefix(pattern)}"
        return translated(what, _SETTINGS, otherwise="S3 refuses it")
