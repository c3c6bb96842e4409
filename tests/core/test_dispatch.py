"""From messages to runs: one test for each row of the decision table, and for each way to fail."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.exceptions import ChannelError, OutageError
from airflow_s3events.filters import predicate, prefix
from airflow_s3events.messages import ATTEMPT_ATTRIBUTE, Message
from airflow_s3events.routing import Route, Routes
from airflow_s3events.settlement import RunState
from tests.core.dispatch_fakes import FakeInbox, FakeRuns

NOW = 1_800_000_000.0


def record(
    key: str = "a.csv", sequencer: str = "0066A1B2C3D4E5F601", when: str = "2026-11-23T10:00:00.000Z"
) -> dict[str, Any]:
    return {
        "eventVersion": "2.6",
        "eventSource": "aws:s3",
        "awsRegion": "eu-west-1",
        "eventTime": when,
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "landing"}, "object": {"key": key, "size": 3, "sequencer": sequencer}},
    }


def message(*records: dict[str, Any], body: str | None = None, number: int = 1, **kwargs: Any) -> Message:
    text = json.dumps({"Records": list(records)}) if body is None else body
    kwargs.setdefault("sent_at", NOW)
    return Message(message_id=f"m{number}", receipt_handle="secret", body=text, **kwargs)


class World:
    """A dispatcher over fakes."""

    def __init__(self, routes: Any = "process", **settings: Any) -> None:
        self.runs = FakeRuns("process", "archive")
        self.inbox = FakeInbox()
        self.seconds = 0.0
        self.dispatcher = Dispatcher(
            inbox=self.inbox,
            routes=Routes.of(routes),
            runs=self.runs,
            settings=DispatchSettings(**settings),
            now=lambda: NOW,
            clock=lambda: self.seconds,
        )

    async def dispatch(self, *messages: Message) -> None:
        self.inbox.fates.clear()
        await self.dispatcher.dispatch(messages)

    def fate(self, number: int = 1) -> tuple[str, str]:
        fate, reason, _ = self.inbox.fates[f"m{number}"]
        return fate, reason

    def run_ids(self) -> list[str]:
        return [run_id for _, run_id in self.runs.stored]

    def set_state(self, state: RunState) -> None:
        for name in self.runs.stored:
            self.runs.stored[name] = state


async def test_an_event_starts_a_run_that_has_it_in_conf() -> None:
    world = World()
    await world.dispatch(message(record(key="in/a.csv")))
    (conf,) = world.runs.confs.values()
    assert conf["s3_event"]["bucket"] == "landing"
    assert conf["s3_event"]["key"] == "in/a.csv"
    assert world.run_ids()[0].endswith(conf["s3_event"]["event_id"])
    assert world.fate() == ("acknowledged", "")


async def test_a_run_is_read_back_before_its_message_is_acknowledged() -> None:
    world = World()
    world.runs.forgetful = True
    await world.dispatch(message(record()))
    assert world.fate() == ("released", "Airflow took the run but does not have it")


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING, RunState.SUCCESS, RunState.FAILED])
async def test_a_repeat_of_an_event_is_acknowledged_whatever_its_run_did(state: RunState) -> None:
    world = World()
    await world.dispatch(message(record()))
    world.set_state(state)
    await world.dispatch(message(record(), number=2))
    assert len(world.runs.stored) == 1
    assert world.fate(2) == ("acknowledged", "")


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING, RunState.SUCCESS])
async def test_an_attempt_does_not_restart_a_run_that_has_not_failed(state: RunState) -> None:
    world = World()
    await world.dispatch(message(record()))
    world.set_state(state)
    await world.dispatch(message(record(), attributes={ATTEMPT_ATTRIBUTE: "1"}))
    assert len(world.runs.stored) == 1
    fate = ("released", "attempt 1 waits for the end of the run before it")
    assert world.fate() == (("acknowledged", "") if state is RunState.SUCCESS else fate)


async def test_an_attempt_restarts_a_failed_run_once_for_each_attempt_number() -> None:
    world = World()
    await world.dispatch(message(record()))
    world.set_state(RunState.FAILED)
    for _ in range(2):
        await world.dispatch(message(record(), attributes={ATTEMPT_ATTRIBUTE: "1"}))
    world.set_state(RunState.FAILED)
    await world.dispatch(message(record(), attributes={ATTEMPT_ATTRIBUTE: "2"}))
    base = world.run_ids()[0]
    assert world.run_ids() == [base, f"{base}_a1", f"{base}_a2"]


async def test_an_attempt_for_an_event_that_never_ran_starts_its_first_run() -> None:
    world = World()
    await world.dispatch(message(record(), attributes={ATTEMPT_ATTRIBUTE: "3"}))
    assert world.run_ids()[0].endswith(world.runs.confs.popitem()[1]["s3_event"]["event_id"])


@pytest.mark.parametrize("attempt", ["9999999999", "9" * 5000, "-1", "one", "\u00b2"])
async def test_an_attempt_that_is_no_number_is_a_plain_delivery_and_crashes_nothing(attempt: str) -> None:
    world = World()
    await world.dispatch(message(record(), attributes={ATTEMPT_ATTRIBUTE: attempt}))
    assert len(world.runs.stored) == 1
    assert world.fate() == ("acknowledged", "")


@pytest.mark.parametrize("depth", [50, 400, 950, 5000])
async def test_a_record_nested_however_deep_neither_crashes_nor_stops_the_others(depth: int) -> None:
    world = World()
    nested = json.dumps({"Records": [{**record(), "replicationEventData": {"a": "deep"}}]})
    body = nested.replace('"deep"', '{"a":' * depth + "1" + "}" * depth)
    await world.dispatch(message(body=body), message(record(key="b"), number=2))
    assert world.fate(1)[0] in {"acknowledged", "dead-lettered", "released"}
    assert world.fate(2) == ("acknowledged", "")


async def test_a_dag_deleted_before_its_run_was_read_back_keeps_the_event() -> None:
    world = World()
    world.runs.dies_after_create = True
    await world.dispatch(message(record()))
    assert world.fate()[0] == "released"


async def test_a_dead_letter_queue_that_refuses_the_copy_does_not_keep_the_others_waiting() -> None:
    world = World()
    world.inbox.dead_letters_refused = "AccessDenied"
    await world.dispatch(message(body="no event"), message(record(), number=2))
    fate, reason = world.fate(1)
    assert fate == "released"
    assert "AccessDenied" in reason
    assert world.fate(2) == ("acknowledged", "")


async def test_a_clash_with_another_unique_key_is_not_taken_for_a_repeat() -> None:
    world = World()
    world.runs.taken_elsewhere.add("process")
    await world.dispatch(message(record()))
    fate, reason = world.fate()
    assert fate == "released"
    assert "another run" in reason


async def test_a_thousand_events_of_one_time_are_a_thousand_runs() -> None:
    world = World(Route(dag_id="process", max_queued_runs=2000))
    records = [record(sequencer=f"0066A1B2C3{number:08X}") for number in range(1000)]
    await world.dispatch(*(message(r, number=n) for n, r in enumerate(records)))
    assert len(world.runs.stored) == 1000
    assert world.dispatcher.counts["started"] == 1000


async def test_a_body_that_is_no_event_is_dead_lettered_with_the_reason() -> None:
    world = World()
    await world.dispatch(message(body="hello"))
    fate, reason = world.fate()
    assert fate == "dead-lettered"
    assert reason
    assert world.dispatcher.counts["malformed"] == 1


async def test_the_good_records_of_a_message_with_a_bad_one_start_and_the_message_is_dead_lettered() -> None:
    world = World()
    await world.dispatch(message(record(key="a"), {"s3": {}}, record(key="b")))
    assert len(world.runs.stored) == 2
    fate, reason = world.fate()
    assert fate == "dead-lettered"
    assert reason.startswith("record 1:")


async def test_a_test_event_is_acknowledged_and_starts_nothing() -> None:
    world = World()
    body = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "landing"})
    await world.dispatch(message(body=body))
    assert world.fate() == ("acknowledged", "")
    assert not world.runs.stored


async def test_several_records_of_one_message_are_several_runs() -> None:
    world = World()
    await world.dispatch(message(record(key="a"), record(key="b"), record(key="c")))
    assert len(world.runs.stored) == 3


async def test_a_message_is_kept_when_one_of_its_records_could_not_start() -> None:
    world = World({"process": prefix("in/"), "archive": prefix("old/")})
    world.runs.refusing.add("process")
    await world.dispatch(message(record(key="in/a"), record(key="old/b")))
    assert len(world.runs.stored) == 1
    assert world.fate()[0] == "released"


@pytest.mark.parametrize(
    ("unmatched", "fate"),
    [("discard", "acknowledged"), ("dead-letter", "dead-lettered"), ("leave", "lapsed")],
)
async def test_an_event_that_no_route_takes_has_the_fate_the_user_chose(unmatched: Any, fate: str) -> None:
    routes = Routes([Route(dag_id="process", when=prefix("in/"))], unmatched=unmatched)
    world = World(routes)
    await world.dispatch(message(record(key="out/a")))
    assert world.fate()[0] == fate
    assert world.dispatcher.counts["unmatched"] == 1


async def test_an_event_older_than_ignore_before_is_acknowledged_and_counted() -> None:
    world = World(ignore_before=datetime(2026, 11, 23, 12, tzinfo=timezone.utc))
    await world.dispatch(
        message(record(when="2026-11-23T11:59:59.999Z")),
        message(record(when="2026-11-23T12:00:00.000Z", sequencer="0066A1B2C3D4E5F602"), number=2),
    )
    assert len(world.runs.stored) == 1
    assert world.dispatcher.counts["ignored"] == 1
    assert world.fate(1) == ("acknowledged", "")


async def test_a_dag_that_does_not_exist_parks_its_route_and_lets_the_others_go_on() -> None:
    world = World({"absent": prefix("x/"), "process": prefix("in/")})
    await world.dispatch(message(record(key="x/a")), message(record(key="in/a"), number=2))
    assert world.fate(1)[0] == "released"
    assert world.fate(2)[0] == "acknowledged"


async def test_an_event_that_airflow_cannot_make_a_run_of_does_not_keep_the_others_waiting() -> None:
    world = World()
    world.runs.unstorable = {"odd"}
    await world.dispatch(message(record(key="odd")), message(record(key="fine"), number=2))
    assert world.fate(1)[0] == "released"
    assert world.fate(2) == ("acknowledged", "")


async def test_a_fault_of_ours_puts_its_message_off_and_lets_the_others_go_on() -> None:
    world = World()
    world.runs.broken_by = "odd"
    await world.dispatch(message(record(key="odd")), message(record(key="fine"), number=2))
    assert world.fate(1) == ("released", "unexpected ZeroDivisionError: odd")
    assert world.fate(2) == ("acknowledged", "")


async def test_a_fault_of_ours_ends_in_the_dead_letter_queue_after_its_attempts_and_its_age() -> None:
    world = World()
    world.runs.broken_by = "odd"
    await world.dispatch(message(record(key="odd"), sent_at=NOW - 7 * 3600, receive_count=5))
    assert world.fate()[0] == "dead-lettered"


async def test_several_such_events_in_a_row_park_the_route() -> None:
    world = World()
    world.runs.unstorable = {"odd1", "odd2", "odd3"}
    odd = [message(record(key=f"odd{number}"), number=number) for number in (1, 2, 3)]
    await world.dispatch(*odd, message(record(key="fine"), number=4))
    assert world.fate(4)[0] == "released"
    world.seconds = 31.0
    await world.dispatch(message(record(key="fine"), number=4))
    assert world.fate(4) == ("acknowledged", "")


async def test_a_parked_route_is_not_asked_again_until_its_time() -> None:
    world = World()
    world.runs.refusing.add("process")
    await world.dispatch(message(record()))
    world.runs.calls.clear()
    await world.dispatch(message(record()))
    assert world.runs.calls == []
    world.runs.refusing.clear()
    world.seconds = 31.0
    await world.dispatch(message(record()))
    assert world.fate() == ("acknowledged", "")


async def test_a_refused_event_is_dead_lettered_only_after_its_attempts_and_its_age() -> None:
    world = World()
    world.runs.refusing.add("process")
    old, young = NOW - 7 * 3600, NOW - 60
    await world.dispatch(
        message(record(), number=1, sent_at=old, receive_count=4),
        message(record(), number=2, sent_at=young, receive_count=50),
        message(record(), number=3, sent_at=old, receive_count=5),
    )
    assert [world.fate(number)[0] for number in (1, 2, 3)] == ["released", "released", "dead-lettered"]
    assert "import errors" in world.fate(3)[1]


async def test_the_last_receive_that_sqs_allows_is_dead_lettered_by_us_with_the_reason() -> None:
    world = World(max_receive_count=3)
    world.runs.refusing.add("process")
    await world.dispatch(message(record(), receive_count=3))
    fate, reason = world.fate()
    assert fate == "dead-lettered"
    assert "maxReceiveCount=3" in reason


async def test_a_paused_dag_gets_no_run_and_its_event_never_gives_up() -> None:
    world = World()
    world.runs.paused.add("process")
    await world.dispatch(message(record(), sent_at=NOW - 90 * 3600, receive_count=40))
    assert not world.runs.stored
    assert world.fate() == ("released", "DAG 'process' is paused")


async def test_a_full_dag_gets_no_more_runs() -> None:
    world = World(Route(dag_id="process", max_queued_runs=2))
    await world.dispatch(*(message(record(key=str(n)), number=n) for n in range(4)))
    assert len(world.runs.stored) == 2
    assert world.fate(3)[0] == "released"


async def test_a_dispatcher_whose_dags_all_wait_says_so_before_it_receives() -> None:
    world = World([Route(dag_id="process", when=prefix("in/")), Route(dag_id="archive", max_queued_runs=1)])
    assert await world.dispatcher.waiting() is None
    world.seconds = 100.0
    world.runs.paused.add("process")
    world.runs.stored["archive", "x"] = RunState.QUEUED
    closed = await world.dispatcher.waiting()
    assert closed is not None
    assert closed.retry_seconds == 30.0


async def test_objects_that_come_each_few_seconds_never_wait_for_the_answer_about_their_dag() -> None:
    world = World()
    await world.dispatcher.waiting()
    for number in range(10):
        world.seconds += 3
        world.runs.calls.clear()
        await world.dispatch(message(record(key=f"in/{number}")))
        assert world.runs.calls == ["create", "count_stored"]
        await world.dispatcher.waiting()


async def test_a_missing_dag_is_not_waiting_so_its_events_can_be_dead_lettered() -> None:
    assert await World("absent").dispatcher.waiting() is None


async def test_an_outage_is_waited_out_and_the_message_is_not_released() -> None:
    world = World()
    world.runs.outages = ["away", "away", "away"]
    await world.dispatch(message(record()))
    assert world.inbox.waits == 3
    assert world.fate() == ("acknowledged", "")
    assert len(world.runs.stored) == 1


async def test_an_outage_during_a_stop_leaves_the_message_unsettled() -> None:
    world = World()
    world.runs.outages = ["away"] * 9
    world.inbox.stop_after_waits = 2
    with pytest.raises(OutageError):
        await world.dispatch(message(record()))
    assert world.inbox.fates == {}


async def test_a_dispatcher_that_has_lost_airflow_ends_and_settles_nothing() -> None:
    world = World()
    world.runs.is_gone = True
    with pytest.raises(ChannelError):
        await world.dispatch(message(record()), message(record(key="b"), number=2))
    assert world.inbox.fates == {}


async def test_a_stopping_dispatcher_starts_nothing_new() -> None:
    world = World()
    world.inbox.stopping = True
    await world.dispatch(message(record()))
    assert world.inbox.fates == {}
    assert not world.runs.stored


async def test_a_predicate_that_fails_parks_its_route_and_keeps_the_event() -> None:
    world = World({"process": predicate("tests.core.no_such_module:wanted")})
    await world.dispatch(message(record()))
    assert world.fate()[0] == "released"
