"""``S3EventHoldTrigger``: keeps messages in flight while their runs work; wakes a task when one is needed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import BaseTrigger, TriggerEvent, trigger_runs
from airflow_s3events._compat.signs import sign_writer
from airflow_s3events._compat.stats import emitter

if TYPE_CHECKING:
    from airflow_s3events.audit import AuditTrail
    from airflow_s3events.consumer import Consumer
    from airflow_s3events.decision_log import DecisionLog
    from airflow_s3events.exceptions import OutageError
    from airflow_s3events.holding import Holder
    from airflow_s3events.keeping import Keeper
    from airflow_s3events.reporting import Reporter
    from airflow_s3events.sign_post import SignPost
    from airflow_s3events.sqs import SqsQueue

log = logging.getLogger(__name__)

#: Form of the keyword arguments; rows stored by one version of the package are loaded by later ones.
_VERSION = 1
#: A place that its trigger has left is looked at so often, and closed when it holds nothing any more.
_ALONE_SECONDS = 600.0
#: It holds on for no longer than this. To give back earlier, because the next trigger is in another triggerer
#: or the task is busy, would cost each message a receive or two, and bring healthy ones nearer to the dead
#: letter queue. A place that was left receives nothing, and SQS hides a message for twelve hours from its
#: receive, so what is held then cannot be kept any longer anyway
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html).
_LONGEST_ALONE_SECONDS = 43_200.0

_AWS = ("aws_conn_id", "region_name", "verify", "botocore_config")
_KEEPING = (
    "sqs_queue",
    "dead_letter_queue",
    "routes",
    "max_held",
    "visibility_seconds",
    "retry_delay_seconds",
    "parallel",
    "redact_keys",
    "audit",
    *_AWS,
)


class S3EventHoldTrigger(BaseTrigger):
    """Receives a queue's messages, holds those whose runs work, and fires when a task is needed.

    A task is needed for a message whose run does not exist or has failed, or that cannot be read; it is given
    back before the trigger fires. What is held stays in flight while the task works, in the triggerer's
    memory and nowhere else, until the task defers again, to a trigger of the same ``name``. Where that one is
    in another triggerer, or none comes any more, what is held here is settled as its runs end, and what is
    left lapses twelve hours after its receive. When the triggerer dies, its messages come again after
    ``visibility_seconds``, and the next trigger joins their runs.

    The event says only why it fired and how many messages are held; Airflow logs and stores trigger events,
    so neither body nor receipt handle may be in one.

    Args:
        name: Tells dispatchers apart: DAG, task, map index.
        sqs_queue, dead_letter_queue: URLs, ARNs or names.
        routes: Plain data of ``Routes``.
        until: Seconds since the epoch at which to fire in any case, with reason ``deadline``.
        quiet_seconds: Fire no sooner: see ``_compat.earliest_resume_seconds``.
        recheck_seconds: When given, receive nothing, hold what is held, and fire after so long with reason
            ``recheck``: for DAGs that are paused or full.
        max_held, visibility_seconds, retry_delay_seconds, parallel, redact_keys, audit: As for the operator.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.
        v: Version of this form.
    """

    def __init__(
        self,
        *,
        name: str,
        sqs_queue: str,
        dead_letter_queue: str | None,
        routes: Mapping[str, Any],
        until: float,
        quiet_seconds: float = 8.0,
        recheck_seconds: float | None = None,
        max_held: int = 500,
        visibility_seconds: int = 300,
        retry_delay_seconds: float = 60.0,
        parallel: int = 1,
        redact_keys: bool = False,
        audit: str | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        v: int = _VERSION,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.name = name
        self.sqs_queue = sqs_queue
        self.dead_letter_queue = dead_letter_queue
        self.routes = routes
        self.until = until
        self.quiet_seconds = quiet_seconds
        self.recheck_seconds = recheck_seconds
        self.max_held = max_held
        self.visibility_seconds = visibility_seconds
        self.retry_delay_seconds = retry_delay_seconds
        self.parallel = parallel
        self.redact_keys = redact_keys
        self.audit = audit
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.v = v

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and plain arguments from which any triggerer makes this trigger again."""
        names = ("name", "until", "quiet_seconds", "recheck_seconds", *_KEEPING, "v")
        kwargs = {name: getattr(self, name) for name in names}
        return "airflow_s3events.triggers.s3_event_hold.S3EventHoldTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield ``{"reason": "messages" | "recheck" | "deadline", "held": 12}``, and end.

        Raises:
            ConfigurationError: A predicate of the routes cannot be imported by the triggerer; names it.
        """
        from airflow_s3events.routing import Routes

        earliest = time.monotonic() + self.quiet_seconds
        # Else it could never tell that a message's run is there, and would wake a task for it time and again.
        await asyncio.to_thread(Routes.of(self.routes).try_predicates)
        place = await _place_of(self.name, {name: getattr(self, name) for name in _KEEPING})
        try:
            async with self._sign_post(place):
                reason = await self._wait(place)
            await asyncio.sleep(max(0.0, earliest - time.monotonic()))
            held = 0 if place.keeper is None else len(place.keeper.holder)
        finally:
            place.leave()
        yield TriggerEvent({"reason": reason, "held": held})

    def _sign_post(self, place: _Place) -> SignPost:
        from airflow_s3events.metrics import Meter
        from airflow_s3events.sign_post import SignPost

        def away() -> list[OutageError]:
            return [] if place.keeper is None else place.keeper.consumer.away

        # What its meter remarks is told by the task, which meets every event, too.
        write = sign_writer(getattr(self, "task_instance", None), "triggerer")
        return SignPost(Meter(self.sqs_queue), write, away=away)

    async def _wait(self, place: _Place) -> str:
        left = max(0.0, self.until - time.time())
        if self.recheck_seconds is not None:
            await place.rest(min(self.recheck_seconds, left))
            return "recheck"
        return "messages" if await place.work(left) else "deadline"


@dataclass(slots=True)
class _Place:
    """One dispatcher's keeper in this triggerer, and whether a trigger is with it."""

    name: str
    settings: Mapping[str, Any]
    keeper: Keeper | None = None
    task: asyncio.Task[None] | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _alarm: asyncio.TimerHandle | None = None
    _is_closing: bool = False

    @property
    def is_open(self) -> bool:
        """Whether a trigger may come."""
        return self.task is not None and not self.task.done() and not self._is_closing

    def open(self) -> None:
        self.task = asyncio.ensure_future(self._keep())
        self.task.add_done_callback(self._closed)

    def come(self) -> None:
        """A trigger is here: the place is not closed while it is."""
        if self._alarm is not None:
            self._alarm.cancel()

    def leave(self) -> None:
        """The trigger has gone: receive nothing, and hold on to what is held until its runs have ended."""
        if self.keeper is not None:
            self.keeper.rest()
        self._look_later(asyncio.get_running_loop().time())

    def _look_later(self, left_at: float) -> None:
        self._alarm = asyncio.get_running_loop().call_later(_ALONE_SECONDS, self._look, left_at)

    def _look(self, left_at: float) -> None:
        """Close if nobody has come back and nothing is held, or has been for too long."""
        alone_seconds = asyncio.get_running_loop().time() - left_at
        held = 0 if self.keeper is None else self.keeper.consumer.stats.in_flight
        if held and alone_seconds < _LONGEST_ALONE_SECONDS:
            self._look_later(left_at)
        else:
            self._close()

    def _close(self) -> None:
        """Give back what is held; once only, since a second call would cut that off."""
        if self.task is not None and not self._is_closing:
            self._is_closing = True
            self.task.cancel()

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._ready.set()
        if _places.get(self.name) is self:
            del _places[self.name]
        if not task.cancelled() and (error := task.exception()) is not None:
            # Maybe no trigger is here to raise it.
            log.error("What was held for %s is held no longer, and comes again: %s", self.name, error)

    async def work(self, seconds: float) -> bool:
        """Receive until a task is needed, at most so long; return whether one is."""
        keeper = await self._opened()
        work = asyncio.ensure_future(keeper.work())
        assert self.task is not None  # noqa: S101 - narrows the type: it was opened
        try:
            done, _ = await asyncio.wait({work, self.task}, timeout=seconds, return_when="FIRST_COMPLETED")
        finally:
            work.cancel()
        if self.task in done:
            self.task.result()
        return bool(done)

    async def rest(self, seconds: float) -> None:
        """Receive nothing for so long."""
        (await self._opened()).rest()
        await asyncio.sleep(seconds)

    async def end(self) -> None:
        """Give all back, and return when that is done."""
        self._close()
        if self.task is not None:
            await asyncio.wait([self.task])

    async def _opened(self) -> Keeper:
        await self._ready.wait()
        if self.keeper is None:
            assert self.task is not None  # noqa: S101 - narrows the type: it was opened
            self.task.result()
            raise asyncio.CancelledError
        return self.keeper

    async def _keep(self) -> None:
        from airflow_s3events.consumer import Consumer, ConsumerSettings
        from airflow_s3events.decision_log import DecisionLog
        from airflow_s3events.hooks.s3_events import hook_for

        settings = self.settings
        hook = hook_for(settings["sqs_queue"], **{name: settings[name] for name in _AWS})
        async with hook.open_client() as client:
            queue = await hook.queue(client, settings["sqs_queue"])
            attributes = await queue.describe()
            named = settings["dead_letter_queue"] or str(attributes.dead_letter_arn)
            how = ConsumerSettings(
                visibility_seconds=settings["visibility_seconds"],
                max_in_flight=settings["max_held"],
                receivers=1,
            )
            lines = DecisionLog(queue=settings["sqs_queue"], redact_keys=settings["redact_keys"])
            consumer = Consumer(queue, how, dead_letters=await hook.queue(client, named), lines=lines)
            keeper = self._make_keeper(consumer, attributes.max_receive_count)
            audit = self._audit(keeper.holder, lines)
            async with self._reporter(keeper, queue), audit as trail, consumer:
                keeper.holder.audit = trail.note_ended
                consumer.pause()
                self.keeper = keeper
                self._ready.set()
                await keeper.run()

    def _audit(self, holder: Holder, lines: DecisionLog) -> AbstractAsyncContextManager[AuditTrail]:
        from airflow_s3events.hooks.audit import open_audit

        return open_audit(
            self.settings["audit"],
            sqs_queue=self.settings["sqs_queue"],
            # Without the map index: the dispatcher's name, as its task writes it.
            dispatcher=self.name.rpartition("/")[0],
            aws={name: self.settings[name] for name in _AWS},
            meter=holder.meter,
            lines=lines,
        )

    def _reporter(self, keeper: Keeper, queue: SqsQueue) -> Reporter:
        from airflow_s3events.reporting import HELD, Reporter, note_consumer, note_outcomes

        holder = keeper.holder

        def note() -> None:
            note_consumer(holder.meter, keeper.consumer)
            holder.meter.gauge("messages.held", len(holder))
            note_outcomes(holder.meter, holder.counts, HELD)

        return Reporter(holder.meter, emitter("triggerer"), note=note, describe=queue.describe)

    def _make_keeper(self, consumer: Consumer, max_receive_count: int | None) -> Keeper:
        from airflow_s3events.holding import Holder
        from airflow_s3events.keeping import Keeper
        from airflow_s3events.metrics import Meter
        from airflow_s3events.routing import Routes
        from airflow_s3events.settlement import receives_for_tries

        settings = self.settings
        holder = Holder(
            inbox=consumer,
            runs=trigger_runs(),
            max_receive_count=receives_for_tries(max_receive_count, settings["parallel"]),
            retry_delay_seconds=settings["retry_delay_seconds"],
            meter=Meter(settings["sqs_queue"]),
        )
        return Keeper(consumer=consumer, holder=holder, routes=Routes.of(settings["routes"]))


#: By the name of the dispatcher. What is in here is only what SQS would show to others if we were not.
_places: dict[str, _Place] = {}


async def _place_of(name: str, settings: Mapping[str, Any]) -> _Place:
    """Return the place of a dispatcher: the one that its last trigger left, or a new one."""
    place = _places.get(name)
    if place is None or not place.is_open or place.settings != settings:
        if place is not None:
            await place.end()
        place = _places[name] = _Place(name, settings)
        place.open()
    place.come()
    return place
