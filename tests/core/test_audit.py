"""Audit records and their trail: what is written, what is tried again, what is lost and said."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from airflow_s3events.arns import Arn
from airflow_s3events.audit import AuditTrail
from airflow_s3events.audit_address import AuditAddress
from airflow_s3events.audit_records import AuditRecord, log_calls, object_key
from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.dispatch.starting import Outcome
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.identity import event_id
from airflow_s3events.metrics import Meter
from airflow_s3events.policies import Resources, role_policy
from airflow_s3events.settlement import Disposition
from airflow_s3events.testing import object_event, run_in_virtual_time
from tests.core.test_dispatch import World, message
from tests.core.test_dispatch import record as s3_record


def record_of(
    number: int = 0, *, event: ObjectEvent | None = None, reason: str = "", at: float = 1_800_000_000.0
) -> AuditRecord:
    return AuditRecord(
        at=at + number,
        queue="landing",
        dispatcher="dispatcher/dispatch",
        event=event,
        dag_id="process",
        run_id=None,
        outcome="started",
        disposition="acknowledge",
        reason=reason,
        message_id=f"m{number}",
        receives=1,
    )


class Store:
    """Away for so many writes."""

    def __init__(self, away: int = 0, error: Exception | None = None) -> None:
        self.away, self.error, self.tries = away, error or OutageError("S3 is away"), 0
        self.written: list[str] = []

    async def write(self, records: Sequence[AuditRecord]) -> None:
        self.tries += 1
        if self.tries <= self.away:
            raise self.error
        self.written += [record.message_id for record in records]


def trail_to(store: Any) -> tuple[AuditTrail, Meter]:
    meter = Meter("landing")
    trail = AuditTrail(
        store, meter, DecisionLog(), queue="landing", dispatcher="dispatcher/dispatch", now=lambda: 5.0
    )
    return trail, meter


def count(meter: Meter, name: str) -> float:
    return sum(sample.value for sample in meter.drain() if sample.name == f"s3events.audit.{name}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://audits", AuditAddress("s3", "audits")),
        ("s3://audits/a/b/", AuditAddress("s3", "audits", "a/b/")),
        ("logs:/aws/s3events", AuditAddress("logs", "/aws/s3events")),
    ],
)
def test_an_address_is_a_bucket_with_a_prefix_or_a_log_group(text: str, expected: AuditAddress) -> None:
    assert AuditAddress.of(text) == expected


@pytest.mark.parametrize("text", ["", "audits", "s3://", "logs:", "logs:a b", 5, None])
def test_what_is_no_address_is_refused_with_what_to_put_there(text: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"audit|bucket"):
        AuditAddress.of(text)


def test_a_record_says_when_who_what_and_why() -> None:
    event = object_event("ObjectCreated:Put", "landing", "in/a.csv")
    found = json.loads(record_of(event=event, reason="x" * 5_000).line())
    assert found["time"] == "2027-01-15T08:00:00.000Z"
    assert found["event_id"] == event_id(event)
    assert (found["key"], found["principal_id"]) == ("in/a.csv", event.principal_id)
    assert (found["dag_id"], found["outcome"], found["dispatcher"]) == (
        "process",
        "started",
        "dispatcher/dispatch",
    )
    assert len(found["reason"]) == 1_000


def test_a_second_try_of_one_write_is_the_same_object() -> None:
    records = [record_of(number) for number in range(3)]
    assert object_key("a/", records) == object_key("a/", records)
    assert object_key("a/", records).startswith("a/2027/01/15/dispatcher/dispatch/080000-")
    assert object_key("a/", records) != object_key("a/", records[:2])


def test_log_events_are_in_the_order_of_their_times_and_within_what_one_call_takes() -> None:
    assert list(log_calls([])) == []
    calls = list(log_calls([record_of(number, reason="x" * 1_000) for number in reversed(range(2_000))]))
    times = [event["timestamp"] for call in calls for event in call]
    assert times == sorted(times)
    assert len(calls) > 1
    assert all(sum(len(event["message"]) + 26 for event in call) <= 1_048_576 for call in calls)


def test_records_are_written_together_and_the_rest_at_the_end() -> None:
    async def scenario() -> tuple[Store, Meter]:
        store = Store()
        trail, meter = trail_to(store)
        async with trail:
            trail.note(record_of(1))
            trail.note(record_of(2))
            await asyncio.sleep(11)
            assert (store.tries, store.written) == (1, ["m1", "m2"])
            trail.note(record_of(3))
        return store, meter

    store, meter = run_in_virtual_time(scenario())
    assert store.written == ["m1", "m2", "m3"]
    assert count(meter, "written") == 3


@pytest.mark.parametrize("error", [OutageError("away"), ConfigurationError("denied"), ValueError("odd")])
def test_what_the_store_did_not_take_is_written_when_it_is_back(error: Exception) -> None:
    async def scenario() -> tuple[Store, Meter]:
        store = Store(away=2, error=error)
        trail, meter = trail_to(store)
        async with trail:
            trail.note(record_of(1))
            await asyncio.sleep(35)
        return store, meter

    store, meter = run_in_virtual_time(scenario())
    assert store.written == ["m1"]
    assert count(meter, "failures") == 2


def test_what_is_left_at_the_end_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> Meter:
        trail, meter = trail_to(Store(away=100))
        async with trail:
            trail.note(record_of(1))
            trail.note(record_of(2))
        return meter

    with caplog.at_level(logging.INFO):
        meter = run_in_virtual_time(scenario())
    assert count(meter, "lost") == 2
    assert "decision=audit outcome=lost lost=2" in caplog.text


def test_a_store_that_never_answers_ends_no_later_than_three_seconds() -> None:
    class Silent(Store):
        async def write(self, records: Sequence[AuditRecord]) -> None:
            await asyncio.sleep(10_000 * len(records))

    async def scenario() -> float:
        trail, _ = trail_to(Silent())
        async with trail:
            trail.note(record_of(1))
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(scenario()) <= 3.0


def test_where_there_is_no_room_the_oldest_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_s3events.audit._MOST_WAITING", 3)

    async def scenario() -> tuple[Store, Meter]:
        store = Store()
        trail, meter = trail_to(store)
        async with trail:
            for number in range(5):
                trail.note(record_of(number))
        return store, meter

    store, meter = run_in_virtual_time(scenario())
    assert store.written == ["m2", "m3", "m4"]
    assert count(meter, "lost") == 2


async def test_every_outcome_of_a_dispatcher_is_a_record() -> None:
    told: list[tuple[str, str, str | None]] = []
    world = World()
    trail, _ = trail_to(Store())

    def take(record: AuditRecord) -> None:
        told.append((record.outcome, record.dag_id, record.run_id))

    trail.note = take  # type: ignore[method-assign]
    world.dispatcher.audit = trail.note_outcomes
    await world.dispatch(message(s3_record()), message(body="no event", number=2))
    await world.dispatch(message(s3_record()))
    (name,) = world.run_ids()
    assert told == [("started", "process", name), ("malformed", "", None), ("duplicate", "process", None)]


def test_without_a_store_nothing_is_taken_down() -> None:
    trail, _ = trail_to(None)
    trail.note_outcomes(message(s3_record()), [Outcome("started", Disposition.ACKNOWLEDGE)])
    assert not trail._waiting


def test_an_audit_is_the_dispatcher_s_alone() -> None:
    with pytest.raises(ConfigurationError, match="audit"):
        role_policy("check", Resources(bucket="landing", audit="s3://audits"))


@pytest.mark.parametrize(
    ("audit", "resource", "actions"),
    [
        ("s3://audits/a", "arn:aws:s3:::audits/a/*", ["s3:PutObject"]),
        (
            "logs:/aws/s3events",
            "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/s3events:*",
            ["logs:CreateLogStream", "logs:PutLogEvents"],
        ),
    ],
)
def test_a_dispatcher_may_write_its_audit_and_nothing_else_there(
    audit: str, resource: str, actions: list[str]
) -> None:
    queue = Arn.parse("arn:aws:sqs:eu-west-1:111122223333:landing", setting="queue")
    statement = role_policy("dispatch", Resources(queue=queue, audit=audit))["Statement"][-1]
    assert (statement["Resource"], statement["Action"]) == (resource, actions)
