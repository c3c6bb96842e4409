"""The dispatcher on a real Airflow, through what happens to a task: nothing is lost, nothing starts twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.demo.cluster import Cluster
from tests.lines import AIRFLOW
from tests.system.scenes import TARGET, Play, Played, Scene, playing

_IS_FULL = os.environ.get("S3EVENTS_FULL") == "1"
_DEFERRALS = 50 if _IS_FULL else 4
#: Scenes played at the same time: as many as the one Airflow has worker slots for.
_AT_ONCE = 4
_PATIENCE_SECONDS = 1500 if _IS_FULL else 560
#: Airflow 3.0 takes a task that was cleared while it worked up again after its heartbeat time-out, 300 s.
_CLEARED_SECONDS = 500.0 if AIRFLOW == (3, 0) else 120.0


def three_runs(scene: Scene) -> None:
    """End the first run well and fail the second while objects come; the third must go on."""
    scene.add_dags(scene.dispatcher(), TARGET)
    for number, state in enumerate(["success", "failed", ""]):
        scene.put(3)
        scene.task_in("deferred", "running")
        scene.waits_until(lambda: set(scene.keys) <= set(scene.started()), f"runs of round {number}")
        if state and AIRFLOW < (3, 0):
            # A task of Airflow 2 that defers at that moment stores its run as it knew it: not marked.
            scene.task_in("deferred")
        if state:
            (run,) = [run for run in scene.cluster.runs(scene.name) if run["state"] == "running"]
            scene.set_run_state(run["dag_run_id"], state)
    scene.ends_well()
    states = [run["state"] for run in scene.cluster.runs(scene.name)]
    assert states[:3] == ["success", "failed", "running"]


def deferrals(scene: Scene) -> None:
    """One object, one deferral, again and again: none of them may fail the task."""
    scene.add_dags(scene.dispatcher(), TARGET)
    for number in range(_DEFERRALS):
        scene.task_in("deferred")
        scene.put(1)
        scene.waits_until(scene.is_settled, f"the run after deferral {number}")
    scene.task_in("deferred")
    scene.ends_well()
    (task,) = scene.tasks()
    assert task["try_number"] == 1
    print(f"{_DEFERRALS} deferrals in a row, no failed task")


def killed_task(scene: Scene) -> None:
    """Kill the task's process in the middle of its work; its retry goes on, or the DAG's next run.

    The next run on Airflow 3.0: there a killed process is a failed task, whatever retries it has
    (``ActivitySubprocess.final_state``).
    """
    scene.add_dags(scene.dispatcher(visibility_seconds="10"), TARGET)
    scene.put(60, twice=True)
    scene.waits_until(scene.started, "the first run")
    scene.signal_task(signal.SIGKILL)
    scene.ends_well()
    scene.waits_until(lambda: sum(task["try_number"] for task in scene.tasks()) > 1, "another try", 60)


def terminated_task(scene: Scene) -> None:
    """SIGTERM in the middle of the work: what was held is visible at once, long before its 300 s are over."""
    scene.add_dags(scene.dispatcher(), TARGET)
    scene.put(150)
    scene.waits_until(scene.started, "the first run")
    scene.signal_task(signal.SIGTERM)
    ended = time.monotonic()
    scene.ends_well()
    assert time.monotonic() - ended < 200


def cleared_task(scene: Scene) -> None:
    """Clear the task while it works: the old process is told to end, a new one goes on."""
    scene.add_dags(scene.dispatcher(visibility_seconds="20"), TARGET)
    scene.put(60)
    scene.waits_until(scene.started, "the first run")
    scene.clear_task(scene.task_in("running", "deferred")["dag_run_id"])
    scene.put(10)
    scene.ends_well(_CLEARED_SECONDS)


def two_dispatchers(scene: Scene) -> None:
    """Two dispatcher DAGs on one queue by mistake."""
    scene.add_dags(scene.dispatcher(), scene.dispatcher("-second"), TARGET)
    for _ in range(3):
        scene.put(20, twice=True)
        scene.waits_until(scene.is_settled, "runs")
    scene.ends_well()


def two_in_parallel(scene: Scene) -> None:
    """One dispatcher DAG with two tasks."""
    scene.add_dags(scene.dispatcher(parallel="2"), TARGET)
    scene.waits_until(lambda: len(scene.tasks()) == 2, "two tasks")
    scene.put(40, twice=True)
    scene.ends_well()
    assert {task["task_id"] for task in scene.tasks()} == {"dispatch_1", "dispatch_2"}


_PLAYS: tuple[Play, ...] = (
    deferrals,
    three_runs,
    killed_task,
    terminated_task,
    cleared_task,
    two_dispatchers,
    two_in_parallel,
)


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, aws: EmbeddedAws, cluster: Cluster) -> Iterator[Played]:
    with playing(request, aws, cluster, at_once=_AT_ONCE) as scenes:
        yield scenes


@pytest.mark.timeout(_PATIENCE_SECONDS)
@pytest.mark.parametrize("play", _PLAYS, ids=lambda play: play.__name__)
def test_loses_nothing_and_starts_nothing_twice(play: Play, played: Played) -> None:
    played[play.__name__].result(_PATIENCE_SECONDS)
