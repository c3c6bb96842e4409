"""Object events a second from a queue into asset events, beside what bounds them and beside stock Airflow.

Three comparisons, each in one run:

1. Fed by a queue in memory, beside ``Trigger.submit_event`` alone on packs of the same size: what Airflow's
   database takes. Airflow's own manager of shared streams drives our trigger; what its two processes do
   around it (sync once a second, store, confirm at the next sync) is done here by a loop and a thread.
2. The same behind an embedded AWS, until all messages are deleted, beside a bare aiobotocore loop that
   receives and deletes. The embedded AWS goes through its whole queue for each message that is deleted,
   messages in flight included, so a third side shows what that costs: the bare loop, deleting each message as
   late as Airflow's confirmation lets ours delete it.
3. A whole Airflow: ours, the stock trigger with its defaults, and with its greatest batches and shortest
   delays. A rate is the number of object events, those of the first asset event left out, over the time from
   the first asset event to the last, by Airflow's database. While ours works, a second triggerer that has
   nothing to do counts how often this load alone makes Airflow say that its loop was blocked.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.testing import InMemoryQueue, object_created_body
from tests.benchmarks import report
from tests.benchmarks.stage import Stage, staged
from tests.system.postgres import Postgres

_SYNC_SECONDS = 1.0
#: From receiving a message to deleting it, at the least: Airflow's next sync, and as long again, since what
#: it says about a watcher that is going may not be believed sooner (docs/decisions/0009-assets.md).
_CONFIRMED_SECONDS = 2.0
_PACK = 100


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--objects", type=int, default=20_000, help="of each round of 1, and of ours in 3")
    options.add_argument("--behind", type=int, default=8_000, help="objects of each round of 2")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--stock", type=int, default=50, help="objects for stock with its defaults")
    options.add_argument("--tuned", type=int, default=1_000, help="objects for stock as fast as it gets")
    chosen = options.parse_args()
    load = report.wait_quiet(chosen.quiet_seconds)
    with Postgres() as postgres, tempfile.TemporaryDirectory() as folder, EmbeddedAws(Path(folder)) as aws:
        trigger_id = _prepare_database(postgres.create_database("airflow"), Path(folder))
        _without_roll()
        memory = [_memory_round(trigger_id, chosen.objects) for _ in range(chosen.rounds)]
        behind = [_aws_round(aws, trigger_id, chosen.behind, number) for number in range(chosen.rounds)]
    with staged("assets", prepare=_queues("ours"), environment=_QUEUES) as stage:
        _start_idle_triggerer(stage)
        whole = {"ours": _whole(stage, "ours", chosen.objects)}
        blocked = {name: _blocked(stage, name) for name in ("triggerer", _IDLE)}
    with staged("assets", prepare=_queues("stock", "tuned")) as stage:
        whole |= {
            "tuned": _whole(stage, "tuned", chosen.tuned),
            "stock": _whole(stage, "stock", chosen.stock),
        }
    result = {"load_before": load, "load_after": os.getloadavg()[0], **_counts(chosen), "blocked": blocked}
    result |= _result(memory, behind, whole) | {"rounds": {"memory": memory, "behind_aws": behind}}
    report.publish("asset_throughput", "Object events a second", _text(result), result, write=chosen.write)


def _counts(chosen: argparse.Namespace) -> dict[str, int]:
    names = {"objects": chosen.objects, "behind_objects": chosen.behind}
    return {**names, "stock_objects": chosen.stock, "tuned_objects": chosen.tuned}


# --- a database, and what Airflow's main process does with it ---


def _prepare_database(url: str, folder: Path) -> int:
    """Make Airflow's tables, and an asset with our watcher and a DAG on it; return the trigger's id."""
    os.environ |= {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
    from airflow.models.asset import AssetModel, DagScheduleAssetReference
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    with create_session() as session:
        trigger = Trigger(classpath="any", kwargs={})
        asset = AssetModel(name="landing", uri="landing", group="asset", extra={})
        session.add_all([DagBundleModel(name="bundle"), trigger, asset])
        session.flush()
        asset.add_trigger(trigger, "landing")
        session.add(DagModel(dag_id="process", bundle_name="bundle", is_paused=False))
        session.flush()
        session.add(DagScheduleAssetReference(dag_id="process", asset_id=asset.id))
        return int(trigger.id)


def _without_roll() -> None:
    """There is no triggerer here that could keep an Airflow variable."""
    from airflow_s3events.triggers.watching.roll import Roll

    async def nothing(_: Roll) -> bool:
        """Nobody else."""
        return False

    Roll._look = nothing  # type: ignore[assignment, method-assign]


def _submit(trigger_id: int, events: list[Any]) -> None:
    from airflow.models.trigger import Trigger

    for event in events:
        Trigger.submit_event(trigger_id, event)


def _floor(trigger_id: int, count: int) -> float:
    """Object events a second that ``submit_event`` alone takes, in packs as large as ours."""
    from airflow_s3events import S3EventAssetTrigger
    from airflow_s3events.envelopes import parse_body
    from airflow_s3events.packs import PackedEvent

    bodies = (_body(number) for number in range(count))
    share = [PackedEvent.of(parse_body(body, message_id="m").events[0]) for body in bodies]
    events = list(S3EventAssetTrigger(sqs_queue="q", pack_count=_PACK)._events(share))
    start = time.perf_counter()
    _submit(trigger_id, events)
    return count / (time.perf_counter() - start)


async def _work_off(trigger: Any, trigger_id: int, count: int, queue_is_empty: Any) -> tuple[float, float]:
    """Run ``trigger`` until ``count`` object events are stored, and their messages deleted; both times."""
    from airflow.triggers.shared_stream import SharedStreamManager

    manager, fired, stored = SharedStreamManager(), list[tuple[Any, int]](), 0
    key = trigger.shared_stream_key()

    async def watch() -> None:
        async for event in trigger.filter_shared_stream(
            manager.subscribe(trigger_id=1, trigger=trigger, key=key)
        ):
            seq = manager.bind_pending_event(trigger_id=1, key=key)
            assert seq is not None
            fired.append((event, seq))

    watching = asyncio.ensure_future(watch())
    while not fired:  # noqa: ASYNC110 - as Airflow's loop looks from time to time
        await asyncio.sleep(0.001)
    start = time.perf_counter()
    while stored < count:
        batch, fired[:] = list(fired), []
        events = [event for event, _ in batch]
        await asyncio.gather(asyncio.to_thread(_submit, trigger_id, events), asyncio.sleep(_SYNC_SECONDS))
        stored += sum(len(event.payload["s3_events"]) for event in events)
        manager.confirm_persisted([seq for _, seq in batch])
    stored_at = time.perf_counter()
    while not await queue_is_empty():  # noqa: ASYNC110 - a queue tells nobody
        await asyncio.sleep(0.01)
    deleted_at = time.perf_counter()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await manager.unsubscribe(1, key)
    return count / (stored_at - start), count / (deleted_at - start)


# --- 1: a queue in memory ---


def _memory_round(trigger_id: int, count: int) -> dict[str, float]:
    floor = _floor(trigger_id, count)
    stored, deleted = asyncio.run(_from_memory(trigger_id, count))
    return {"floor": floor, "stored": stored, "deleted": deleted}


async def _from_memory(trigger_id: int, count: int) -> tuple[float, float]:
    from airflow_s3events import S3EventAssetTrigger
    from airflow_s3events.aws_clock import AwsClock
    from airflow_s3events.consumer import Consumer
    from airflow_s3events.hauls import HaulSettings, HaulStream
    from airflow_s3events.triggers.watching.producer import HaulProducer
    from airflow_s3events.triggers.watching.sessions import QueueArguments, consumer_settings, watchers_of
    from airflow_s3events.triggers.watching.source import HaulSource
    from airflow_s3events.watchers import Watchers

    queue = InMemoryQueue(visibility_seconds=300)
    for number in range(count):
        queue.put(_body(number))

    async def opened(
        stack: AsyncExitStack, arguments: QueueArguments, watchers: Watchers, _: AwsClock
    ) -> HaulStream:
        consumer = await stack.enter_async_context(Consumer(queue, consumer_settings(arguments)))
        return HaulStream(consumer, watchers, HaulSettings())

    class InMemory(S3EventAssetTrigger):
        @classmethod
        def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> HaulProducer:
            arguments = QueueArguments.of(kwargs)
            return HaulProducer(HaulSource(arguments, watchers_of(arguments), open_stream=opened))

    async def is_empty() -> bool:
        return not len(queue)

    return await _work_off(InMemory(sqs_queue="memory", pack_count=_PACK), trigger_id, count, is_empty)


# --- 2: an embedded AWS ---


def _aws_round(aws: EmbeddedAws, trigger_id: int, count: int, number: int) -> dict[str, float]:
    os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = aws.connection

    def filled(side: str) -> str:
        url = str(aws.sqs.create_queue(QueueName=f"{side}-{number}")["QueueUrl"])
        _fill(aws, url, count)
        return url

    bare = asyncio.run(_bare(aws, filled("bare"), count))
    late = asyncio.run(_bare(aws, filled("late"), count, hold_seconds=_CONFIRMED_SECONDS))
    stored, deleted = asyncio.run(_behind_aws(aws, filled("ours"), trigger_id, count))
    return {"bare": bare, "late": late, "stored": stored, "deleted": deleted}


async def _bare(aws: EmbeddedAws, url: str, count: int, *, hold_seconds: float = 0.0) -> float:
    from aiobotocore.session import get_session

    client = get_session().create_client(
        "sqs",
        endpoint_url=aws.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    async with client as sqs:

        async def delete(got: list[Any]) -> None:
            await asyncio.sleep(hold_seconds)
            entries = [
                {"Id": str(index), "ReceiptHandle": one["ReceiptHandle"]} for index, one in enumerate(got)
            ]
            await sqs.delete_message_batch(QueueUrl=url, Entries=entries)

        start, done, held = time.perf_counter(), 0, list[asyncio.Task[None]]()
        while done < count:
            answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
            if got := answer.get("Messages", []):
                held.append(asyncio.ensure_future(delete(got)))
                if not hold_seconds:
                    await held.pop()
            done += len(got)
        await asyncio.gather(*held)
        return count / (time.perf_counter() - start)


async def _behind_aws(aws: EmbeddedAws, url: str, trigger_id: int, count: int) -> tuple[float, float]:
    from airflow_s3events import S3EventAssetTrigger

    async def is_empty() -> bool:
        return await asyncio.to_thread(aws.counts, url) == (0, 0)

    trigger = S3EventAssetTrigger(sqs_queue=url, pack_count=_PACK)
    return await _work_off(trigger, trigger_id, count, is_empty)


# --- 3: a whole Airflow ---

_IDLE = "idle-triggerer"
_QUEUES = {"AIRFLOW__TRIGGERER__QUEUES_ENABLED": "True"}


def _start_idle_triggerer(stage: Stage) -> None:
    """Start a triggerer for a queue of which nothing comes: watchers have none."""
    command = [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs", "--queues", "nothing"]
    stage.cluster.processes.start(_IDLE, command, stage.cluster.variables)
    triggerers = "SELECT count(*) FROM job WHERE job_type = 'TriggererJob' AND state = 'running'"
    stage.wait("the idle triggerer", lambda: stage.rows(triggerers)[0][0] == 2)
    # Starting it is load that would fall on one side only.
    time.sleep(15)


def _blocked(stage: Stage, name: str) -> list[float]:
    """Seconds of each warning that the loop of a triggerer was blocked, of those above 0.2 s."""
    log = stage.cluster.processes.log_path(name).read_text(errors="replace")
    return [float(seconds) for seconds in re.findall(r"async thread was blocked for ([0-9.]+) seconds", log)]


def _queues(*names: str) -> Callable[[EmbeddedAws], Mapping[str, str]]:
    def prepare(aws: EmbeddedAws) -> Mapping[str, str]:
        queues = {name: aws.sqs.create_queue(QueueName=name)["QueueUrl"] for name in names}
        return {f"BENCHMARK_{name.upper()}": url for name, url in queues.items()}

    return prepare


def _whole(stage: Stage, name: str, count: int) -> float:
    stage.cluster.wait_for_dag(name)
    _fill(stage.aws, stage.cluster.variables[f"BENCHMARK_{name.upper()}"], count)
    stage.wait(f"{name}'s asset events", lambda: sum(size for _, size in _stored(stage, name)) >= count, 900)
    events = _stored(stage, name)
    later = sum(size for _, size in events[1:])
    return later / (events[-1][0] - events[0][0])


def _stored(stage: Stage, name: str) -> list[tuple[float, int]]:
    """When each asset event was stored, and how many object events it holds."""
    member = "s3_events" if name == "ours" else "message_batch"
    sql = f"""
        SELECT EXTRACT(EPOCH FROM e.timestamp), json_array_length(e.extra -> 'payload' -> '{member}')
        FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.name = :name ORDER BY 1
    """  # noqa: S608 - one of two words
    return [(float(at), int(size)) for at, size in stage.rows(sql, name=name)]


# --- all three ---


def _body(number: int) -> str:
    return object_created_body("landing", f"incoming/file {number:06}.csv")


def _fill(aws: EmbeddedAws, url: str, count: int) -> None:
    for first in range(0, count, 10):
        entries = [
            {"Id": str(number - first), "MessageBody": _body(number)}
            for number in range(first, min(first + 10, count))
        ]
        aws.sqs.send_message_batch(QueueUrl=url, Entries=entries)


def _result(
    memory: list[dict[str, float]], behind: list[dict[str, float]], whole: Mapping[str, float]
) -> dict[str, Any]:
    def middle(rounds: list[dict[str, float]]) -> dict[str, float]:
        return {name: round(statistics.median([one[name] for one in rounds]), 1) for name in rounds[0]}

    one, two = middle(memory), middle(behind)
    return {
        "memory": one,
        "behind_aws": two,
        "whole": {name: round(rate, 2) for name, rate in whole.items()},
        "of_floor": round(one["stored"] / one["floor"], 3),
        "of_bare": round(two["deleted"] / two["bare"], 3),
        "of_late": round(two["deleted"] / two["late"], 3),
        "times_stock": round(whole["ours"] / whole["stock"], 1),
        "times_tuned": round(whole["ours"] / whole["tuned"], 1),
    }


def _text(result: Mapping[str, Any]) -> str:
    memory, behind, whole = result["memory"], result["behind_aws"], result["whole"]
    rows = [
        {"": "1. `submit_event` alone, packs of 100", "object events/s": memory["floor"]},
        {"": "1. ours, from a queue in memory, until stored", "object events/s": memory["stored"]},
        {"": "1. the same, until deleted", "object events/s": memory["deleted"]},
        {"": "2. bare loop, receive and delete", "object events/s": behind["bare"]},
        {"": "2. the same, deleting two seconds after", "object events/s": behind["late"]},
        {"": "2. ours, behind the same AWS, until stored", "object events/s": behind["stored"]},
        {"": "2. the same, until deleted", "object events/s": behind["deleted"]},
        {"": "3. ours, whole Airflow", "object events/s": whole["ours"]},
        {"": "3. stock, greatest batches, shortest delays", "object events/s": whole["tuned"]},
        {"": "3. stock with its defaults", "object events/s": whole["stock"]},
    ]
    return (
        f"{report.table(rows)}\n\n"
        f"**{result['of_floor']}** of `submit_event` alone (bar: 0.5), **{result['of_bare']}** of the bare "
        f"loop (bar: 0.7), {result['of_late']} of the one that deletes as late, "
        f"**{result['times_stock']}** times stock with its defaults (bar: 100) and "
        f"{result['times_tuned']} times stock tuned. {result['objects']} objects a round, "
        f"{result['behind_objects']} behind AWS, "
        f"{result['tuned_objects']} and {result['stock_objects']} for stock. Airflow said that a triggerer's "
        f"loop was blocked for more than 0.2 s: **{len(result['blocked']['triggerer'])}** times of ours, "
        f"from its start to the end of its load; {len(result['blocked'][_IDLE])} times of one that had "
        f"nothing to do beside it. "
        f"Load average before {result['load_before']:.2f}, at the end {result['load_after']:.2f}."
    )


if __name__ == "__main__":
    main()
