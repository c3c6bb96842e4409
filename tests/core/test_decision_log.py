"""The log of decisions: which have a line, what is in it, and what is in no line whatever happens."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from airflow_s3events.consumer import Consumer, ConsumerSettings
from airflow_s3events.decision_lines import Limiter, key_digest
from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.journal import Journal, Order
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.exceptions import OutageError, RouteError
from airflow_s3events.filters import prefix
from airflow_s3events.ledger import Ledger, MemoryStore
from airflow_s3events.routing import Route, Routes
from airflow_s3events.testing import InMemoryQueue, object_created_body, run_in_virtual_time
from tests.core.dispatch_fakes import FakeRuns

NAMES = ("good", "nobody", "refused", "fault")
SIGNED = "https://b.s3.amazonaws.com/x?X-Amz-Credential=AKIA1&X-Amz-Signature=5160a7"


class Runs(FakeRuns):
    """Refuses with a text that quotes what it was asked, as Airflow's answers do."""

    async def create(self, dag_id: str, run_id: str, conf: dict[str, Any], note: str = "") -> bool:
        if dag_id in self.refusing:
            raise RouteError(f"conf {conf} of {run_id} is refused; see {SIGNED}")
        return await super().create(dag_id, run_id, conf, note)


def key_of(name: str) -> str:
    return f"{name}/private person.csv"


async def meet_every_decision(*, redact_keys: bool = False, holds: bool = False) -> set[str]:
    """Work until each decision has been met; return the receipt handles of all messages."""
    dead_letters = InMemoryQueue("dlq")
    queue = InMemoryQueue("landing", dead_letters=dead_letters, max_receive_count=4)
    handles = _remember_handles(queue)
    runs = Runs("process", "refusing", "forgetting")
    runs.refusing.add("refusing")
    runs.broken_by = key_of("fault")
    works = prefix("good") | prefix("stale") | prefix("fault") | prefix("again")
    routes = [Route(dag_id="process", when=works), Route(dag_id="refusing", when=prefix("refused"))]
    queue.put("no event")
    for number, name in enumerate(NAMES):
        queue.put(object_created_body("landing", key_of(name), sequencer=f"0066A1B2C3D4E5F6{number:02X}"))
    for sequencer in ("0066A1B2C3D4E5F6B2", "0066A1B2C3D4E5F6B1"):
        queue.put(object_created_body("landing", key_of("stale"), sequencer=sequencer))
    queue.faults.fail("receive", error=OutageError("SQS: planned outage"))
    queue.faults.refuse_entries("delete", times=200, indexes={0})
    lines = DecisionLog(queue=queue.arn, redact_keys=redact_keys, limiter=Limiter(most=1_000))
    settings = ConsumerSettings(idle_seconds=43_000, visibility_seconds=60)
    consumer = Consumer(queue, settings, dead_letters=dead_letters, random=lambda: 0.5, lines=lines)
    dispatcher = Dispatcher(
        inbox=consumer,
        routes=Routes(routes, unmatched="discard"),
        runs=runs,
        settings=DispatchSettings(max_receive_count=4, has_dead_letters=True, give_up_seconds=60.0),
        now=lambda: 1_800_000_000.0,
        clock=asyncio.get_running_loop().time,
        journal=Journal(Ledger(MemoryStore(), now=lambda: 0.0), Order.of("newest", ledger="sql:x")),
        lines=lines,
    )
    if holds:
        dispatcher.hold_runs("clear", 1.0)
        body = object_created_body("landing", key_of("again"), sequencer="0066A1B2C3D4E5F6C1")
        queue.put(body)
        queue.put(body)
    async with consumer:
        await dispatcher.run()
    return handles


def _remember_handles(queue: InMemoryQueue) -> set[str]:
    handles: set[str] = set()
    receive = queue.receive

    async def remembering(**kwargs: Any) -> Any:
        messages = await receive(**kwargs)
        handles.update(message.receipt_handle for message in messages)
        return messages

    queue.receive = remembering  # type: ignore[method-assign]
    return handles


def kinds(text: str) -> set[str]:
    words = [line.partition("decision=")[2].split() for line in text.splitlines() if "decision=" in line]
    outcomes = {f"{one[0]} {one[1]}" for one in words if one[1].startswith("outcome=")}
    return outcomes | {one[0] for one in words}


def test_each_decision_that_is_not_the_normal_one_has_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        run_in_virtual_time(meet_every_decision())
        run_in_virtual_time(meet_every_decision(holds=True))
    assert {
        *("released outcome=put_off", "dead_lettered outcome=gave_up", "dead_lettered outcome=malformed"),
        *("stale outcome=stale", "unmatched outcome=unmatched", "held outcome=joined", "fault"),
        *("breaker outcome=open", "breaker outcome=closed", "unsettled outcome=refused"),
    } <= kinds(caplog.text)
    assert "started" not in kinds(caplog.text)


@pytest.mark.parametrize("redact_keys", [False, True])
def test_no_line_has_a_receipt_handle_a_body_or_a_signature(
    caplog: pytest.LogCaptureFixture, *, redact_keys: bool
) -> None:
    with caplog.at_level(logging.DEBUG):
        handles = run_in_virtual_time(meet_every_decision(redact_keys=redact_keys))
        handles |= run_in_virtual_time(meet_every_decision(redact_keys=redact_keys, holds=True))
    assert len(handles) > len(NAMES)
    assert [handle for handle in handles if handle in caplog.text] == []
    for secret in ("AKIA1", "5160a7", '"Records"', "eventVersion"):
        assert secret not in caplog.text


def test_a_redacted_log_has_the_digest_of_each_key_and_no_key(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        run_in_virtual_time(meet_every_decision(redact_keys=True))
        run_in_virtual_time(meet_every_decision(redact_keys=True, holds=True))
    for word in ("private person", "private-person", "private%20person", "private+person"):
        assert word not in caplog.text
    assert f"s3://landing/{key_digest(key_of('nobody'))}" in caplog.text


def test_a_flood_is_ten_lines_and_a_number(caplog: pytest.LogCaptureFixture) -> None:
    lines = DecisionLog(queue="https://sqs.eu-west-1.amazonaws.com/123456789012/landing", clock=lambda: 5.0)
    with caplog.at_level(logging.INFO):
        for _ in range(422):
            lines.note("released", outcome="put_off")
        lines.tell_all()
    assert len(caplog.messages) == 11
    assert caplog.messages[0] == "decision=released outcome=put_off queue=landing"
    rest = "decision=released outcome=put_off ... and 412 more like this in 0 s queue=landing"
    assert caplog.messages[-1] == rest


def test_what_had_no_line_is_told_a_minute_later_though_nothing_else_happens(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        lines = DecisionLog(clock=asyncio.get_running_loop().time, limiter=Limiter(most=1))
        telling = asyncio.ensure_future(lines.run())
        for _ in range(3):
            lines.note("released")
        await asyncio.sleep(61)
        telling.cancel()

    with caplog.at_level(logging.INFO):
        run_in_virtual_time(scenario())
    assert caplog.messages == [
        "decision=released",
        "decision=released ... and 2 more like this in 60 s queue=-",
    ]
