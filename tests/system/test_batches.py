"""Batch runs on a real Airflow; the dispatcher is killed while groups are open, and while they get runs."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.demo.cluster import Cluster
from airflow_s3events.testing.bodies import object_created_body
from tests.system.scenes import TARGET, Scene, perform

_DAYS = ("2026-01-01", "2026-01-02")
_ROUTES = (
    "Route(dag_id='{name}-target', batch=dict(by=r'in/(?P<day>[0-9-]+)/', marker='_SUCCESS',"
    " after_marker_seconds=1, idle_seconds=None, open_seconds=600))"
)


def send(scene: Scene, *keys: str) -> None:
    """Send two messages for each of these objects."""
    for key in keys:
        scene.keys.append(key)
        body = object_created_body(scene.bucket.bucket, key)
        for _ in range(2):
            scene.aws.sqs.send_message(QueueUrl=scene.bucket.queue_url, MessageBody=body)


def allow_receives(scene: Scene, count: int) -> None:
    """Let each message be received so often: each kill costs one receive."""
    sqs, queue = scene.aws.sqs, scene.bucket.queue_url
    names = ["RedrivePolicy"]
    policy = json.loads(
        sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"][names[0]]
    )
    attributes = {"RedrivePolicy": json.dumps({**policy, "maxReceiveCount": count})}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes=attributes)


def killed_batches(scene: Scene) -> None:
    """Kill the task while two groups are open, and again when the first of them has its run."""
    allow_receives(scene, 20)
    ledger = Path(scene.cluster.dags_folder).parent / f"{scene.name}.db"
    connection = {"connection_id": scene.name, "conn_type": "sqlite", "host": str(ledger)}
    scene.cluster.api.call("POST", "/connections", connection)
    routes = _ROUTES.replace("{name}", scene.name)
    scene.add_dags(
        scene.dispatcher(routes=routes, ledger=f"'sql:{scene.name}'", visibility_seconds="10"), TARGET
    )
    send(scene, *(f"in/{day}/{number}.csv" for day in _DAYS for number in range(8)))
    is_held = lambda: scene.aws.counts(scene.bucket.queue_url) == (0, 32)  # noqa: E731
    scene.waits_until(is_held, "all messages held")
    scene.signal_task(signal.SIGKILL)
    scene.waits_until(lambda: scene.aws.counts(scene.bucket.queue_url)[0] > 0, "messages shown again", 60)
    scene.waits_until(is_held, "all messages held again")
    assert scene.started() == {}
    send(scene, *(f"in/{day}/_SUCCESS" for day in _DAYS))
    scene.waits_until(scene.started, "the first run")
    scene.signal_task(signal.SIGKILL)
    scene.ends_well()
    confs = [run["conf"] for run in scene.cluster.runs(scene.target)]
    assert sorted(conf["s3_batch"]["values"]["day"] for conf in confs) == list(_DAYS)
    assert {(len(conf["s3_events"]), conf["s3_batch"]["closed_by"]) for conf in confs} == {(9, "marker")}


@pytest.mark.timeout(560)
def test_every_event_is_in_one_batch_run_however_the_dispatcher_is_killed(
    aws: EmbeddedAws, cluster: Cluster
) -> None:
    perform(killed_batches, aws, cluster)
