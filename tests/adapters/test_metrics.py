"""What really leaves the process: a StatsD server of the test's own records every datagram."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from airflow_s3events._compat.stats import _stats, emitter
from airflow_s3events.metrics import METRICS, PREFIX, Sample
from airflow_s3events.testing import object_created_body
from airflow_s3events.triggers.s3_event import S3EventTrigger
from tests.adapters.test_dispatch_operator import Side, deferral_of, operator_of, upload
from tests.adapters.watched import watched
from tests.lines import AIRFLOW
from tests.statsd import StatsdServer

TABLE = Path(__file__).parents[2] / "docs/reference/metrics.md"


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatsdServer]:
    """Airflow's stats lead to a server of the test's own, in tasks and in triggerers."""
    pytest.importorskip("statsd", reason="Airflow sends StatsD with the package statsd only")
    server = StatsdServer()
    for name, value in server.settings.items():
        monkeypatch.setenv(name, value)
    _set_up_as_airflow_does()
    yield server
    server.close()
    monkeypatch.undo()
    _set_up_as_airflow_does()


def _set_up_as_airflow_does() -> None:
    if AIRFLOW >= (3, 2):
        import airflow.observability.metrics.stats_utils as of_core
        import airflow.sdk.observability.metrics.stats_utils as of_tasks

        for process, factories in {"triggerer": of_core, "task": of_tasks}.items():
            _initialize(_stats(process), factories)  # type: ignore[arg-type]
        return
    from airflow.stats import Stats

    # Chosen from the configuration when Airflow was imported.
    stats: Any = Stats
    meta = type(stats)
    for name in ("factory", "instance"):
        if name in vars(meta):
            delattr(meta, name)
    stats.instance = meta.instance = None
    meta.__init__(stats)


def _initialize(stats: Any, factories: Any) -> None:
    if AIRFLOW >= (3, 3):
        stats.initialize(factory=factories.get_stats_factory(), export_legacy_names=True)
    else:
        stats.initialize(factory=factories.get_stats_factory(stats))


def sent_by_a_dispatcher(sqs: Any, queue: str) -> None:
    upload(sqs, queue, "in/a.csv", "in/b.csv")
    sqs.send_message(QueueUrl=queue, MessageBody="no S3 event")
    deferral_of(operator_of(queue, {"process": {"prefix": "in/"}}))


@pytest.fixture
def server_of_a_dispatcher(
    statsd: StatsdServer,
    airflow_side: Side,  # noqa: ARG001 - makes the runs
    sqs: Any,
    queue: str,
) -> StatsdServer:
    sent_by_a_dispatcher(sqs, queue)
    return statsd


def test_a_dispatcher_s_counts_are_those_of_what_it_did(server_of_a_dispatcher: StatsdServer) -> None:
    sums = server_of_a_dispatcher.sums()
    names = ("messages.received", "messages.acknowledged", "messages.dead_lettered", "events.read")
    assert [sums[name] for name in names] == [3, 3, 1, 2]
    assert [sums[f"events.{what}"] for what in ("matched", "started", "malformed", "unmatched")] == [
        2,
        2,
        1,
        0,
    ]
    assert sums["receive.calls"] >= 1
    assert sums["delete.calls"] >= 1


def test_tags_are_the_queue_the_dag_the_reason_and_the_breaker(
    server_of_a_dispatcher: StatsdServer, queue: str
) -> None:
    tags = {(name, tuple(sorted(tags.items()))) for name, _, _, tags in server_of_a_dispatcher.samples()}
    own = ("queue", queue.rpartition("/")[2])
    assert ("s3events.events.matched", (("dag_id", "process"), own)) in tags
    assert ("s3events.messages.dead_lettered", (own, ("reason", "malformed"))) in tags
    assert ("s3events.breaker.open", (("breaker", "airflow"), own)) in tags


def test_each_run_has_its_lag_in_milliseconds(server_of_a_dispatcher: StatsdServer) -> None:
    found = [
        value for name, kind, value, _ in server_of_a_dispatcher.samples() if name.endswith("receive_to_run")
    ]
    assert len(found) == 2
    assert all(0 <= value < 60_000 for value in found)


async def test_a_wake_up_is_counted_with_its_call_and_its_lag(
    statsd: StatsdServer, sqs: Any, queue: str
) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody=object_created_body("landing", "in/a.csv"))
    trigger = S3EventTrigger(sqs_queue=queue, until=time.time() + 30, quiet_seconds=0)
    assert [event.payload async for event in trigger.run()] == [{"reason": "messages"}]
    sums = await asyncio.to_thread(statsd.sums)
    assert (sums["wake_ups"], sums["receive.calls"]) == (1, 1)
    assert any(name.endswith("lag.event_to_receive") for name, *_ in statsd.samples())


async def test_a_watcher_of_an_asset_counts_what_it_packed(
    statsd: StatsdServer, sqs: Any, queue: str
) -> None:
    if AIRFLOW < (3, 0):
        pytest.skip("assets have watchers from Airflow 3.0 on")
    sqs.send_message(QueueUrl=queue, MessageBody=object_created_body("landing", "in/a.csv"))
    async with watched(queue) as (stream, watcher):
        haul = await anext(stream.hauls())
        haul.take(watcher)
        haul.note_given(watcher)
        stream.resolve(haul)
    sums = await asyncio.to_thread(statsd.sums)
    assert (sums["events.packed"], sums["events.read"], sums["messages.received"]) == (1, 1, 1)


def test_every_name_of_the_table_comes_through_airflow_s_own_stats(statsd: StatsdServer) -> None:
    emit = emitter("task")
    assert emit is not None
    emit(
        [
            Sample(PREFIX + name, metric.kind, 1, {"queue": "q", **dict.fromkeys(metric.tags, "x")})
            for name, metric in METRICS.items()
        ]
    )
    found = {name.removeprefix(PREFIX): (kind, tuple(tags)[1:]) for name, kind, _, tags in statsd.samples()}
    assert found == {name: (metric.kind, metric.tags) for name, metric in METRICS.items()}


@pytest.mark.parametrize("process", ["task", "triggerer"])
def test_where_metrics_are_off_nothing_is_sent(process: Literal["task", "triggerer"]) -> None:
    assert emitter(process) is None


def test_the_page_s_table_is_the_code_s() -> None:
    row = re.compile(r"^\| `(s3events\.[a-z_.]+)` \| (\w+) \| ?([^|]*?) \| (.*) \|$", re.MULTILINE)
    rows = {
        name.removeprefix(PREFIX): (kind, tuple(re.findall(r"`(\w+)`", tags)), meaning)
        for name, kind, tags, meaning in row.findall(TABLE.read_text())
    }
    expected = {name: (metric.kind, metric.tags, metric.meaning) for name, metric in METRICS.items()}
    assert rows == expected
