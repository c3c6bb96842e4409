"""``S3EventHoldTrigger`` against an emulated SQS, with Airflow's runs in memory."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from airflow_s3events import S3EventDispatchOperator
from airflow_s3events.envelopes import parse_body
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import predicate
from airflow_s3events.identity import run_id
from airflow_s3events.routing import Routes
from airflow_s3events.settlement import RunState
from airflow_s3events.testing.bodies import object_created_body
from airflow_s3events.triggers import s3_event_hold
from airflow_s3events.triggers.s3_event_hold import S3EventHoldTrigger
from tests.adapters.deferral import TaskDeferred
from tests.core.dispatch_fakes import FakeRuns
from tests.lines import AIRFLOW

pytestmark = pytest.mark.skipif(AIRFLOW < (3, 0), reason="needs Airflow 3")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
    fake = FakeRuns("process")
    monkeypatch.setattr(s3_event_hold, "trigger_runs", lambda: fake)
    monkeypatch.setattr("airflow_s3events.run_states.FIRST_ROUND_SECONDS", 0.3)
    return fake


@pytest.fixture(autouse=True)
async def places() -> AsyncIterator[None]:
    """Nothing is left of one test in the next."""
    yield
    for place in list(s3_event_hold._places.values()):
        await place.end()
    assert s3_event_hold._places == {}


def trigger(queue: str, **arguments: Any) -> S3EventHoldTrigger:
    given = {"until": time.time() + 30, "quiet_seconds": 0.0, "visibility_seconds": 30, **arguments}
    return S3EventHoldTrigger(
        name="dispatcher/dispatch/-1",
        sqs_queue=queue,
        dead_letter_queue=None,
        routes=Routes.of("process").serialize(),
        **given,
    )


async def fired(one: S3EventHoldTrigger) -> Any:
    events = one.run()
    try:
        return (await anext(events)).payload
    finally:
        await events.aclose()  # type: ignore[attr-defined]


def put(sqs: Any, queue: str, key: str, runs: FakeRuns, state: RunState | None) -> tuple[str, str]:
    """Send an event; give it a run of that state."""
    body = object_created_body("landing", key)
    sqs.send_message(QueueUrl=queue, MessageBody=body)
    name = ("process", run_id(parse_body(body, message_id="m").events[0]))
    if state is not None:
        runs.stored[name] = state
    return name


def counts(sqs: Any, queue: str) -> tuple[int, int]:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


async def eventually(probe: Callable[[], bool]) -> None:
    """Look until it is so; the machine may be busy."""
    deadline = time.monotonic() + 60
    while not probe():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def held() -> int:
    """Messages held in this triggerer."""
    keepers = [place.keeper for place in s3_event_hold._places.values()]
    return sum(len(keeper.holder) for keeper in keepers if keeper is not None)


async def holding(one: S3EventHoldTrigger) -> None:
    """A trigger, until it holds a message and its task is cleared."""
    firing = asyncio.ensure_future(fired(one))
    await eventually(lambda: held() == 1)
    firing.cancel()
    await asyncio.gather(firing, return_exceptions=True)


async def test_an_event_without_a_run_wakes_the_task_and_is_given_back(
    sqs: Any, queue: str, runs: FakeRuns
) -> None:
    put(sqs, queue, "a", runs, None)
    assert await fired(trigger(queue)) == {"reason": "messages", "held": 0}
    await eventually(lambda: counts(sqs, queue) == (1, 0))


async def test_an_event_whose_run_works_is_held_from_one_trigger_to_the_next(
    sqs: Any, queue: str, runs: FakeRuns
) -> None:
    put(sqs, queue, "a", runs, RunState.RUNNING)
    await holding(trigger(queue))
    assert counts(sqs, queue) == (0, 1)
    put(sqs, queue, "b", runs, None)
    assert await fired(trigger(queue)) == {"reason": "messages", "held": 1}
    await eventually(lambda: counts(sqs, queue) == (1, 1))


async def test_a_run_that_has_succeeded_has_its_message_deleted(sqs: Any, queue: str, runs: FakeRuns) -> None:
    put(sqs, queue, "a", runs, RunState.SUCCESS)
    name = put(sqs, queue, "b", runs, RunState.RUNNING)
    firing = asyncio.ensure_future(fired(trigger(queue)))
    await eventually(lambda: held() == 1)
    runs.stored[name] = RunState.SUCCESS
    await eventually(lambda: counts(sqs, queue) == (0, 0))
    assert held() == 0
    firing.cancel()


async def test_while_a_dag_is_full_nothing_is_received(sqs: Any, queue: str, runs: FakeRuns) -> None:
    put(sqs, queue, "a", runs, None)
    assert await fired(trigger(queue, recheck_seconds=1.0)) == {"reason": "recheck", "held": 0}
    received = sqs.receive_message(QueueUrl=queue, MessageSystemAttributeNames=["ApproximateReceiveCount"])
    assert [m["Attributes"]["ApproximateReceiveCount"] for m in received["Messages"]] == ["1"]


async def test_nobody_comes_back_and_what_is_held_is_settled_and_the_place_closed(
    sqs: Any, queue: str, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_event_hold, "_ALONE_SECONDS", 0.5)
    name = put(sqs, queue, "a", runs, RunState.RUNNING)
    await holding(trigger(queue))
    await asyncio.sleep(1.5)
    assert counts(sqs, queue) == (0, 1)
    runs.stored[name] = RunState.SUCCESS
    await eventually(lambda: s3_event_hold._places == {})
    assert counts(sqs, queue) == (0, 0)


async def test_other_settings_give_back_what_was_held_under_the_old_ones(
    sqs: Any, queue: str, runs: FakeRuns
) -> None:
    put(sqs, queue, "a", runs, RunState.RUNNING)
    await holding(trigger(queue))
    firing = asyncio.ensure_future(fired(trigger(queue, max_held=7)))
    await eventually(lambda: {p.settings["max_held"] for p in s3_event_hold._places.values()} == {7})
    await eventually(lambda: held() == 1)
    firing.cancel()


@pytest.mark.usefixtures("runs", "endpoint")
async def test_a_queue_that_does_not_exist_fails_the_trigger() -> None:
    with pytest.raises(ConfigurationError, match="sqs_queue"):
        await fired(trigger("nowhere"))


def test_it_is_made_again_of_what_it_serializes_and_that_is_plain() -> None:
    one = trigger("landing", until=1.0)
    path, kwargs = one.serialize()
    assert path.rpartition(".")[2] == "S3EventHoldTrigger"
    assert S3EventHoldTrigger(**json.loads(json.dumps(kwargs))).serialize() == (path, kwargs)


class TestOperator:
    """``acknowledge="run_succeeded"`` of the operator."""

    def _operator(self, queue: str, **arguments: Any) -> S3EventDispatchOperator:
        return S3EventDispatchOperator(
            task_id="dispatch", sqs_queue=queue, routes="process", acknowledge="run_succeeded", **arguments
        )

    def _let_receive(self, sqs: Any, queue: str, times: int) -> None:
        found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])["Attributes"]
        policy = json.loads(found["RedrivePolicy"]) | {"maxReceiveCount": times}
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": json.dumps(policy)})

    def test_defers_first_to_the_trigger_that_knows_what_is_held(self, sqs: Any, queue: str) -> None:
        self._let_receive(sqs, queue, 20)
        with pytest.raises(TaskDeferred) as deferred:
            self._operator(queue).execute({})
        assert isinstance(deferred.value.trigger, S3EventHoldTrigger)

    def test_refuses_a_queue_with_too_few_receives(self, queue: str) -> None:
        with pytest.raises(ConfigurationError, match="maxReceiveCount=5"):
            self._operator(queue).execute({})

    def test_refuses_a_queue_that_keeps_messages_too_short(self, sqs: Any, queue: str) -> None:
        self._let_receive(sqs, queue, 40)
        with pytest.raises(ConfigurationError, match="MessageRetentionPeriod"):
            self._operator(queue, expected_hold_seconds=3 * 86_400).execute({})

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ({"max_held": 2001}, "max_held"),
            ({"max_held": 0}, "max_held"),
            ({"on_redelivery": "restart"}, "on_redelivery"),
            ({"retry_delay_seconds": -1}, "retry_delay_seconds"),
        ],
    )
    def test_a_setting_that_cannot_work_is_named(self, arguments: dict[str, Any], named: str) -> None:
        with pytest.raises(ConfigurationError, match=named):
            self._operator("landing", **arguments).check_settings()


async def test_a_predicate_that_is_not_here_is_named_before_anything_is_received(
    sqs: Any, queue: str, runs: FakeRuns
) -> None:
    put(sqs, queue, "a.csv", runs, None)
    one = trigger(queue)
    one.routes = Routes.of({"process": predicate("not_on_triggerers:wanted")}).serialize()
    with pytest.raises(ConfigurationError, match=r"routes: 'process': predicate 'not_on_triggerers:wanted'"):
        await fired(one)
    assert counts(sqs, queue) == (1, 0)
