"""The private channel of a task, held to its shape: these fail where another Airflow speaks otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, get_args

import pytest

from airflow_s3events._compat import supervisor_runs
from airflow_s3events._compat.supervisor_runs import SupervisorRuns, patience_seconds
from airflow_s3events.exceptions import ChannelError, OutageError, RouteError, RunRefusedError
from airflow_s3events.settlement import RunState
from tests.adapters.channel import Channel, decoded
from tests.lines import AIRFLOW

if AIRFLOW < (3, 0):
    pytest.skip("Airflow 2 has no such channel", allow_module_level=True)

from airflow.sdk.execution_time import comms
from pydantic import ValidationError

CONF = {"s3_event": {"key": "a"}}
RUN = ("process", "s3_a_0")


#: Messages that Airflow 3.2 brought.
SINCE_3_2 = pytest.mark.skipif(AIRFLOW < (3, 2), reason="Airflow 3.2 brought GetDag")


def runs(*, server_errors_park: bool = False) -> SupervisorRuns:
    return SupervisorRuns(server_errors_park=server_errors_park)


def refusal(status: int | None, **inner: Any) -> dict[str, Any]:
    return {"status_code": status, "message": "m", "detail": {"detail": inner} if inner else None}


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("TriggerDagRun", {"dag_id", "run_id", "conf", "logical_date", "reset_dag_run"}),
        ("GetDagRunState", {"dag_id", "run_id"}),
        ("GetDRCount", {"dag_id", "run_ids", "states"}),
        pytest.param("GetDag", {"dag_id"}, marks=SINCE_3_2),
        ("DagRunStateResult", {"state"}),
        ("DRCount", {"count"}),
        pytest.param("DagResult", {"is_paused"}, marks=SINCE_3_2),
        ("ErrorResponse", {"error", "detail"}),
    ],
)
def test_a_message_has_the_members_that_are_used(name: str, members: set[str]) -> None:
    assert members <= set(getattr(comms, name).model_fields)


@pytest.mark.parametrize(
    "name", ["TriggerDagRun", "GetDagRunState", "GetDRCount", pytest.param("GetDag", marks=SINCE_3_2)]
)
def test_a_task_may_send_the_message(name: str) -> None:
    assert getattr(comms, name) in get_args(get_args(comms.ToSupervisor)[0])


def test_a_member_that_airflow_does_not_know_would_be_refused_so_only_known_ones_are_sent() -> None:
    with pytest.raises(ValidationError):
        comms.TriggerDagRun.model_validate({"dag_id": "d", "run_id": "r", "no_such_member": 1})


def test_a_state_that_airflow_can_answer_is_one_of_ours() -> None:
    from airflow.sdk.api.datamodels._generated import DagRunState

    assert {state.value for state in DagRunState} == {state.value for state in RunState} - {"none"}


def test_a_conf_reaches_the_supervisor_as_it_was() -> None:
    conf = {"s3_event": {"key": "ü\x00🎉", "size": 2**53, "extra": {"a": [None, 1.5, True]}}}
    assert decoded(comms.TriggerDagRun(dag_id="d", run_id="r", conf=conf)).conf == conf


async def test_a_run_has_its_note_where_a_task_can_set_one(channel: Channel) -> None:
    await runs().create(*RUN, CONF, "from {the route}")
    assert channel.notes == {RUN[1]: "from {the route}" if AIRFLOW >= (3, 2) else None}


async def test_a_run_is_created_once(channel: Channel) -> None:
    assert await runs().create(*RUN, CONF)
    assert not await runs().create(*RUN, CONF)
    assert channel.runs == {RUN: CONF}


async def test_a_run_that_is_there_has_a_state_and_one_that_is_not_has_none(channel: Channel) -> None:
    channel.runs[RUN] = CONF
    assert await runs().state(*RUN) is RunState.QUEUED
    assert await runs().state("process", "other") is RunState.NONE


async def test_runs_are_counted_by_their_ids(channel: Channel) -> None:
    channel.runs[RUN] = CONF
    assert await runs().count_stored("process", [RUN[1], "other"]) == 1
    assert await runs().count_queued("process") == 1
    assert await runs().count_active("process") == 1


@SINCE_3_2
async def test_whether_a_dag_is_paused(channel: Channel) -> None:
    channel.paused.add("archive")
    assert [await runs().is_paused(dag_id) for dag_id in ("process", "archive")] == [False, True]


@pytest.mark.parametrize("reason", ["not_found", "import_errors", "denied_run_type"])
async def test_what_a_dag_refuses_for_every_run_is_the_route_s_fault(channel: Channel, reason: str) -> None:
    channel.failures = [refusal(400, reason=reason, message="why")]
    with pytest.raises(RouteError, match="why") as refused:
        await runs().create(*RUN, CONF)
    assert type(refused.value) is RouteError


async def test_what_it_refuses_for_this_run_is_the_run_s_fault(channel: Channel) -> None:
    channel.failures = [refusal(400, reason="invalid_params", message="why")]
    with pytest.raises(RunRefusedError, match="why"):
        await runs().create(*RUN, CONF)


async def test_a_server_error_of_one_run_only_is_that_run_s_fault(channel: Channel) -> None:
    channel.failures = [refusal(500)]
    with pytest.raises(RunRefusedError):
        await runs().create(*RUN, CONF)


async def test_a_server_error_that_costs_long_retries_is_the_dag_s_fault(channel: Channel) -> None:
    channel.failures = [refusal(500)]
    with pytest.raises(RouteError) as refused:
        await runs(server_errors_park=True).create(*RUN, CONF)
    assert type(refused.value) is RouteError


@pytest.mark.skipif(AIRFLOW >= (3, 2), reason="Airflow 3.2 says whether a DAG is paused")
async def test_before_airflow_3_2_no_dag_counts_as_paused_and_nothing_is_asked(channel: Channel) -> None:
    channel.pause("process")
    assert not await runs().is_paused("process")
    assert channel.requests == []


async def test_a_run_id_that_airflow_s_configuration_forbids_is_never_sent(
    channel: Channel, allowed_run_ids: Callable[[str], None]
) -> None:
    allowed_run_ids("^[0-9]+$")
    with pytest.raises(RunRefusedError, match="allowed_run_id_pattern"):
        await runs().create(*RUN, CONF)
    assert channel.requests == []


@pytest.mark.parametrize("status", [None, 401, 403, 429, 500, 502, 503])
async def test_a_server_that_is_away_or_throttling_is_an_outage(channel: Channel, status: int | None) -> None:
    channel.failures = [refusal(status), refusal(status)]
    with pytest.raises(OutageError):
        await runs().create(*RUN, CONF)
    assert not channel.runs


@SINCE_3_2
async def test_a_dag_that_is_not_there_cannot_be_paused(channel: Channel) -> None:
    assert channel.dag_ids
    with pytest.raises(RouteError, match="absent"):
        await runs().is_paused("absent")


async def test_an_answer_without_a_body_is_an_outage_and_no_crash(channel: Channel) -> None:
    channel.failures = [{}, {"detail": "text"}]
    for _ in range(2):
        with pytest.raises(OutageError):
            await runs().count_queued("process")


@pytest.mark.parametrize("conf", [{"n": 2**64}, {"n": -(2**63) - 1}, {"t": "\ud800"}, {"o": object()}])
async def test_a_conf_that_the_channel_has_no_form_for_is_that_run_s_fault(
    channel: Channel, conf: dict[str, Any]
) -> None:
    with pytest.raises(RunRefusedError):
        await runs().create(*RUN, conf)
    assert not channel.runs


async def test_a_supervisor_that_never_answers_is_gone_when_airflow_has_given_the_task_up(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    monkeypatch.setattr(channel, "send", lambda _: answer.wait())
    monkeypatch.setattr(supervisor_runs, "patience_seconds", lambda: 0.05)
    try:
        with pytest.raises(ChannelError, match="has not answered"):
            await runs().count_queued("process")
    finally:
        answer.set()


def test_a_supervisor_has_as_long_as_airflow_gives_a_task_and_a_minute_at_least(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert patience_seconds() == 300.0
    monkeypatch.setenv("AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT", "15")
    assert patience_seconds() == 60.0


@pytest.mark.parametrize("error", [EOFError(), BrokenPipeError(), ConnectionResetError()])
async def test_a_channel_whose_supervisor_is_gone_is_no_outage_to_wait_out(
    channel: Channel, error: Exception
) -> None:
    channel.gone = error
    for call in (runs().create(*RUN, CONF), runs().count_queued("process")):
        with pytest.raises(ChannelError):
            await call


async def test_a_conf_nested_too_deep_is_that_run_s_fault(channel: Channel) -> None:
    conf: dict[str, Any] = {}
    for _ in range(5000):
        conf = {"a": conf}
    with pytest.raises(RunRefusedError):
        await runs().create(*RUN, conf)
    assert not channel.runs
