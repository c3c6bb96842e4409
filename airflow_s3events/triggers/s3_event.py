"""``S3EventTrigger``: waits, at no cost of a worker slot, until a queue has something to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import BaseTrigger, TriggerEvent
from airflow_s3events._compat.signs import sign_writer
from airflow_s3events._compat.stats import emitter
from airflow_s3events.exceptions import BodyError, ConfigurationError, OutageError
from airflow_s3events.outages import through_outages

if TYPE_CHECKING:
    from airflow_s3events.consumer.queue import Queue
    from airflow_s3events.messages import Message, QueueAttributes
    from airflow_s3events.metrics import Meter
    from airflow_s3events.reporting import Emit
    from airflow_s3events.sign_post import SignPost
    from airflow_s3events.sqs import SqsQueue

#: Form of the keyword arguments; rows stored by one version of the package are loaded by later ones.
_VERSION = 1
#: Seconds between two looks at the counts of a queue that must not be received from.
_COUNT_SECONDS = 2.0
#: Seconds of one long poll: SQS's longest, 180 receives an hour on an idle queue.
_WAIT_SECONDS = 20


class S3EventTrigger(BaseTrigger):
    """Long-polls a queue and fires when a message is there: a wake-up, and nothing else.

    The message is received with a visibility timeout of zero, so it is never held and nothing has to be given
    back: whatever kills the triggerer costs nothing but that receive. While messages are in flight, some of
    them may be put off (their DAG is missing, say), and each receive would bring those nearer to the dead
    letter queue: then it looks at the queue's counts every two seconds instead
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html; SQS
    calls them approximate). The event says only why it fired; Airflow logs and stores trigger events, so
    neither body nor receipt handle may be in one.

    Args:
        sqs_queue: URL, ARN or name of the queue.
        until: Seconds since the epoch at which to fire in any case, with reason ``deadline``.
        quiet_seconds: Fire no sooner than so long after the deferral, or Airflow can fail the task: see
            ``_compat.earliest_resume_seconds``.
        recheck_seconds: When given, do not ask the queue at all, and fire after so long with reason
            ``recheck``: for DAGs that are paused or full, where each receive would bring messages nearer to
            the dead letter queue for nothing.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.
        v: Version of this form.
    """

    def __init__(
        self,
        *,
        sqs_queue: str,
        until: float,
        quiet_seconds: float = 8.0,
        recheck_seconds: float | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        v: int = _VERSION,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sqs_queue = sqs_queue
        self.until = until
        self.quiet_seconds = quiet_seconds
        self.recheck_seconds = recheck_seconds
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.v = v

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and plain arguments from which any triggerer makes this trigger again."""
        names = ("sqs_queue", "until", "quiet_seconds", "recheck_seconds")
        aws = ("aws_conn_id", "region_name", "verify", "botocore_config")
        kwargs = {name: getattr(self, name) for name in (*names, *aws, "v")}
        return "airflow_s3events.triggers.s3_event.S3EventTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, ``{"reason": "messages" | "recheck" | "deadline"}``, and end."""
        earliest = time.monotonic() + self.quiet_seconds
        reason = await self._wait()
        await asyncio.sleep(max(0.0, earliest - time.monotonic()))
        yield TriggerEvent({"reason": reason})

    async def _wait(self) -> str:
        if self.recheck_seconds is not None:
            await asyncio.sleep(max(0.0, min(self.recheck_seconds, self.until - time.time())))
            return "recheck"
        from airflow_s3events.metrics import Meter
        from airflow_s3events.sign_post import SignPost

        meter = Meter(self.sqs_queue)
        write = sign_writer(getattr(self, "task_instance", None), "triggerer")
        async with SignPost(meter, write) as signs:
            poll = partial(self._poll, meter, signs)
            return await through_outages(poll, until=self.until, told=signs.met) or "deadline"

    async def _poll(self, meter: Meter, signs: SignPost) -> str:
        """Ask until a message is there or the deadline has come; a new client after each outage."""
        from airflow_s3events.hooks.s3_events import hook_for

        hook = hook_for(
            self.sqs_queue,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )
        emit = emitter("triggerer")
        async with _reported(emit, meter), hook.open_client() as client:
            queue = await hook.queue(client, self.sqs_queue)
            is_counting = False
            while (left := self.until - time.time()) > 0:
                counts = await _counts(queue, meter)
                # What was put off and has just come back is not received to wake either.
                is_counting = counts.in_flight > 0 or (is_counting and counts.waiting > 0)
                is_there = bool(counts.waiting) if is_counting else await _is_received(queue, left, meter)
                signs.is_well()
                if emit is not None:
                    _report(emit, meter, counts, is_there=is_there)
                if is_there:
                    return "messages"
                if is_counting:
                    await asyncio.sleep(min(_COUNT_SECONDS, left))
        return "deadline"


@asynccontextmanager
async def _reported(emit: Emit | None, meter: Meter) -> AsyncIterator[None]:
    """Send what was counted when an error ends it, too."""
    from airflow_s3events.reporting import send

    try:
        yield
    except (ConfigurationError, OutageError) as error:
        if isinstance(error, OutageError):
            meter.count("outages")
        if emit is not None:
            send(meter, emit)
        raise


async def _counts(queue: SqsQueue, meter: Meter) -> QueueAttributes:
    try:
        return await queue.describe()
    except Exception:
        meter.count("queue.failures")
        raise


async def _is_received(queue: Queue, left_seconds: float, meter: Meter) -> bool:
    """Long-poll once; what comes stays visible to all."""
    wait = max(1, min(_WAIT_SECONDS, int(left_seconds)))
    meter.count("receive.calls")
    try:
        messages = await queue.receive(max_messages=1, wait_seconds=wait, visibility_seconds=0)
    except Exception:
        meter.count("receive.failures")
        raise
    if not messages:
        meter.count("receive.empty")
    for message in messages:
        _note(meter, message)
    return bool(messages)


def _note(meter: Meter, message: Message) -> None:
    """Take the lag of what wakes: its first receive is this one, and no later one may count."""
    from airflow_s3events.envelopes import parse_body
    from airflow_s3events.observing import note_receive

    with suppress(BodyError):  # the task meets it again, and settles it
        for event in parse_body(message.body, message_id=message.delivery_id).events:
            note_receive(meter, event, message)


def _report(emit: Emit, meter: Meter, counts: QueueAttributes, *, is_there: bool) -> None:
    """Send what was measured: with the counts that were asked for anyway, no call more."""
    from airflow_s3events.reporting import note_queue, send

    note_queue(meter, counts)
    if is_there:
        meter.count("wake_ups")
    send(meter, emit)
