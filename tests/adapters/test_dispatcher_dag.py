"""``s3_event_dispatcher``: the DAG has what a dispatcher needs to go on for ever."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.timetables.base import TimeRestriction

from airflow_s3events import s3_event_dispatcher
from airflow_s3events._compat import DAG
from airflow_s3events.exceptions import ConfigurationError
from tests.lines import dag_bag, serialized


def dispatcher(**kwargs: Any) -> DAG:
    return s3_event_dispatcher(dag_id="dispatcher", **{"sqs_queue": "q", "routes": "process", **kwargs})


def test_airflow_plans_a_second_run_after_the_first() -> None:
    dag = serialized(dispatcher())
    assert dag.start_date is not None
    start = pendulum.instance(dag.start_date)
    limits = TimeRestriction(earliest=start, latest=None, catchup=dag.catchup)
    first = dag.timetable.next_dagrun_info(last_automated_data_interval=None, restriction=limits)
    assert first is not None
    second = dag.timetable.next_dagrun_info(
        last_automated_data_interval=first.data_interval, restriction=limits
    )
    assert second is not None
    assert second.logical_date != first.logical_date


def test_is_never_paused_or_ended_by_airflow() -> None:
    dag = dispatcher()
    assert dag.max_consecutive_failed_dag_runs == 0
    assert dag.dagrun_timeout is None
    assert dag.tasks[0].execution_timeout is None


def test_one_run_at_a_time_and_none_for_the_past() -> None:
    dag = dispatcher()
    assert (dag.max_active_runs, dag.catchup) == (1, False)


def test_its_tasks_retry_with_a_back_off_to_one_minute() -> None:
    (task,) = dispatcher().tasks
    assert task.retries is not None
    assert task.retries >= 100
    assert task.retry_exponential_backoff
    assert task.max_retry_delay == timedelta(minutes=1)


def test_its_tasks_come_before_all_ordinary_ones() -> None:
    (task,) = dispatcher().tasks
    assert task.priority_weight == 10_000
    assert "absolute" in str(task.weight_rule).lower()


def test_parallel_dispatchers_are_tasks_side_by_side_with_the_same_routes() -> None:
    dag = dispatcher(parallel=3)
    assert [task.task_id for task in dag.tasks] == ["dispatch_1", "dispatch_2", "dispatch_3"]
    assert not any(task.upstream_task_ids or task.downstream_task_ids for task in dag.tasks)


def test_pool_and_task_and_dag_arguments_reach_their_place() -> None:
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
    dag = dispatcher(
        pool="s3", linger_seconds=3, owner="me", dag_arguments={"tags": ["x"], "start_date": moment}
    )
    (task,) = dag.tasks
    seen: Any = task
    assert (task.pool, seen.linger_seconds, task.owner) == ("s3", 3, "me")
    assert (set(dag.tags), dag.start_date) == ({"x"}, moment)


@pytest.mark.parametrize("parallel", [0, -1, 1.5, "2", True, None])
def test_parallel_that_is_no_count_is_named(parallel: Any) -> None:
    with pytest.raises(ConfigurationError, match="parallel"):
        dispatcher(parallel=parallel)


@pytest.mark.parametrize(
    "wrong", [{"routes": []}, {"routes": {"process": "x/"}}, {"life_seconds": 0}, {"visibility_seconds": 0}]
)
def test_a_setting_that_cannot_work_is_an_import_error_of_the_dag_file(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        dispatcher(**wrong)


def test_its_tasks_know_how_many_of_them_a_message_may_wake() -> None:
    assert [getattr(task, "parallel", None) for task in dispatcher(parallel=3).tasks] == [3, 3, 3]


def test_airflow_finds_it_in_a_file_that_gives_it_no_name(tmp_path: Path) -> None:
    source = "s3_event_dispatcher(dag_id='dispatcher', sqs_queue='q', routes='process')"
    (tmp_path / "unnamed.py").write_text(f"from airflow_s3events import s3_event_dispatcher\n{source}\n")
    bag = dag_bag(tmp_path)
    assert bag.import_errors == {}
    assert list(bag.dags) == ["dispatcher"]
