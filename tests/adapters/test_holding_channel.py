"""What holding messages asks of Airflow, through Airflow's own encoders: as a task, and as a trigger."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_s3events._compat import airflow_runs, check_can_hold, trigger_runs
from airflow_s3events.exceptions import ConfigurationError, OutageError, RouteError
from airflow_s3events.settlement import RunState
from tests.adapters.channel import not_found
from tests.lines import AIRFLOW

pytestmark = pytest.mark.skipif(AIRFLOW < (3, 0), reason="needs Airflow 3")


class TriggerChannel:
    """A trigger's side of the channel to its triggerer: which requests it may send, and what it is told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.requests: list[Any] = []

    async def asend(self, request: Any) -> Any:
        from airflow.jobs.triggerer_job_runner import ToTriggerSupervisor
        from pydantic import TypeAdapter

        # What is not of this union would end the connection.
        adapter: Any = TypeAdapter(ToTriggerSupervisor)
        self.requests.append(adapter.validate_python(request.model_dump()))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def answering(monkeypatch: pytest.MonkeyPatch, answer: Any) -> TriggerChannel:
    from airflow.sdk.execution_time import task_runner

    channel = TriggerChannel(answer)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", channel, raising=False)
    return channel


async def test_a_trigger_counts_runs_in_some_states(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time.comms import DRCount

    channel = answering(monkeypatch, DRCount(count=2))
    count = await trigger_runs().count("process", ["a", "b", "c"], (RunState.QUEUED, RunState.RUNNING))

    assert count == 2
    (request,) = channel.requests
    assert (request.dag_id, request.run_ids) == ("process", ["a", "b", "c"])
    assert [str(getattr(state, "value", state)) for state in request.states] == ["queued", "running"]


@pytest.mark.parametrize(
    ("detail", "wanted"), [(not_found("process"), RouteError), ({"status_code": 503}, OutageError)]
)
async def test_a_trigger_tells_a_dag_that_is_gone_from_an_airflow_that_is_away(
    monkeypatch: pytest.MonkeyPatch, detail: dict[str, Any], wanted: type[Exception]
) -> None:
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse

    error = AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))
    answering(monkeypatch, error)
    with pytest.raises(wanted):
        await trigger_runs().count("process", ["a"], (RunState.SUCCESS,))


async def test_a_triggerer_that_is_gone_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, EOFError())
    with pytest.raises(OutageError):
        await trigger_runs().count("process", ["a"], (RunState.SUCCESS,))


async def test_a_task_starts_a_run_again_under_its_own_name(channel: Any) -> None:
    runs = airflow_runs()
    await runs.clear("process", "a", {"s3_event": {}})
    assert channel.requests == ["TriggerDagRun"]
    with pytest.raises(RouteError):
        await runs.clear("nowhere", "a", {})


@pytest.mark.usefixtures("channel")
async def test_a_task_counts_runs_in_some_states() -> None:
    runs = airflow_runs()
    await runs.create("process", "a", {})
    assert await runs.count("process", ["a", "b"], (RunState.QUEUED,)) == 1


def test_this_airflow_can_hold() -> None:
    check_can_hold()


def test_airflow_2_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_s3events._compat._AIRFLOW", (2, 11))
    with pytest.raises(ConfigurationError, match="needs Airflow 3"):
        check_can_hold()
