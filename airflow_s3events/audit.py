"""``AuditTrail``: records of decisions on their way to a store, which nothing waits for.

Best effort, and never in silence: records wait in memory, go out together every few seconds, and are tried
again while the store is away. What does not fit in, or is left when the work ends, is lost, counted and said.
No message waits for its record, and no dispatcher stops for it. Where a call's answer is lost, its records
can be there twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol

from airflow_s3events.audit_records import AuditRecord, log_calls, object_key
from airflow_s3events.aws_errors import translated
from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.dispatch.starting import Outcome
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import BodyError, ConfigurationError
from airflow_s3events.holding import Ended, Waiting
from airflow_s3events.identity import event_id
from airflow_s3events.messages import Message
from airflow_s3events.metrics import Meter
from airflow_s3events.settlement import Disposition

#: Seconds between two writes, and so the age of what a kill takes along.
WRITE_SECONDS = 10.0
#: Records of one write.
_MOST_AT_ONCE = 1_000
#: Records that wait, at most: ten megabytes.
_MOST_WAITING = 10_000
#: What an end waits for its last writes: Airflow gives a task five seconds between SIGTERM and SIGKILL.
_END_SECONDS = 3.0

_SETTINGS = {
    "AccessDenied": "aws_conn_id: its role may not write there",
    "AccessDeniedException": "aws_conn_id: its role may not write there",
    "NoSuchBucket": "audit: there is no such bucket",
    "ResourceNotFoundException": "audit: there is no such log group",
}


class AuditStore(Protocol):
    """Where records go."""

    async def write(self, records: Sequence[AuditRecord]) -> None:
        """Write all of these; any error where it does not work."""


class AuditTrail:
    """Takes records down, and writes them in the background between ``async with`` and its end.

    Args:
        store: Where they go; None: nowhere.
        meter: Counts ``audit.written``, ``audit.lost`` and ``audit.failures``.
        lines: Says that the store is away, and what was lost.
        queue: Of the records.
        dispatcher: Of the records: ``dag_id/task_id``.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        store: AuditStore | None,
        meter: Meter,
        lines: DecisionLog,
        *,
        queue: str,
        dispatcher: str,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._queue = queue
        self._dispatcher = dispatcher
        self._now = now
        self._meter = meter
        self._lines = lines
        self._waiting: deque[AuditRecord] = deque()
        self._lost = 0
        self._task: asyncio.Task[None] | None = None

    def note_outcomes(self, message: Message, outcomes: Sequence[Outcome]) -> None:
        """Take down what was decided about each event of a message."""
        if self._store is None:
            return
        for outcome in outcomes:
            run = outcome.created or outcome.run
            run_id = None if run is None else run[1]
            ended = Ended(outcome.what, outcome.disposition, outcome.reason)
            self._note(outcome.event, (outcome.dag_id, run_id), ended, message)

    def note_ended(self, waiting: Waiting, ended: Ended) -> None:
        """Take down what became of a message that was held for its runs: a record for each of them."""
        if self._store is None:
            return
        events = _events_of(waiting.message)
        for run in waiting.runs or (("", None),):
            self._note(_event_of_run(events, run[1]), run, ended, waiting.message)

    def note_batch(self, dag_id: str, run_id: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Take down that a batch run with these events is stored."""
        if self._store is None:
            return
        ended = Ended("batched", Disposition.ACKNOWLEDGE)
        for data in events:
            self._note(ObjectEvent.deserialize(data), (dag_id, run_id), ended)

    def note_message(self, message: Message, ended: Ended) -> None:
        """Take down what became of each event of a message for which no run is made here: of assets."""
        if self._store is None:
            return
        for event in _events_of(message) or (None,):
            self._note(event, ("", None), ended, message)

    def _note(
        self,
        event: ObjectEvent | None,
        run: tuple[str, str | None],
        ended: Ended,
        message: Message | None = None,
    ) -> None:
        self.note(
            AuditRecord(
                at=self._now(),
                queue=self._queue,
                dispatcher=self._dispatcher,
                event=event,
                dag_id=run[0],
                run_id=run[1],
                outcome=ended.what,
                disposition=ended.disposition.name.lower(),
                reason=ended.reason,
                message_id="" if message is None else message.message_id,
                receives=0 if message is None else message.receive_count,
            )
        )

    def note(self, record: AuditRecord) -> None:
        """Take a record down; the oldest goes where there is no room."""
        self._waiting.append(record)
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popleft()
            self._lose(1, "the store has been away for too long")

    async def __aenter__(self) -> AuditTrail:
        if self._store is not None:
            self._task = asyncio.ensure_future(self._run(self._store))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is None or self._store is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        ending = asyncio.ensure_future(self._write_all(self._store))
        await asyncio.wait([ending], timeout=_END_SECONDS)
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        if self._waiting:
            self._lose(len(self._waiting), "the work ended while the store was away")
            self._waiting.clear()

    async def _run(self, store: AuditStore) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self._write_all(store)

    async def _write_all(self, store: AuditStore) -> None:
        """Write what waits, until nothing does or the store is away."""
        while self._waiting:
            some = [self._waiting[place] for place in range(min(len(self._waiting), _MOST_AT_ONCE))]
            try:
                await store.write(some)
            except Exception as error:
                # Whatever it is: the next round tries again, and nothing else stops.
                self._meter.count("audit.failures")
                self._lines.note("audit", outcome="away", waiting=len(self._waiting), reason=str(error))
                return
            for record in some:
                self._meter.count("audit.written")
                # Where there was no room meanwhile, some of them are gone already.
                if self._waiting and self._waiting[0] is record:
                    self._waiting.popleft()

    def _lose(self, count: int, reason: str) -> None:
        self._lost += count
        for _ in range(count):
            self._meter.count("audit.lost")
        self._lines.note("audit", outcome="lost", lost=self._lost, reason=reason)


def _events_of(message: Message) -> Sequence[ObjectEvent]:
    try:
        return parse_body(message.body, message_id=message.delivery_id).events
    except BodyError:
        return ()


def _event_of_run(events: Sequence[ObjectEvent], run_id: str | None) -> ObjectEvent | None:
    """Return the event of a run: the message's only one, or the one that the run is named by."""
    if len(events) == 1:
        return events[0]
    return next((event for event in events if event_id(event) in (run_id or "")), None)


class S3AuditStore:
    """JSON lines as objects of a bucket, each write one object.

    Args:
        client: An aiobotocore client of S3.
        bucket: Its name.
        prefix: Of the keys.
    """

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix

    async def write(self, records: Sequence[AuditRecord]) -> None:
        """See ``AuditStore``."""
        body = "".join(f"{record.line()}\n" for record in records).encode()
        key = object_key(self._prefix, records)
        async with translated(f"PutObject of the audit to {self._bucket}", _SETTINGS, otherwise="audit"):
            await self._client.put_object(
                Bucket=self._bucket, Key=key, Body=body, ContentType="application/x-ndjson"
            )


class LogsAuditStore:
    """Log events of a group of CloudWatch Logs, in a stream of the dispatcher's own.

    Args:
        client: An aiobotocore client of CloudWatch Logs.
        group: Name of the log group, which must exist.
        stream: Name of the stream, which is made.
    """

    def __init__(self, client: Any, group: str, stream: str) -> None:
        self._client, self._group, self._stream = client, group, stream
        self._is_made = False

    async def write(self, records: Sequence[AuditRecord]) -> None:
        """See ``AuditStore``."""
        async with translated(f"PutLogEvents to {self._group}", _SETTINGS, otherwise="audit"):
            await self._make()
            for call in log_calls(records):
                answer = await self._client.put_log_events(
                    logGroupName=self._group, logStreamName=self._stream, logEvents=call
                )
                if rejected := answer.get("rejectedLogEventsInfo"):
                    raise ConfigurationError(f"a clock is wrong: CloudWatch Logs rejects {rejected}")

    async def _make(self) -> None:
        if self._is_made:
            return
        # There is one where an earlier task of the dispatcher has made it.
        with suppress(self._client.exceptions.ResourceAlreadyExistsException):
            await self._client.create_log_stream(logGroupName=self._group, logStreamName=self._stream)
        self._is_made = True
