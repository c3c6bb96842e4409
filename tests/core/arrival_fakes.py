"""A bucket in memory that answers the questions of a look, and what the arrivals' tests share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from airflow_s3events.arrivals import Awaited
from airflow_s3events.events import ObjectEvent
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

_MODIFIED = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)


class InMemoryBucket:
    """Contents by location, listed in pages of ``page_size``; remembers what it was asked."""

    def __init__(self, contents: Mapping[Location, bytes] | None = None, page_size: int = 1000) -> None:
        self.contents = dict(contents or {})
        self.page_size = page_size
        self.questions: list[Question] = []

    def put(self, *keys: str, bucket: str = "b", content: bytes = b"1") -> None:
        for key in keys:
            self.contents[Location(bucket, key)] = content

    def event(self, location: Location) -> ObjectEvent:
        return object_event(
            location, size=len(self.contents[location]), etag='"e"', modified=_MODIFIED, envelope="s3-object"
        )

    async def look(self, awaited: Awaited, first: Location | None = None) -> Seen:
        return self.seen(awaited, first)

    def seen(self, awaited: Awaited, first: Location | None = None) -> Seen:
        conversation = awaited.look(first)
        step = proceed(conversation, None)
        while not isinstance(step, Seen):
            self.questions.append(step)
            step = proceed(conversation, self._answer(step))
        return step

    def _answer(self, question: Question) -> Any:
        if isinstance(question, Page):
            return self._page(question)
        if question.location not in self.contents:
            return None
        event = self.event(question.location)
        return (event, self.contents[question.location]) if isinstance(question, Content) else event

    def _page(self, page: Page) -> Listed:
        start = int(page.token or 0)
        places = sorted(
            each for each in self.contents if each.bucket == page.bucket and each.key.startswith(page.prefix)
        )
        end = start + self.page_size
        events = tuple(self.event(each) for each in places[start:end])
        return Listed(events, str(end) if end < len(places) else None)


def heads(bucket: InMemoryBucket) -> list[str]:
    """Keys that were asked for one by one."""
    return [question.location.key for question in bucket.questions if isinstance(question, Head)]
