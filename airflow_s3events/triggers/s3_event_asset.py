"""``S3EventAssetTrigger``: what watches a queue for an asset (Airflow 3)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Hashable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any

from airflow_s3events._compat import BaseEventTrigger, TriggerEvent
from airflow_s3events._compat.traces import open_tracing
from airflow_s3events.audit_address import AuditAddress
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import EventFilter, everything
from airflow_s3events.packs import PACK_BYTES, PACK_COUNT, PACK_MEMBER, PackedEvent, cut, payload_of
from airflow_s3events.triggers.watching.sessions import QueueArguments, watchers_of
from airflow_s3events.watchers import Watcher, watcher_name

if TYPE_CHECKING:
    from airflow_s3events.hauls import Haul, Unmatched
    from airflow_s3events.tracing import Traces

log = logging.getLogger(__name__)

#: Form of the keyword arguments; rows stored by one version of the package are loaded by later ones.
_VERSION = 1
#: Settings with their least and greatest value.
_LIMITS = {
    "pack_count": (1, 1_000),
    "pack_bytes": (1_024, 1_048_576),
    "visibility_seconds": (30, 43_200),
    "max_in_flight": (10, 100_000),
}
#: Everything that is stored, in one order.
_ARGUMENTS = (
    "sqs_queue",
    "when",
    "watcher",
    "pack_count",
    "pack_bytes",
    "unmatched",
    "dead_letter_queue",
    "visibility_seconds",
    "max_in_flight",
    "aws_conn_id",
    "region_name",
    "verify",
    "botocore_config",
    "v",
)


class PackEvent(TriggerEvent):
    """A trigger event that holds object events. Airflow writes each one into its log: so it shows as a count.

    Object keys can be personal data, and a log line may not be as long as an asset event.
    """

    def __init__(self, pack: list[PackedEvent], carrier: Mapping[str, str] | None = None) -> None:
        super().__init__(payload_of(pack, carrier))  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        return f"PackEvent<{len(self.payload[PACK_MEMBER])} object events>"

    __str__ = __repr__


class S3EventAssetTrigger(BaseEventTrigger):
    """Stores an asset event for the object events of a queue that an asset wants: many objects in each.

    All watchers of one queue in a triggerer share one consumer, provided that they agree on everything but
    ``when``, ``watcher`` and the size of a pack. Write the queue in the same way everywhere, too: a name and
    an URL of one queue are two consumers.

    What it needs of AWS: ``sqs:ReceiveMessage``, ``DeleteMessage``, ``ChangeMessageVisibility``,
    ``GetQueueAttributes`` and ``GetQueueUrl`` on the queue, and ``SendMessage`` where it has several
    watchers; ``sqs:SendMessage`` and ``GetQueueUrl`` on the dead letter queue.

    Args:
        sqs_queue: URL, ARN or name of the queue.
        when: The object events that are wanted: a filter, or what ``EventFilter.deserialize`` reads, also as
            JSON text; None means all of them. A ``predicate`` in it must be importable by the triggerer,
            which tries it at the start. Filters that ask S3 about the object cannot be used here: one
            call for each event would hold up all watchers of the triggerer.
        watcher: A name that no other watcher of the queue has: that of the asset. Where it is left out, what
            is wanted is the name.
        pack_count: Object events of one asset event, at most. Each task of a run is given all of its run's
            asset events. Default 100.
        pack_bytes: Bytes of JSON of one asset event, at most. Default 64 KiB.
        unmatched: The fate of an event that no watcher wants: ``"leave"`` (the default: it stays in the
            queue, ever longer hidden, until the redrive policy takes it, since its watcher may be back: that
            of a paused DAG is gone), ``"discard"`` or ``"dead-letter"``.
        dead_letter_queue: Where messages go that no redelivery can help; the queue of ``sqs_queue``'s redrive
            policy when None.
        visibility_seconds: How long a received message stays hidden if we die; extended while we live.
            Default 300.
        max_in_flight: Messages received and not settled, at most; SQS allows 120,000 for a queue. Default
            30,000.
        aws_conn_id, region_name, verify, botocore_config: As for every operator of the amazon provider.
        redact_keys: Write digests of object keys into the log instead of the keys.
        audit: Where what became of each event goes as a line of JSON: ``s3://bucket/prefix`` or
            ``logs:<log group>``; needs ``s3:PutObject``, or ``logs:CreateLogStream`` and ``PutLogEvents``.
        v: Version of this form.
    """

    def __init__(
        self,
        *,
        sqs_queue: str,
        when: EventFilter | Mapping[str, Any] | str | None = None,
        watcher: str = "",
        pack_count: int = PACK_COUNT,
        pack_bytes: int = PACK_BYTES,
        unmatched: Unmatched = "leave",
        dead_letter_queue: str | None = None,
        visibility_seconds: int = 300,
        max_in_flight: int = 30_000,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | str | None = None,
        redact_keys: bool = False,
        audit: str | None = None,
        v: int = _VERSION,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sqs_queue = sqs_queue
        self.when = when
        self.watcher = watcher
        self.pack_count = pack_count
        self.pack_bytes = pack_bytes
        self.unmatched = unmatched
        self.dead_letter_queue = dead_letter_queue
        self.visibility_seconds = visibility_seconds
        self.max_in_flight = max_in_flight
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.redact_keys = redact_keys
        self.audit = audit
        self.v = v
        self._traces: Traces | None = None

    def check_settings(self) -> None:
        """Look at every setting that needs neither Airflow nor AWS to be judged.

        Raises:
            ConfigurationError: One of them cannot work; names it and says what to put there.
        """
        self._filter()
        if not self.sqs_queue:
            raise ConfigurationError(f"sqs_queue={self.sqs_queue!r}: give the URL, ARN or name of a queue")
        if "," in self.watcher:
            raise ConfigurationError(f"watcher={self.watcher!r}: give a name without a comma")
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ConfigurationError(f"{name}={value!r}: give a whole number from {least} to {most}")
        if self.audit is not None:
            AuditAddress.of(self.audit)
        if self.unmatched not in ("leave", "discard", "dead-letter"):
            raise ConfigurationError(f"unmatched={self.unmatched!r}: say leave, discard or dead-letter")

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and plain arguments from which any triggerer makes this trigger again.

        Airflow tells triggers apart by a hash of this that heeds the order of members, and before 3.3 also
        whether a mapping has been through its database: so what is nested is text here, in one form however
        it was spelled.
        """
        kwargs = {name: getattr(self, name) for name in _ARGUMENTS}
        kwargs["when"] = _text(self._filter().serialize())
        kwargs["botocore_config"] = _text(self.botocore_config)
        # Not there otherwise: it would make other triggers of those that earlier versions stored.
        if self.redact_keys:
            kwargs["redact_keys"] = True
        if self.audit is not None:
            kwargs["audit"] = self.audit
        return "airflow_s3events.triggers.s3_event_asset.S3EventAssetTrigger", kwargs

    def shared_stream_key(self) -> Hashable:
        """Return what is equal for all watchers that share a consumer (Airflow 3.3 and later)."""
        return self._queue_arguments().key

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> Any:
        """Return the producer of the queue (Airflow 3.3 and later)."""
        from airflow_s3events.triggers.watching.producer import HaulProducer
        from airflow_s3events.triggers.watching.source import HaulSource

        arguments = QueueArguments.of(kwargs)
        return HaulProducer(HaulSource(arguments, watchers_of(arguments)))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Haul]) -> AsyncIterator[TriggerEvent]:
        """Yield the asset events of this watcher's share of each haul (Airflow 3.3 and later).

        All that can fail has been done when a haul comes: Airflow would count a haul whose filter fails as
        stored.
        """
        with self._joined() as watcher:
            await self._prepare(watcher)
            async for haul in shared_stream:
                for event in self._events(haul.take(watcher)):
                    yield event
                haul.note_given(watcher)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the same where Airflow has no shared stream (3.0 to 3.2)."""
        from airflow_s3events.triggers.watching.share import HaulShare, share_of
        from airflow_s3events.triggers.watching.source import HaulSource

        arguments = self._queue_arguments()
        with self._joined() as watcher:
            await self._prepare(watcher)
            source = HaulSource(arguments, watchers_of(arguments))
            share = share_of(arguments.key, lambda: HaulShare(source))
            async with aclosing(share.hauls(watcher)) as hauls:
                async for haul in hauls:
                    for event in self._events(haul.take(watcher)):
                        yield event
                    haul.note_given(watcher)

    @contextmanager
    def _joined(self) -> Iterator[Watcher]:
        when = self._filter()
        watcher = Watcher(watcher_name(when, self.watcher), when)
        watchers = watchers_of(self._queue_arguments())
        watchers.join(watcher)
        task = asyncio.current_task()

        def leave(_: Any = None) -> None:
            watchers.leave(watcher)

        # Airflow's task that is cancelled while it has an event of ours in hand leaves our generator where it
        # is, for Python's collector, who may come much later: till then all would wait for this watcher.
        if task is not None:
            task.add_done_callback(leave)
        try:
            yield watcher
        finally:
            leave()
            if task is not None:
                task.remove_done_callback(leave)

    async def _prepare(self, watcher: Watcher) -> None:
        await self._try_predicates(watcher)
        # Not on the loop that all triggers share: it may ask for the name of the host.
        tracing = await asyncio.to_thread(open_tracing)
        if tracing is not None:
            from airflow_s3events.tracing import Traces

            self._traces = Traces(tracer=tracing.tracer, queue=self.sqs_queue, redact_keys=self.redact_keys)

    async def _try_predicates(self, watcher: Watcher) -> None:
        """Say what cannot be imported here.

        Raising it would do harm: Airflow starts a watcher that has failed again within two seconds, and what
        it wants would be taken for what nobody wants meanwhile. The events that it cannot judge are kept.
        """
        try:
            await asyncio.to_thread(watcher.when.try_predicates, f"when of watcher {watcher.name!r}")
        except ConfigurationError as error:
            log.error("Events of queue %s are kept until this is mended: %s", self.sqs_queue, error)

    def _events(self, share: list[PackedEvent]) -> Iterator[TriggerEvent]:
        for pack in cut(share, most_count=self.pack_count, most_bytes=self.pack_bytes):
            yield PackEvent(pack, self._traces.pack(pack) if self._traces else None)

    def _filter(self) -> EventFilter:
        when = json.loads(self.when) if isinstance(self.when, str) else self.when
        wanted = everything if when is None else EventFilter.deserialize(when)
        return wanted.without_asking("an asset's watcher")

    def _queue_arguments(self) -> QueueArguments:
        return QueueArguments.of(self.serialize()[1])


def _text(data: Any) -> str | None:
    """Return plain data as JSON with the members of every object in one order; text is that already."""
    return data if data is None or isinstance(data, str) else json.dumps(data, sort_keys=True)
