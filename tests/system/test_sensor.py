"""``S3EventSensor`` on a real Airflow: whatever happens to messages and processes, the bucket answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.demo.cluster import Cluster
from tests.system.scenes import TARGET, Play, Played, Scene, perform, playing

_AT_ONCE = 4
_PATIENCE_SECONDS = 400

_DAG = """
from airflow_s3events import ObjectEvent, S3EventSensor


def fail_once(context, result=None):
    if context["ti"].try_number == 1:
        raise RuntimeError("as if killed after its message was deleted")


with DAG(dag_id="{name}-<suffix>", schedule=None):
    wait = S3EventSensor(task_id="wait", timeout=200, deferrable=True, <arguments>)

    @task
    def read(found):
        return [ObjectEvent.deserialize(data).key for data in found]

    read(wait.output)
"""


def waiting(scene: Scene, suffix: str = "waits", **arguments: Any) -> str:
    """Source of a DAG with one sensor on the scene's bucket; its values are written as Python source."""
    given = {"bucket_name": scene.bucket.bucket, "retries": 0, **arguments}
    text = ", ".join(f"{name}={value!r}" for name, value in given.items())
    return _DAG.replace("<suffix>", suffix).replace("<arguments>", text)


def own_queue(scene: Scene) -> dict[str, Any]:
    return {"sqs_queue": scene.bucket.queue_url, "consume": "all"}


def start(scene: Scene, suffix: str = "waits") -> None:
    """Start a run; the sensor's first look is its own."""
    scene.cluster.wait_for_dag(f"{scene.name}-{suffix}")
    scene.cluster.api.trigger(f"{scene.name}-{suffix}", "run")


def upload(scene: Scene, key: str, content: bytes = b"1") -> None:
    scene.aws.s3.put_object(Bucket=scene.bucket.bucket, Key=key, Body=content)


def sensor_task(
    scene: Scene, task_id: str = "wait", suffix: str = "waits", wanted: str = ""
) -> dict[str, Any]:
    """The task, if it is in the wanted state or none is wanted."""
    tasks = [task for task in scene.tasks(f"-{suffix}") if task["task_id"] == task_id]
    return next((task for task in tasks if wanted in ("", task["state"])), {})


def reaches(scene: Scene, wanted: str, task_id: str = "wait", suffix: str = "waits") -> dict[str, Any]:
    """Wait for a task's state."""
    try:
        return scene.waits_until(
            lambda: sensor_task(scene, task_id, suffix, wanted), f"{task_id} of {suffix}: {wanted}"
        )
    except AssertionError as error:
        tasks = [(task["task_id"], task["state"], task["try_number"]) for task in scene.tasks(f"-{suffix}")]
        raise AssertionError(f"{error}; {tasks}") from error


def finds(scene: Scene, *keys: str, suffix: str = "waits") -> None:
    """The run ends well, and its other task has read these keys, typed."""
    reaches(scene, "success", "read", suffix)
    assert scene.cluster.api.xcom(f"{scene.name}-{suffix}", "run", "read") == list(keys)


def is_empty(scene: Scene) -> bool:
    return scene.aws.counts(scene.bucket.queue_url) == (0, 0)


def listens(scene: Scene) -> None:
    """Wait until the sensor reads its queue: the message of another object is used up."""
    upload(scene, "other")
    scene.waits_until(lambda: is_empty(scene), "the other message is used up")


def object_before_the_sensor(scene: Scene) -> None:
    """Nothing is left in the queue that could tell of it."""
    upload(scene, "a b+c.csv")
    scene.aws.sqs.purge_queue(QueueUrl=scene.bucket.queue_url)
    scene.add_dags(waiting(scene, bucket_key="a b+c.csv", **own_queue(scene)))
    start(scene)
    finds(scene, "a b+c.csv")


def object_after_the_sensor(scene: Scene) -> None:
    """Deferred, woken by its message, which is deleted; events of others wake no task."""
    scene.add_dags(waiting(scene, bucket_key="wanted", poke_interval=3600, **own_queue(scene)))
    start(scene)
    reaches(scene, "deferred")
    listens(scene)
    assert sensor_task(scene)["state"] == "deferred"
    upload(scene, "wanted")
    finds(scene, "wanted")
    assert is_empty(scene)


def all_of_several_objects(scene: Scene) -> None:
    """The marker comes last; its parts come with it."""
    scene.add_dags(
        waiting(scene, marker_key="out/_SUCCESS", poke_interval=5),
        waiting(scene, "counts", prefix="out/part-", count=3, poke_interval=5),
    )
    for suffix in ("waits", "counts"):
        start(scene, suffix)
        reaches(scene, "deferred", suffix=suffix)
    for number in range(3):
        upload(scene, f"out/part-{number}")
    upload(scene, "out/_SUCCESS", b"")
    parts = [f"out/part-{number}" for number in range(3)]
    finds(scene, "out/_SUCCESS", *parts)
    finds(scene, *parts, suffix="counts")


def retry_after_the_delete(scene: Scene) -> None:
    """The first try ends after the trigger has deleted the message; the second finds the object."""
    source = waiting(scene, bucket_key="a", poke_interval=3600, **own_queue(scene))
    scene.add_dags(
        source.replace("retries=0", "retries=1, retry_delay=timedelta(seconds=1), post_execute=fail_once")
    )
    start(scene)
    reaches(scene, "deferred")
    listens(scene)
    upload(scene, "a")
    finds(scene, "a")
    assert sensor_task(scene)["try_number"] == 2
    assert is_empty(scene)


def two_sensors_side_by_side(scene: Scene) -> None:
    """One object, one message, which one of them deletes: both go on."""
    scene.add_dags(
        waiting(scene, bucket_key="a", poke_interval=10, **own_queue(scene)),
        waiting(scene, "too", bucket_key="a", poke_interval=10, **own_queue(scene)),
    )
    for suffix in ("waits", "too"):
        start(scene, suffix)
        reaches(scene, "deferred", suffix=suffix)
    upload(scene, "a")
    for suffix in ("waits", "too"):
        finds(scene, "a", suffix=suffix)


def sensor_beside_a_dispatcher(scene: Scene) -> None:
    """Both on one queue: each object starts its run, once, and no message is a dead letter."""
    scene.add_dags(
        waiting(scene, bucket_key="in/00004", sqs_queue=scene.bucket.queue_url, poke_interval=5),
        scene.dispatcher(),
        TARGET,
    )
    start(scene)
    reaches(scene, "deferred")
    scene.put(5)
    finds(scene, "in/00004")
    scene.ends_well()


def cleared_sensor(scene: Scene) -> None:
    """Cleared long after its message is gone, it finds the object again."""
    scene.add_dags(waiting(scene, bucket_key="a", poke_interval=3600, **own_queue(scene)))
    start(scene)
    reaches(scene, "deferred")
    listens(scene)
    upload(scene, "a")
    finds(scene, "a")
    body = {"dry_run": False, "dag_run_id": "run", "only_failed": False, "reset_dag_runs": True}
    scene.cluster.api.call("POST", f"/dags/{scene.name}-waits/clearTaskInstances", body)
    scene.waits_until(lambda: sensor_task(scene, "read")["state"] != "success", "the cleared run")
    finds(scene, "a")


def time_out(scene: Scene) -> None:
    """With ``soft_fail`` it is a skip, else a failure without retries."""
    soft, hard = (waiting(scene, suffix, bucket_key="never") for suffix in ("soft", "hard"))
    scene.add_dags(
        soft.replace("timeout=200", "timeout=5, soft_fail=True"),
        hard.replace("timeout=200", "timeout=5").replace("retries=0", "retries=2"),
    )
    for suffix in ("soft", "hard"):
        start(scene, suffix)
    reaches(scene, "skipped", suffix="soft")
    assert reaches(scene, "failed", suffix="hard")["try_number"] == 1


def blocking_sensor(scene: Scene) -> None:
    """In poke mode its queue wakes it, too."""
    source = waiting(scene, bucket_key="a", poke_interval=3600, **own_queue(scene))
    scene.add_dags(source.replace("deferrable=True", "deferrable=False"))
    start(scene)
    reaches(scene, "running")
    listens(scene)
    upload(scene, "a")
    finds(scene, "a")
    assert is_empty(scene)


def rescheduled_sensor(scene: Scene) -> None:
    """It gives its slot back between two looks.

    With retries, as the documentation asks for: where the scheduler hears of one look's end only after it has
    queued the next, it fails the task (https://github.com/apache/airflow/issues/71172).
    """
    source = waiting(scene, bucket_key="a", poke_interval=5, retries=5)
    rescheduling = "deferrable=False, mode='reschedule', retry_delay=timedelta(seconds=1)"
    scene.add_dags(source.replace("deferrable=True", rescheduling))
    start(scene)
    reaches(scene, "up_for_reschedule")
    upload(scene, "a")
    finds(scene, "a")


_PLAYS: tuple[Play, ...] = (
    object_before_the_sensor,
    object_after_the_sensor,
    all_of_several_objects,
    retry_after_the_delete,
    two_sensors_side_by_side,
    sensor_beside_a_dispatcher,
    cleared_sensor,
    time_out,
    blocking_sensor,
    rescheduled_sensor,
)


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, aws: EmbeddedAws, cluster: Cluster) -> Iterator[Played]:
    with playing(request, aws, cluster, at_once=_AT_ONCE) as scenes:
        yield scenes


@pytest.mark.timeout(_PATIENCE_SECONDS)
@pytest.mark.parametrize("play", _PLAYS, ids=lambda play: play.__name__)
def test_a_sensor_finds_what_is_in_the_bucket(play: Play, played: Played) -> None:
    played[play.__name__].result(_PATIENCE_SECONDS)


def killed_triggerer(scene: Scene) -> None:
    """The triggerer dies while it listens, and the message goes to nobody: the next one looks first."""
    scene.add_dags(waiting(scene, bucket_key="a", poke_interval=3600, **own_queue(scene)))
    start(scene)
    reaches(scene, "deferred")
    listens(scene)
    scene.cluster.kill("triggerer")
    upload(scene, "a")
    scene.aws.sqs.purge_queue(QueueUrl=scene.bucket.queue_url)
    scene.cluster.restart("triggerer")
    finds(scene, "a")


# It is everybody's triggerer, so this one plays when the others have ended.
def test_a_sensor_outlives_its_triggerer(aws: EmbeddedAws, cluster: Cluster, played: Played) -> None:
    for other in played.values():
        other.exception(_PATIENCE_SECONDS)
    perform(killed_triggerer, aws, cluster)
