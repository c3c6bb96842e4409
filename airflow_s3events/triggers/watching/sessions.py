"""What every way of running a watcher shares: the watchers of a queue, and its opened stream of hauls."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Hashable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, fields
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat.stats import emitter
from airflow_s3events.preload import preload, uncollected
from airflow_s3events.trace_contexts import queue_name
from airflow_s3events.watchers import Watchers

if TYPE_CHECKING:
    from airflow_s3events.audit import AuditTrail
    from airflow_s3events.aws_clock import AwsClock
    from airflow_s3events.consumer import Consumer, ConsumerSettings
    from airflow_s3events.decision_log import DecisionLog
    from airflow_s3events.hauls import HaulStream, Unmatched
    from airflow_s3events.hooks.s3_events import S3EventsHook
    from airflow_s3events.messages import QueueAttributes
    from airflow_s3events.metrics import Meter
    from airflow_s3events.reporting import Reporter
    from airflow_s3events.sqs import SqsQueue

log = logging.getLogger(__name__)

#: Messages of one haul. Each watcher's share is cut into packs as small as it wants them.
_HAUL_COUNT = 1_000
_RECEIVERS = 4
#: Of the bodies in flight: 30,000 of two kilobytes.
_MOST_BYTES = 64 * 1024 * 1024
_STOP_SECONDS = 2.0
_CLOSE_SECONDS = 8.0
#: A redrive policy that allows fewer receives is warned about.
_FEW_RECEIVES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueArguments:
    """All that opening a queue and settling its messages depends on: watchers that agree on it share one."""

    sqs_queue: str
    dead_letter_queue: str | None
    unmatched: Unmatched
    visibility_seconds: int
    max_in_flight: int
    aws_conn_id: str | None
    region_name: str | None
    verify: bool | str | None
    #: As JSON text.
    botocore_config: str | None
    redact_keys: bool = False
    audit: str | None = None

    @classmethod
    def of(cls, kwargs: Mapping[str, Any]) -> QueueArguments:
        """Take them out of a trigger's arguments."""
        return cls(**{field.name: kwargs[field.name] for field in fields(cls) if field.name in kwargs})

    @property
    def key(self) -> Hashable:
        """What is equal for watchers that share a stream."""
        return "s3events", *(getattr(self, field.name) for field in fields(self))


@dataclass(slots=True)
class _Joined:
    watchers: Watchers
    at: float


#: Of this process, by key: triggers are made one by one and find each other here.
_WATCHERS: dict[Hashable, _Joined] = {}


def watchers_of(arguments: QueueArguments) -> Watchers:
    """Return the watchers of a queue in this process: one value for all who ask; asking is joining."""
    joined = _WATCHERS.setdefault(arguments.key, _Joined(Watchers(), 0.0))
    joined.at = time.monotonic()
    return joined.watchers


async def joined_for(watchers: Watchers, seconds: float) -> None:
    """Return when no watcher has joined for so long: what is received sooner would pass the late ones by."""
    joined = next(joined for joined in _WATCHERS.values() if joined.watchers is watchers)
    while (left := joined.at + seconds - time.monotonic()) > 0:  # noqa: ASYNC110 - others join meanwhile
        await asyncio.sleep(left)


async def open_haul_stream(
    stack: AsyncExitStack, arguments: QueueArguments, watchers: Watchers, clock: AwsClock
) -> HaulStream:
    """Open the queue and return its hauls; all of it ends with ``stack``, and ``clock`` is told of AWS's.

    Raises:
        ConfigurationError: The queue, or its dead letter queue, does not exist or may not be used.
        OutageError: SQS is away, or the clock of this machine is wrong: nothing is received then.
    """
    # On the loop this would hold up every trigger of the process for a second.
    await asyncio.to_thread(_load)
    from airflow_s3events.consumer import Consumer
    from airflow_s3events.decision_log import DecisionLog
    from airflow_s3events.hauls import HaulSettings, HaulStream
    from airflow_s3events.metrics import Meter

    hook = _hook(arguments)
    client = await stack.enter_async_context(hook.open_client())
    clock.listen(client)
    queue = await hook.queue(client, arguments.sqs_queue)
    attributes = await queue.describe()
    await _check(clock, queue)
    dead_letters = await _dead_letters(hook, client, arguments, attributes)
    settings = consumer_settings(arguments)
    lines = DecisionLog(queue=arguments.sqs_queue, redact_keys=arguments.redact_keys)
    consumer = Consumer(queue, settings, dead_letters=dead_letters, lines=lines)
    how = HaulSettings(unmatched=arguments.unmatched, max_receive_count=attributes.max_receive_count)
    stream = HaulStream(consumer, watchers, how, meter=Meter(arguments.sqs_queue), lines=lines)
    stream.ready = partial(_check, clock, queue)
    if arguments.audit is not None:
        trail = await stack.enter_async_context(_audit(arguments, stream.meter, lines))
        stream.audit = trail.note_message
    await stack.enter_async_context(_reporter(stream, consumer, queue))
    await stack.enter_async_context(consumer)
    stack.push_async_callback(stream.finish)
    return stream


def _hook(arguments: QueueArguments) -> S3EventsHook:
    from airflow_s3events.hooks.s3_events import hook_for

    return hook_for(
        arguments.sqs_queue,
        aws_conn_id=arguments.aws_conn_id,
        region_name=arguments.region_name,
        verify=arguments.verify,
        botocore_config=json.loads(arguments.botocore_config or "null"),
    )


async def _check(clock: AwsClock, queue: SqsQueue) -> None:
    if not clock.is_right():
        await queue.describe()
        clock.check()


def _audit(
    arguments: QueueArguments, meter: Meter, lines: DecisionLog
) -> AbstractAsyncContextManager[AuditTrail]:
    from airflow_s3events.hooks.audit import open_audit

    return open_audit(
        arguments.audit,
        sqs_queue=arguments.sqs_queue,
        # Several assets share the queue, and several triggerers.
        dispatcher=f"assets/{queue_name(arguments.sqs_queue)}",
        aws={
            "aws_conn_id": arguments.aws_conn_id,
            "region_name": arguments.region_name,
            "verify": arguments.verify,
            "botocore_config": json.loads(arguments.botocore_config or "null"),
        },
        meter=meter,
        lines=lines,
    )


def _reporter(stream: HaulStream, consumer: Consumer, queue: SqsQueue) -> Reporter:
    from airflow_s3events.reporting import HAULED, Reporter, note_consumer, note_outcomes

    def note() -> None:
        note_consumer(stream.meter, consumer)
        note_outcomes(stream.meter, stream.counts, HAULED)

    return Reporter(stream.meter, emitter("triggerer"), note=note, describe=queue.describe)


def consumer_settings(arguments: QueueArguments) -> ConsumerSettings:
    """Return how the queue is read: much at a time, since storing one asset event is what costs."""
    from airflow_s3events.consumer import ConsumerSettings

    return ConsumerSettings(
        receivers=_RECEIVERS,
        visibility_seconds=arguments.visibility_seconds,
        max_in_flight=arguments.max_in_flight,
        max_in_flight_bytes=_MOST_BYTES,
        batch_count=min(_HAUL_COUNT, arguments.max_in_flight),
        stop_seconds=_STOP_SECONDS,
        close_seconds=_CLOSE_SECONDS,
    )


@cache
def _load() -> None:
    """Load what opening a queue takes, once for each process.

    A pass of the collector over a whole triggerer takes a tenth of a second and stops the loop as well as
    this thread: none while we load, and none later over what is there by now.
    """
    with uncollected():
        from airflow.providers.amazon.aws.hooks import base_aws

        import airflow_s3events.hooks.s3_events  # noqa: F401 - loaded for whoever opens a queue

        # The provider's clients share what they have read of botocore's descriptions, in recent versions.
        preload(loader=getattr(base_aws, "_loader", None))


async def _dead_letters(
    hook: S3EventsHook, client: Any, arguments: QueueArguments, attributes: QueueAttributes
) -> SqsQueue | None:
    limit = attributes.max_receive_count
    if limit is not None and limit < _FEW_RECEIVES:
        log.warning(
            "maxReceiveCount=%d in the redrive policy of %s: set it to 20. A killed triggerer costs each"
            " message in flight one receive, and so does a triggerer that lacks the watcher it is for",
            limit,
            attributes.arn,
        )
    named = arguments.dead_letter_queue or attributes.dead_letter_arn
    if named is None:
        log.warning(
            "Queue %s has no dead letter queue: what cannot be read stays in it until its retention ends."
            " Give the queue a redrive policy, or set dead_letter_queue",
            attributes.arn,
        )
    return None if named is None else await hook.queue(client, named)
