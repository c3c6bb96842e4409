"""``S3ArrivalTrigger``: waits until objects are there, at no cost of a worker slot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import BaseTrigger, TriggerEvent
from airflow_s3events.outages import through_outages

if TYPE_CHECKING:
    from airflow_s3events.arrivals import Awaited
    from airflow_s3events.looks import Seen
    from airflow_s3events.wake_ups import Consume, WakeUp

#: Form of the keyword arguments; rows stored by one version of the package are loaded by later ones.
_VERSION = 1


class S3ArrivalTrigger(BaseTrigger):
    """Looks into the bucket until all has come, woken by a queue where there is one; for ``S3EventSensor``.

    It looks at once, at each wake-up and every ``poke_seconds``: so a message that came before it or went to
    somebody else costs time, never the answer. It fires only when all is there or time is up; an object that
    is not awaited, or the first of three, starts no task. The event says only why it fired: Airflow logs
    and stores trigger events. What was found is asked again on the worker.

    Args:
        awaited: What ``Awaited.serialize`` gave.
        until: Seconds since the epoch at which to fire in any case, with reason ``deadline``.
        quiet_seconds: Fire no sooner than so long after the deferral, or Airflow can fail the task: see
            ``_compat.earliest_resume_seconds``.
        poke_seconds: Seconds between two looks when nothing wakes it.
        sqs_queue: URL, ARN or name of the queue that wakes it; None: nothing does.
        consume: Which messages of the queue it deletes, as for ``S3EventSensor``.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.
        v: Version of this form.
    """

    def __init__(
        self,
        *,
        awaited: dict[str, Any],
        until: float,
        quiet_seconds: float = 8.0,
        poke_seconds: float = 60.0,
        sqs_queue: str | None = None,
        consume: Consume = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        v: int = _VERSION,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.awaited = awaited
        self.until = until
        self.quiet_seconds = quiet_seconds
        self.poke_seconds = poke_seconds
        self.sqs_queue = sqs_queue
        self.consume = consume
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.v = v

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and plain arguments from which any triggerer makes this trigger again."""
        names = ("awaited", "until", "quiet_seconds", "poke_seconds", "sqs_queue", "consume", *_AWS, "v")
        kwargs = {name: getattr(self, name) for name in names}
        return "airflow_s3events.triggers.arrivals.S3ArrivalTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, ``{"reason": "arrived" | "deadline"}``, and end."""
        from airflow_s3events.arrivals import Awaited

        earliest = time.monotonic() + self.quiet_seconds
        attempt = partial(
            watch,
            Awaited.deserialize(self.awaited),
            sqs_queue=self.sqs_queue,
            consume=self.consume,
            poke_seconds=self.poke_seconds,
            until=self.until,
            aws={name: getattr(self, name) for name in _AWS},
        )
        seen = await through_outages(attempt, until=self.until)
        await asyncio.sleep(max(0.0, earliest - time.monotonic()))
        yield TriggerEvent({"reason": "arrived" if seen is not None and seen.has_arrived else "deadline"})


_AWS = ("aws_conn_id", "region_name", "verify", "botocore_config")


async def watch(
    awaited: Awaited,
    *,
    sqs_queue: str | None,
    consume: Consume,
    poke_seconds: float,
    until: float,
    aws: Mapping[str, Any],
) -> Seen:
    """Open what an ``ArrivalWatch`` needs, and run it: in a triggerer, or in a task that blocks.

    Raises:
        ConfigurationError: A setting is wrong; names it.
        OutageError: S3 or SQS is away.
    """
    from airflow_s3events.arrival_watch import ArrivalWatch
    from airflow_s3events.hooks.s3_events import bucket_hook, hook_for
    from airflow_s3events.s3 import S3Bucket
    from airflow_s3events.wake_ups import Pause, wake_up_of

    await asyncio.to_thread(awaited.when.try_predicates, "when")
    async with AsyncExitStack() as stack:

        async def open_wake_up() -> WakeUp:
            if sqs_queue is None:
                return Pause()
            hook = hook_for(sqs_queue, **aws)
            client = await stack.enter_async_context(hook.open_client())
            return wake_up_of(await hook.queue(client, sqs_queue), consume, awaited)

        bucket = S3Bucket(await stack.enter_async_context(bucket_hook(**aws).open_client()))
        return await ArrivalWatch(awaited, bucket, open_wake_up, poke_seconds=poke_seconds, until=until).run()
