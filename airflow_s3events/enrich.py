"""What S3 says of the objects of a batch of events: asked where a route wants to know, once for an event.

``Enricher`` decides what to ask: routes are matched with what is known, and only what keeps a route from
answering is asked, one part after the other. ``S3Facts`` makes the calls.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from airflow_s3events.aws_errors import translated
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import (
    BodyError,
    ConfigurationError,
    FactsNeededError,
    RouteError,
    RunRefusedError,
)
from airflow_s3events.facts import ObjectFacts, State
from airflow_s3events.identity import event_id
from airflow_s3events.messages import Message
from airflow_s3events.routing import Match, Route, RouteFailure, Routes

#: Calls at once: what botocore's pool of connections has by default.
CALLS_AT_ONCE = 10
#: Events whose answers are kept for a message that comes again soon: some megabytes at most.
KEPT_EVENTS = 1_000

#: S3 dates objects in whole seconds.
_ONE_SECOND = timedelta(seconds=1)
#: 405: the version is a delete marker. A head has no body, so its codes are the status alone.
_GONE = {"404", "405", "NoSuchKey", "NoSuchVersion", "NoSuchBucket", "MethodNotAllowed", "NotFound"}
_RIGHTS = {
    "head": "s3:GetObject on the object (of a version: s3:GetObjectVersion) and s3:ListBucket on the bucket;"
    " without the latter S3 answers 403 instead of 404 for what is not there",
    "tags": "s3:GetObjectTagging on the object (of a version: s3:GetObjectVersionTagging)",
}


class FactSource(Protocol):
    """Who answers for objects."""

    async def ask(self, event: ObjectEvent, part: str) -> ObjectFacts:
        """Return what S3 says of the event's object: ``part`` is ``"head"`` or ``"tags"``.

        Raises ``RouteError`` where S3 refuses to answer, ``OutageError`` where waiting helps.
        """
        ...


@dataclass(slots=True)
class Enricher:
    """Matches the events of a batch with routes, and asks S3 for what they need to know.

    Args:
        routes: Which DAG gets which event.
        source: Who answers for objects; None where no route asks.
        counts: Calls that were made: ``head``, ``tags``.
    """

    routes: Routes
    source: FactSource | None = None
    counts: Counter[str] = field(default_factory=Counter)
    _known: dict[str, tuple[ObjectFacts | None, Match]] = field(default_factory=dict)

    async def prepare(self, batch: Sequence[Message], ignore_before: datetime | None = None) -> None:
        """Ask all that the routes need to know about the events of ``batch``, ``CALLS_AT_ONCE`` at a time.

        Args:
            batch: What cannot be read in it is left to whoever settles it.
            ignore_before: Nothing is asked about older events: they start nothing.

        Raises:
            OutageError: S3 is away or throttling. What it has said is kept.
        """
        if not self.routes.asks:
            return
        self._forget()
        events = {event_id(event): event for event in events_in(batch, ignore_before)}
        seats = asyncio.Semaphore(CALLS_AT_ONCE)
        new = [(name, event) for name, event in events.items() if name not in self._known]
        done = await asyncio.gather(
            *(self._learn(name, event, seats) for name, event in new), return_exceptions=True
        )
        for result in done:
            if isinstance(result, BaseException):
                raise result

    def known(self, event: ObjectEvent) -> tuple[ObjectEvent, Match]:
        """Return an event of the batch with what S3 said of its object, and which routes want it, by that."""
        known = self._known.get(event_id(event)) if self.routes.asks else None
        if known is None:
            return event, self.routes.match(event)
        facts, match = known
        return event if facts is None else replace(event, facts=facts), match

    def match(self, event: ObjectEvent) -> Match:
        """Return which routes want an event of the batch: as ``Routes.match``, with all that was learnt."""
        return self.known(event)[1]

    def _forget(self) -> None:
        """Forget the oldest, and what may be answered otherwise when it is asked again."""
        kept = [(name, known) for name, known in self._known.items() if not known[1].errors]
        self._known = dict(kept[-KEPT_EVENTS:])

    async def _learn(self, name: str, event: ObjectEvent, seats: asyncio.Semaphore) -> None:
        refused: dict[str, RouteError] = {}
        match = self.routes.match(event)
        while (part := _needed(match, event, refused)) is not None:
            try:
                event = await self._ask(event, part, seats)
            except RouteError as error:
                refused[part] = error
            else:
                match = self.routes.match(event)
        self._known[name] = (event.facts, _without(match, refused))

    async def _ask(self, event: ObjectEvent, part: str, seats: asyncio.Semaphore) -> ObjectEvent:
        if event.is_removed:
            return replace(event, facts=ObjectFacts(state="gone", asked=()))
        if self.source is None:
            raise RouteError(f"a route needs the object's {part}, and nobody here asks S3")
        async with seats:
            self.counts[part] += 1
            answer = await self.source.ask(event, part)
        return replace(event, facts=answer if event.facts is None else event.facts.with_(answer))


def events_in(batch: Iterable[Message], ignore_before: datetime | None) -> list[ObjectEvent]:
    """Return the events of a batch, less those that are too old; what cannot be read has none."""
    events: list[ObjectEvent] = []
    for message in batch:
        with suppress(BodyError):
            events += parse_body(message.body, message_id=message.delivery_id).events
    return [event for event in events if not event.is_before(ignore_before)]


def _wishes(route: Route, event: ObjectEvent) -> list[str]:
    """Return what the route wants in its conf and the event does not have."""
    return [part for part in route.enrich if event.facts is None or not event.facts.has(part)]


def _needed(match: Match, event: ObjectEvent, refused: Mapping[str, RouteError]) -> str | None:
    """Return what to ask next."""
    asked = [failure.error.part for failure in match.errors if isinstance(failure.error, FactsNeededError)]
    asked += [part for route in match.routes for part in _wishes(route, event)]
    # Tags first: a head after them tells whether they are those of the event's object.
    return max((part for part in asked if part not in refused), default=None)


def _without(match: Match, refused: Mapping[str, RouteError]) -> Match:
    """Return the match, less the routes that S3 refused to tell enough for."""
    if not refused:
        return match
    errors = [RouteFailure(failure.route, _reason(failure.error, refused)) for failure in match.errors]
    routes = []
    for route in match.routes:
        reason = next((refused[part] for part in route.enrich if part in refused), None)
        if reason is None:
            routes.append(route)
        else:
            errors.append(RouteFailure(route, reason))
    return Match(tuple(routes), tuple(errors))


def _reason(error: RouteError, refused: Mapping[str, RouteError]) -> RouteError:
    return refused.get(error.part, error) if isinstance(error, FactsNeededError) else error


class S3Facts:
    """S3's answers, over an aiobotocore client of the caller's. Asks by version where the event has one.

    Args:
        client: An aiobotocore client for S3.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    async def ask(self, event: ObjectEvent, part: str) -> ObjectFacts:
        """See ``FactSource``.

        Raises:
            RunRefusedError: S3 refuses to answer; names the right that may be missing.
            OutageError: S3 is away or throttling.
        """
        if part == "head":
            return await self._told(event, part, "HeadObject", self._client.head_object, _facts_of_head)
        return await self._told(
            event, part, "GetObjectTagging", self._client.get_object_tagging, _facts_of_tags
        )

    async def _told(
        self,
        event: ObjectEvent,
        part: str,
        action: str,
        call: Callable[..., Awaitable[Mapping[str, Any]]],
        read: Callable[[ObjectEvent, Mapping[str, Any]], ObjectFacts],
    ) -> ObjectFacts:
        from botocore.exceptions import ClientError

        # The key is left out: it can be personal data, and this text reaches logs.
        what = f"{action} in bucket {event.bucket}"
        setting = f"aws_conn_id: its role may lack {_RIGHTS[part]}"
        request = {"Bucket": event.bucket, "Key": event.key}
        if event.version_id is not None:
            request["VersionId"] = event.version_id
        try:
            async with translated(what, {"403": setting, "AccessDenied": setting}, otherwise="S3 refuses it"):
                try:
                    return read(event, await call(**request))
                except ClientError as error:
                    if error.response["Error"]["Code"] in _GONE:
                        return ObjectFacts(state="gone", asked=(part,))
                    raise
        except ConfigurationError as error:
            raise RunRefusedError(str(error)) from error


def _facts_of_head(event: ObjectEvent, found: Mapping[str, Any]) -> ObjectFacts:
    state = state_of(event, etag=found.get("ETag"), modified=found.get("LastModified"))
    if state == "newer":
        return ObjectFacts(state=state, asked=("head",))
    return ObjectFacts(
        state=state,
        asked=("head",),
        version_id=found.get("VersionId"),
        content_type=found.get("ContentType"),
        # S3 names every class but this one.
        storage_class=found.get("StorageClass", "STANDARD"),
        encryption=found.get("ServerSideEncryption"),
        kms_key_id=found.get("SSEKMSKeyId"),
        metadata={name.lower(): value for name, value in found.get("Metadata", {}).items()},
    )


def _facts_of_tags(event: ObjectEvent, found: Mapping[str, Any]) -> ObjectFacts:
    return ObjectFacts(
        state="unverified" if event.version_id is None else "found",
        asked=("tags",),
        version_id=found.get("VersionId"),
        tags={tag["Key"]: tag["Value"] for tag in found["TagSet"]},
    )


def state_of(event: ObjectEvent, *, etag: str | None, modified: datetime | None) -> State:
    """Return whether what has the event's key now is the event's object.

    An event with a version was asked about by it. Else the ETag tells, and the time: S3 dates an object no
    later than the end of the request that made it, cut to seconds.
    """
    if event.version_id is not None:
        return "found"
    if None not in (event.event_time, modified) and modified - _ONE_SECOND > event.event_time:  # type: ignore[operator]
        return "newer"
    # An input transformer leaves an empty one where there was none.
    if not event.etag or etag is None:
        return "unverified"
    return "found" if event.etag.strip('"') == etag.strip('"') else "newer"
