"""``Alarms``: watches the events of a dispatcher for anomalies, and starts a run for each.

The past of each bucket is kept in the ledger, written after each batch. Where it may be killed: before
that, the events of the batch are not counted again, since their runs are there. The run of an anomaly has a
name made from it, so that it is not started twice.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from hashlib import sha256

from airflow_s3events.anomaly import Anomaly, AnomalyWatch, BucketWatch, buckets_of
from airflow_s3events.dispatch.journal import Journal, Order
from airflow_s3events.dispatch.starting import Outcome, Runs
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import RouteError
from airflow_s3events.identity import event_id
from airflow_s3events.ledger import Ledger
from airflow_s3events.messages import Message
from airflow_s3events.metrics import Meter
from airflow_s3events.routing import Route

log = logging.getLogger(__name__)

#: The member of a run's conf that holds the evidence.
ANOMALY_MEMBER = "s3_anomaly"
#: Anomalies that wait for a DAG that refuses their runs: the oldest go first, and are told in the log.
_MOST_WAITING = 100
#: Of a new event; duplicates and what is put off are not counted.
_NEW = ("started", "grouped", "unmatched")


class Alarms:
    """One dispatcher's watch over buckets.

    Args:
        watch: What is watched, and which DAG is told.
        runs: Airflow's DAG runs.
        ledger: Keeps the past.
        name: Of the dispatcher, by which the ledger keeps it.
        meter: Counts ``anomalies``.
    """

    def __init__(
        self, watch: AnomalyWatch, runs: Runs, ledger: Ledger, name: str, *, meter: Meter | None = None
    ) -> None:
        self._meter = meter or Meter()
        self._watch, self._runs, self._ledger, self._name = watch, runs, ledger, name
        self._buckets: dict[str, BucketWatch] = {}
        self._waiting: list[Anomaly] = []
        self._changed: set[str] = set()

    async def observe(self, events: Sequence[ObjectEvent]) -> None:
        """Count new events.

        Raises:
            OutageError: The ledger is away; nothing was counted.
        """
        for bucket in buckets_of(events):
            if bucket not in self._buckets:
                state = await self._ledger.progress(self._place(bucket))
                self._buckets[bucket] = BucketWatch(self._watch, bucket, state)
                self._waiting += map(Anomaly.deserialize, (state or {}).get("waiting", ()))
        for event in events:
            self._waiting += self._buckets[event.bucket].observe(event)
            self._changed.add(event.bucket)

    async def tell(self) -> None:
        """Start the runs of anomalies that wait for theirs, and write the past down.

        Raises:
            OutageError: Airflow or the ledger is away; call it again.
        """
        while self._waiting:
            try:
                await self._start(self._waiting[0])
            except RouteError as error:
                log.warning("%d anomalies wait for their runs: %s", len(self._waiting), error)
                break
            del self._waiting[0]
        for anomaly in self._waiting[:-_MOST_WAITING]:
            log.error("An anomaly gets no run: %s in bucket %s", anomaly.kind, anomaly.bucket)
        del self._waiting[:-_MOST_WAITING]
        for bucket in sorted(self._changed):
            waiting = [anomaly.serialize() for anomaly in self._waiting if anomaly.bucket == bucket]
            state = {**self._buckets[bucket].serialize(), "waiting": waiting}
            await self._ledger.note_progress(self._place(bucket), state)
            self._changed.discard(bucket)

    async def _start(self, anomaly: Anomaly) -> None:
        conf = {ANOMALY_MEMBER: anomaly.serialize()}
        if await self._runs.create(self._watch.dag_id, _run_id(anomaly), conf):
            self._meter.count("anomalies", anomaly.kind)
            self._meter.remark("anomaly", _told(anomaly, self._watch.dag_id))
            log.warning("Anomaly: %s in bucket %s", anomaly.kind, anomaly.bucket)

    def _place(self, bucket: str) -> str:
        return f"anomaly/{self._name}/{bucket}"


def _told(anomaly: Anomaly, dag_id: str) -> str:
    what = (
        anomaly.kind
        if anomaly.count is None
        else f"{anomaly.count} {anomaly.kind} in {anomaly.window_seconds} s"
    )
    return f"{what}, bucket {anomaly.bucket}; DAG {dag_id} was told"


def _run_id(anomaly: Anomaly) -> str:
    parts = (anomaly.kind, anomaly.bucket, str(anomaly.window_start), anomaly.stranger or "")
    return f"s3_{anomaly.kind}_{sha256(chr(10).join(parts).encode()).hexdigest()[:40]}"


class WatchingJournal(Journal):
    """A journal that also shows new events to ``Alarms``."""

    def __init__(self, ledger: Ledger, order: Order, alarms: Alarms) -> None:
        super().__init__(ledger, order)
        self._alarms = alarms
        self._new: dict[str, ObjectEvent] = {}

    def tell(
        self, event: ObjectEvent, message: Message, outcome: Outcome, route: Route | None = None
    ) -> Outcome:
        """See ``Journal``."""
        if outcome.what in _NEW:
            self._new[event_id(event)] = event
        return super().tell(event, message, outcome, route)

    async def record(self, missing: set[tuple[str, str]]) -> None:
        """See ``Journal``."""
        await super().record(missing)
        await self._alarms.observe(list(self._new.values()))
        self._new.clear()
        await self._alarms.tell()
