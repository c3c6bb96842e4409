"""Runs for anomalies: told once, with the evidence, whatever dies or is away."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_s3events.alarms import Alarms, WatchingJournal
from airflow_s3events.anomaly import AnomalyWatch
from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.journal import Order
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.ledger import Ledger, MemoryStore
from airflow_s3events.metrics import Meter
from airflow_s3events.routing import Routes
from tests.core.dispatch_fakes import FakeInbox, FakeRuns
from tests.core.test_enrich import message

START = datetime(2026, 11, 1, tzinfo=timezone.utc)
WATCH = AnomalyWatch(dag_id="told", history_days=1, warm_up_days=1)


class World:
    """Dispatchers one after the other, over one Airflow and one ledger."""

    def __init__(self) -> None:
        self.runs = FakeRuns("process", "told")
        self.ledger = Ledger(MemoryStore(), now=lambda: 0.0)
        self.number = 0
        self.restart()

    def restart(self) -> None:
        self.meter = Meter("q")
        alarms = Alarms(WATCH, self.runs, self.ledger, "dispatcher/dispatch", meter=self.meter)
        self.inbox = FakeInbox()
        self.dispatcher = Dispatcher(
            inbox=self.inbox,
            routes=Routes.of("process"),
            runs=self.runs,
            settings=DispatchSettings(),
            now=lambda: 0.0,
            clock=lambda: 0.0,
            journal=WatchingJournal(self.ledger, Order(), alarms),
        )

    async def upload(self, window: float, times: int = 1) -> None:
        batch = []
        for _ in range(times):
            self.number += 1
            moment = (START + timedelta(minutes=15 * window)).isoformat()
            batch.append(message(f"k{self.number}", self.number, event_time=moment))
        await self.dispatcher.dispatch(batch)

    async def warm_up(self) -> None:
        for window in range(98):
            await self.upload(window, 2)

    def told(self) -> list[dict[str, Any]]:
        return [conf for (dag_id, _), conf in self.runs.confs.items() if dag_id == "told"]


class TellableRuns(FakeRuns):
    """Takes the runs of anomalies, too, whose conf holds no event."""

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
        return await super().create(dag_id, run_id, {"s3_event": {"key": None}, **conf}, note)


def world() -> World:
    made = World()
    made.runs = TellableRuns("process", "told")
    made.restart()
    return made


async def test_a_spike_starts_one_run_of_the_dag_with_the_evidence() -> None:
    w = world()
    await w.warm_up()
    await w.upload(98, 40)
    await w.upload(98, 40)
    ((conf),) = w.told()
    kinds = [one.tags["kind"] for one in w.meter.drain() if one.name == "s3events.anomalies"]
    assert kinds == [conf["s3_anomaly"]["kind"]]
    assert conf["s3_anomaly"]["kind"] == "uploads"
    assert conf["s3_anomaly"]["bucket"] == "inbox"
    assert conf["s3_anomaly"]["count"] == 20
    assert w.meter.remarks()["anomaly"].startswith("20 uploads in ")


async def test_the_past_outlives_the_dispatcher() -> None:
    w = world()
    await w.warm_up()
    w.restart()
    await w.upload(98, 40)
    assert len(w.told()) == 1


async def test_a_message_that_comes_again_is_not_counted_again() -> None:
    w = world()
    await w.warm_up()
    for _ in range(40):
        w.restart()
        w.number = 1000
        await w.upload(98)
    assert w.told() == []


async def test_an_anomaly_whose_dag_refuses_waits_for_it_also_over_a_restart() -> None:
    w = world()
    await w.warm_up()
    w.runs.refusing.add("told")
    await w.upload(98, 40)
    assert w.told() == []
    assert all(fate == "acknowledged" for fate, _, _ in w.inbox.fates.values())
    w.runs.refusing.clear()
    w.restart()
    await w.upload(99)
    assert len(w.told()) == 1


async def test_an_outage_while_an_anomaly_is_told_is_waited_out_and_counts_nothing_twice() -> None:
    w = world()
    await w.warm_up()
    await w.upload(98, 15)
    create = w.runs.create

    async def away_once(dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
        if dag_id == "told" and not w.inbox.waits:
            w.runs.outages.append("Airflow is away")
        return await create(dag_id, run_id, conf, note)

    w.runs.create = away_once  # type: ignore[method-assign]
    await w.upload(98, 5)
    assert w.inbox.waits == 1
    ((conf),) = w.told()
    assert conf["s3_anomaly"]["count"] == 20


async def test_the_oldest_of_too_many_waiting_anomalies_are_told_in_the_log(caplog: Any) -> None:
    w = world()
    await w.warm_up()
    w.runs.refusing.add("told")
    alarms = Alarms(WATCH, w.runs, w.ledger, "other")
    await alarms.observe([])
    from airflow_s3events.anomaly import Anomaly

    alarms._waiting = [
        Anomaly(kind="uploads", bucket="b", window_start=n, window_seconds=900) for n in range(101)
    ]
    await alarms.tell()
    assert "An anomaly gets no run: uploads in bucket b" in caplog.text
