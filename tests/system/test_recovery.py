"""A target that takes no run for a while: its objects wait, none is lost, no receive is wasted on them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.demo.cluster import Cluster
from tests.lines import AIRFLOW
from tests.system.scenes import TARGET, Play, Played, Scene, perform, playing

_IS_FULL = os.environ.get("S3EVENTS_FULL") == "1"
_BUSY_SECONDS = 600 if _IS_FULL else 45
_PATIENCE_SECONDS = 1500 if _IS_FULL else 400

_HOGS = """
with DAG(dag_id="{name}-hogs", schedule=None):
    @task(priority_weight=100_000, weight_rule="absolute")
    def hog(seconds):
        import time
        time.sleep(seconds)

    hog.expand(seconds=[%(seconds)s] * %(count)s)
"""

_REFUSING = """
with DAG(dag_id="{name}-refusing", schedule=None, params={"needed": Param(type="string")}):
    EmptyOperator(task_id="nothing")
"""

_BROKEN = """
import no_such_module
"""


def paused_target(scene: Scene) -> None:
    """While the target is paused its objects stay in the queue, with not one receive spent on them."""
    scene.add_dags(TARGET)
    scene.cluster.wait_for_dag(scene.target)
    scene.cluster.api.set_paused(scene.target, True)
    scene.put(5)
    scene.add_dags(scene.dispatcher(), file="dispatcher")
    scene.task_in("deferred")
    assert {message["Attributes"]["ApproximateReceiveCount"] for message in scene.receive()} == {"1"}
    scene.cluster.api.set_paused(scene.target, False)
    scene.ends_well()


def full_target(scene: Scene) -> None:
    """More objects than may be queued."""
    route = f"Route(dag_id={scene.target!r}, max_queued_runs=5)"
    scene.add_dags(scene.dispatcher(routes=route), TARGET)
    scene.put(12)
    scene.ends_well(240)


def missing_target(scene: Scene) -> None:
    """The target comes after the objects."""
    scene.add_dags(scene.dispatcher())
    scene.put(3)
    scene.waits_until(lambda: scene.aws.counts(scene.bucket.queue_url) == (0, 3), "three put off")
    scene.task_in("deferred")
    scene.add_dags(TARGET, file="target")
    scene.ends_well(200)


def broken_target(scene: Scene) -> None:
    """The target's file cannot be imported for a while."""
    file = scene.add_dags(TARGET, file="target")
    scene.cluster.wait_for_dag(scene.target)
    scene.add_dags(TARGET, _BROKEN, file="target")
    scene.waits_until(
        lambda: any(file.name in name for name in scene.cluster.api.import_errors()), "import error"
    )
    scene.add_dags(scene.dispatcher(), file="dispatcher")
    scene.put(3)
    scene.waits_until(lambda: scene.aws.counts(scene.bucket.queue_url) == (0, 3), "three put off")
    assert not scene.started()
    scene.add_dags(TARGET, file="target")
    scene.ends_well(200)


def refusing_target(scene: Scene) -> None:
    """One DAG refuses every conf, as a server error on most lines; another one on the queue goes on."""
    refusing = f"{scene.name}-refusing"
    routes = f"[Route(dag_id={refusing!r}, when=prefix('bad/')), {scene.target!r}]"
    scene.add_dags(scene.dispatcher(routes=routes), TARGET, _REFUSING)
    scene.cluster.wait_for_dag(refusing)
    for number in range(3):
        scene.aws.s3.put_object(Bucket=scene.bucket.bucket, Key=f"bad/{number}", Body=b"1")
    scene.put(5)
    scene.waits_until(lambda: set(scene.keys) <= set(scene.started()), "runs of the other DAG", 240)
    scene.waits_until(lambda: scene.aws.counts(scene.bucket.queue_url) == (0, 3), "three put off", 240)
    assert scene.cluster.runs(refusing) == []
    assert scene.started() == dict.fromkeys(scene.keys, 1)


#: Before Airflow 3.2 a task of Airflow 3 cannot know of a pause.
_PAUSE: tuple[Play, ...] = () if (3, 0) <= AIRFLOW < (3, 2) else (paused_target,)
_PLAYS: tuple[Play, ...] = (missing_target, broken_target, *_PAUSE, full_target, refusing_target)


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, aws: EmbeddedAws, cluster: Cluster) -> Iterator[Played]:
    with playing(request, aws, cluster, at_once=len(_PLAYS)) as scenes:
        yield scenes


@pytest.mark.timeout(_PATIENCE_SECONDS)
@pytest.mark.parametrize("play", _PLAYS, ids=lambda play: play.__name__)
def test_loses_nothing_and_starts_nothing_twice(play: Play, played: Played) -> None:
    played[play.__name__].result(_PATIENCE_SECONDS)


def busy_slots(scene: Scene) -> None:
    """Every worker slot is taken by others: the dispatcher waits, and goes on when one is free."""
    hogs = f"{scene.name}-hogs"
    source = _HOGS % {"seconds": _BUSY_SECONDS, "count": scene.cluster.parallelism}
    scene.add_dags(scene.dispatcher(), TARGET, source)
    scene.task_in("deferred")
    scene.cluster.wait_for_dag(hogs)
    scene.cluster.api.trigger(hogs, "hogs")
    scene.waits_until(lambda: _running(scene, hogs) == scene.cluster.parallelism, "every slot taken")
    began = time.monotonic()
    scene.put(5)
    scene.waits_until(lambda: _running(scene, hogs) == 0, "the hogs' end", _BUSY_SECONDS + 120)
    assert time.monotonic() - began > _BUSY_SECONDS * 0.8
    scene.ends_well()
    assert [task["try_number"] for task in scene.tasks()] == [1]


def _running(scene: Scene, dag_id: str) -> int:
    return sum(task["state"] == "running" for task in scene.cluster.api.task_instances(dag_id))


# Last in this file: it takes the slots that the other scenes need.
@pytest.mark.timeout(_PATIENCE_SECONDS)
def test_busy_slots_delay_and_lose_nothing(aws: EmbeddedAws, cluster: Cluster) -> None:
    perform(busy_slots, aws, cluster)
