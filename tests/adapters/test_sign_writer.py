"""A sign goes into an XCom of the task, through Airflow's own forms: from the task, and from its trigger."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal

import pytest

from airflow_s3events._compat.signs import sign_writer
from airflow_s3events.signs import Sign
from tests.lines import AIRFLOW

SIGN = Sign("ledger_away", "connection refused", 1_800_000_000.0)


def ti(map_index: int = -1) -> Any:
    return SimpleNamespace(dag_id="d", run_id="r", task_id="dispatch", map_index=map_index)


class Comms:
    """Takes what the other side of the channel would take."""

    def __init__(self, union: Any) -> None:
        self.union = union
        self.requests: list[Any] = []

    def send(self, request: Any) -> None:
        from pydantic import TypeAdapter

        adapter: Any = TypeAdapter(self.union)
        self.requests.append(adapter.validate_python(request.model_dump()))


def channel(monkeypatch: pytest.MonkeyPatch, process: Literal["task", "triggerer"]) -> Comms:
    from airflow.jobs.triggerer_job_runner import ToTriggerSupervisor
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ToSupervisor

    comms = Comms(ToSupervisor if process == "task" else ToTriggerSupervisor)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
    return comms


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="needs Airflow 3")
@pytest.mark.parametrize("process", ["task", "triggerer"])
async def test_a_sign_is_an_xcom_of_its_own(
    process: Literal["task", "triggerer"], monkeypatch: pytest.MonkeyPatch
) -> None:
    comms = channel(monkeypatch, process)
    for map_index in (-1, 2):
        write = sign_writer(ti(map_index), process)
        assert write is not None
        await write(SIGN)
    first, second = comms.requests
    assert (first.dag_id, first.run_id, first.task_id, first.map_index) == ("d", "r", "dispatch", None)
    assert second.map_index == 2
    assert Sign.deserialize(first.key, first.value) == SIGN


def test_nothing_is_written_where_nobody_could_read_it() -> None:
    assert sign_writer(None, "task") is None
    assert (sign_writer(ti(), "task") is None) == (AIRFLOW < (3, 0))
