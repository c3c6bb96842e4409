"""``S3EventSensor``: waits for objects in a DAG, woken by a queue, answered by the bucket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import (
    AirflowSensorTimeout,
    BaseSensorOperator,
    Context,
    PokeReturnValue,
    default_deferrable,
    earliest_resume_seconds,
)
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.outages import through_outages
from airflow_s3events.triggers.arrivals import S3ArrivalTrigger, watch

if TYPE_CHECKING:
    from airflow_s3events.arrivals import Awaited
    from airflow_s3events.filters import EventFilter
    from airflow_s3events.looks import Seen
    from airflow_s3events.wake_ups import Consume

#: Airflow's own time-out of the deferral comes so much later than ours: only where no triggerer is alive.
_GRACE_SECONDS = 300.0
_LEAST_POKE_SECONDS = 1.0


class S3EventSensor(BaseSensorOperator):
    """Waits until objects are in a bucket; returns them as object events, as plain data.

    Asks the bucket, at the start, at each wake-up and at the time-out: an object that came before the sensor
    counts, and so does one whose notification was lost or went to somebody else. A message of ``sqs_queue``
    only says that it is worth looking now; without one it looks every ``poke_interval`` seconds. In a task
    that gets the result, ``[ObjectEvent.deserialize(data) for data in found]`` reads it typed.

    What it needs of AWS: ``s3:GetObject`` on the objects and ``s3:ListBucket`` on their bucket. On the queue:
    ``sqs:GetQueueUrl`` and ``sqs:GetQueueAttributes``; with ``consume``, ``sqs:GetQueueUrl``,
    ``sqs:ReceiveMessage`` and ``sqs:DeleteMessage``.

    Args:
        bucket_key: A key, or several that must all be there at one time: each a full ``s3://`` URL, or a key
            in ``bucket_name``. Returned in this order. Templated, as are all names below.
        prefix: ``count`` objects under this prefix (``""`` is the whole bucket), or a full ``s3://`` URL.
            Returned in order of their keys; folder markers, whose key ends in ``/``, do not count.
        marker_key: An object such as ``out/_SUCCESS`` that says that its folder is complete. Returned before
            all other objects in its folder, but those whose name, or folder's name, begins with ``_`` or
            ``.``.
        manifest_key: An object that lists others, and all that it lists. Returned before those.
        bucket_name: Bucket of keys that are no full URLs.
        count: Objects to wait for under ``prefix``, 1 to 10,000.
        when: Only objects that this filter matches count; of a marker or manifest, only its parts are asked.
            ``event_type`` cannot be in it, since the bucket does not say how an object came. A ``predicate``
            must be importable by the triggerer, too.
        sqs_queue: URL, ARN or name of a queue that gets the bucket's notifications; None for none.
        consume: Whose the messages of the queue are. None (the default): somebody else's, such as a
            dispatcher's. None is ever received or deleted; a change in the queue's counts, asked for every
            two seconds, wakes the sensor. ``"all"``: this sensor's alone; it long-polls and deletes
            everything. ``"matching"``: several sensors' and nobody else's; it long-polls and deletes only
            what is about its own objects.
        deferrable: Wait in the triggerer; ``[operators] default_deferrable`` when None.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.
        **kwargs: As for every sensor: ``timeout``, ``poke_interval``, ``mode``, ``soft_fail`` and the like.
            In ``mode="reschedule"``, which has no process that could wait, the queue is not used.
    """

    template_fields: Sequence[str] = (
        "bucket_key",
        "prefix",
        "marker_key",
        "manifest_key",
        "bucket_name",
        "sqs_queue",
        "aws_conn_id",
        "region_name",
    )
    ui_color = "#f0d0a0"

    def __init__(
        self,
        *,
        bucket_key: str | Sequence[str] | None = None,
        prefix: str | None = None,
        marker_key: str | None = None,
        manifest_key: str | None = None,
        bucket_name: str | None = None,
        count: int = 1,
        when: EventFilter | Mapping[str, Any] | None = None,
        sqs_queue: str | None = None,
        consume: Consume = None,
        deferrable: bool | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket_key = bucket_key
        self.prefix = prefix
        self.marker_key = marker_key
        self.manifest_key = manifest_key
        self.bucket_name = bucket_name
        self.count = count
        self.when = when
        self.sqs_queue = sqs_queue
        self.consume = consume
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self._until: float | None = None

    def execute(self, context: Context) -> Any:
        """Look; return what was found, or wait for it in the way that the settings say."""
        self.awaited()
        if not self.deferrable:
            return super().execute(context)
        until = time.time() + self.timeout
        answer = self._look()
        # Even when time is up at once: only of a resumed task does Airflow turn a time-out into a skip.
        return answer.xcom_value if answer else self._defer(until)

    def resume(self, context: Context, event: Mapping[str, Any], until: float) -> Any:  # noqa: ARG002
        """Look again after a wake-up. ``until`` is when time is up, in seconds since the epoch."""
        self.log.info("Woken: %s", event.get("reason"))
        is_over = time.time() >= until
        answer = self._look(must_answer=is_over)
        if answer:
            return answer.xcom_value
        if is_over:
            raise AirflowSensorTimeout(f"after {self.timeout:.0f} s there is not yet {self.awaited()}")
        return self._defer(until)

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 - Airflow passes it
        """Look; in ``mode="poke"`` go on, woken by the queue, until all has come or the time-out is over."""
        if self.reschedule:
            return self._look()
        if self._until is None:
            self._until = time.time() + self.timeout
        attempt = partial(self._watch, self._until)
        seen = asyncio.run(through_outages(attempt, until=self._until))
        return self._look(must_answer=True) if seen is None else _answer(seen)

    def awaited(self) -> Awaited:
        """Return what the settings say is waited for.

        Raises:
            ConfigurationError: A setting cannot work; names it and says what to put there.
        """
        from airflow_s3events.arrivals import awaited_of
        from airflow_s3events.wake_ups import CONSUME

        if self.consume not in CONSUME:
            raise ConfigurationError(f"consume={self.consume!r}: give None, 'all' or 'matching'")
        if self.consume is not None and self.sqs_queue is None:
            raise ConfigurationError(f"consume={self.consume!r}: give sqs_queue, too, or leave it out")
        return awaited_of(
            bucket_key=self.bucket_key,
            prefix=self.prefix,
            marker_key=self.marker_key,
            manifest_key=self.manifest_key,
            bucket_name=self.bucket_name,
            count=self.count,
            when=self.when,
        )

    def _look(self, *, must_answer: bool = False) -> PokeReturnValue:
        """Look once; unless it must answer, S3 out of reach is as good as nothing there yet."""
        try:
            return _answer(asyncio.run(self._watch(until=0.0)))
        except OutageError as outage:
            if must_answer:
                raise
            self.log.warning("The bucket cannot be asked now: %s", outage)
            return PokeReturnValue(is_done=False)

    async def _watch(self, until: float) -> Seen:
        return await watch(
            self.awaited(),
            sqs_queue=self.sqs_queue,
            consume=self.consume,
            poke_seconds=self._poke_seconds,
            until=until,
            aws=self._aws(),
        )

    def _defer(self, until: float) -> None:
        left = max(0.0, until - time.time())
        self.defer(
            trigger=S3ArrivalTrigger(
                awaited=self.awaited().serialize(),
                until=until,
                quiet_seconds=earliest_resume_seconds(),
                poke_seconds=self._poke_seconds,
                sqs_queue=self.sqs_queue,
                consume=self.consume,
                **self._aws(),
            ),
            method_name="resume",
            kwargs={"until": until},
            timeout=timedelta(seconds=left + _GRACE_SECONDS),
        )

    @property
    def _poke_seconds(self) -> float:
        return max(_LEAST_POKE_SECONDS, self.poke_interval)

    def _aws(self) -> dict[str, Any]:
        names = ("aws_conn_id", "region_name", "verify", "botocore_config")
        return {name: getattr(self, name) for name in names}


def _answer(seen: Seen) -> PokeReturnValue:
    return PokeReturnValue(seen.has_arrived, [event.serialize() for event in seen.events])
