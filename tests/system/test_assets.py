"""Assets scheduled by S3 events on a real Airflow: upload to run, several assets on one queue, none stranded.

The stock side of each promise is shown with an asset that nobody watches, whose events come by Airflow's API.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from airflow_s3events.demo.airflow_api import AirflowApiError
from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from airflow_s3events.demo.cluster import Cluster
from tests.system.conftest import AddDags, Eventually
from tests.system.watching import Watching, put

Watch = Callable[..., Watching]
#: Of each run, where several events come during one.
RUN_SECONDS = 6

STOCK = """
import time

from airflow.sdk import DAG, Asset, task

with DAG(dag_id="%(name)s", schedule=Asset("%(name)s"), max_active_runs=1):

    @task
    def work():
        time.sleep(6)

    work()
"""


#: Scheduled by a name alone, of an asset that another file has.
REFERRING = """
from airflow.sdk import DAG, Asset, get_current_context, task

from airflow_s3events import events_of

with DAG(dag_id="%(name)s", schedule=Asset.ref(name=ASSET)):

    @task(retries=0)
    def look():
        events_of(get_current_context())

    look()
"""


@pytest.fixture
def watch(add_dags: AddDags, bucket: NotifyingBucket, tmp_path: Path) -> Watch:
    """Make DAGs on assets that watch the bucket's queue."""

    def make(prefixes: dict[str, str], **arguments: Any) -> Watching:
        return Watching(add_dags, bucket, tmp_path, prefixes, **arguments)

    return make


@pytest.fixture
def uploads(aws: EmbeddedAws, bucket: NotifyingBucket) -> Callable[[str], None]:
    """Upload an object of this key."""
    return lambda key: put(aws, bucket, key)


@pytest.fixture
def stock(cluster: Cluster, add_dags: AddDags, name: str) -> Callable[[], None]:
    """A DAG on a stock asset; what is returned stores one event of it."""
    add_dags(STOCK)
    found = cluster.api.call("GET", "/assets", name_pattern=name)["assets"]
    return lambda: cluster.api.call("POST", "/assets/events", {"asset_id": found[0]["id"], "extra": {}})


def consumed(cluster: Cluster, dag_id: str) -> int:
    """Asset events that are in a run of the DAG."""
    found = 0
    for run in cluster.runs(dag_id):
        path = f"/dags/{dag_id}/dagRuns/{quote(run['dag_run_id'], safe='')}/upstreamAssetEvents"
        found += cluster.api.call("GET", path)["total_entries"]
    return found


def is_at_rest(cluster: Cluster, dag_id: str) -> bool:
    """No run of the DAG is under way and none is queued for it."""
    states = {run["state"] for run in cluster.runs(dag_id)}
    return states <= {"success", "failed"} and not has_queued(cluster, dag_id)


def has_queued(cluster: Cluster, dag_id: str) -> bool:
    try:
        return bool(cluster.api.call("GET", f"/dags/{dag_id}/assets/queuedEvents")["total_entries"])
    except AirflowApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:  # Airflow's word for none
            raise
        return False


def test_an_object_starts_a_run_that_has_it(
    watch: Watch, aws: EmbeddedAws, bucket: NotifyingBucket, eventually: Eventually
) -> None:
    watching = watch({"a": "in/"})
    put(aws, bucket, "in/one.csv")
    eventually(lambda: watching.keys("a") == {"in/one.csv": 1}, 90)
    eventually(lambda: aws.counts(bucket.queue_url) == (0, 0))


def test_several_assets_on_one_queue_get_what_each_wants(
    watch: Watch, aws: EmbeddedAws, bucket: NotifyingBucket, eventually: Eventually
) -> None:
    watching = watch({"a": "in/a/", "b": "in/b/", "all": "in/"})
    keys = [f"in/{which}/{number:03}" for number in range(20) for which in "ab"]
    put(aws, bucket, *keys, "elsewhere")
    wanted = {
        "all": dict.fromkeys(keys, 1),
        "a": {key: 1 for key in keys if "/a/" in key},
        "b": {key: 1 for key in keys if "/b/" in key},
    }
    eventually(lambda: all(watching.keys(short) == found for short, found in wanted.items()), 90)
    eventually(lambda: aws.counts(bucket.queue_url) == (0, 0))
    assert aws.counts(bucket.dlq_url) == (0, 0)


def test_objects_that_come_while_a_run_is_under_way_are_all_in_a_run_and_no_run_is_empty(
    watch: Watch, aws: EmbeddedAws, bucket: NotifyingBucket, eventually: Eventually
) -> None:
    watching = watch({"a": "in/"}, seconds=RUN_SECONDS, active=1)
    keys = [f"in/{number}" for number in range(6)]
    for key in keys:
        put(aws, bucket, key)
        time.sleep(1)
    eventually(lambda: watching.keys("a") == dict.fromkeys(keys, 1), 120)
    assert all(watching.runs("a"))


def test_a_dag_that_only_refers_to_an_asset_is_given_no_objects_and_says_so(
    watch: Watch, add_dags: AddDags, cluster: Cluster, eventually: Eventually, uploads: Callable[[str], None]
) -> None:
    watching = watch({"a": "in/"})
    (name,) = add_dags(REFERRING.replace("ASSET", repr(watching.dag_id("a"))))
    uploads("in/one.csv")
    eventually(lambda: watching.keys("a") == {"in/one.csv": 1}, 90)
    eventually(lambda: [run["state"] for run in cluster.runs(name)] == ["failed"], 90)
    logs = (cluster.folder / "logs" / f"dag_id={name}").rglob("*.log")
    assert any("Asset.ref()" in path.read_text() for path in logs)


def test_stock_strands_events_that_come_while_a_run_is_under_way(
    stock: Callable[[], None], cluster: Cluster, name: str, eventually: Eventually
) -> None:
    for _ in range(6):
        stock()
        time.sleep(1)
    eventually(lambda: cluster.runs(name) and is_at_rest(cluster, name), 120)
    time.sleep(10)
    assert is_at_rest(cluster, name)
    assert consumed(cluster, name) < 6


def test_objects_that_come_just_after_a_dag_was_paused_are_in_a_run_once_it_is_unpaused(
    watch: Watch, cluster: Cluster, aws: EmbeddedAws, bucket: NotifyingBucket, eventually: Eventually
) -> None:
    watching = watch({"a": "in/"})
    put(aws, bucket, "in/0")
    eventually(lambda: watching.keys("a") == {"in/0": 1}, 90)
    cluster.api.set_paused(watching.dag_id("a"), True)
    # The watcher goes at the next parse only: until then Airflow stores events, and queues no run for them.
    put(aws, bucket, "in/1")
    time.sleep(5)
    assert watching.keys("a") == {"in/0": 1}
    cluster.api.set_paused(watching.dag_id("a"), False)
    eventually(lambda: watching.keys("a") == {"in/0": 1, "in/1": 1}, 120)
    assert all(watching.runs("a"))


def test_stock_starts_no_run_for_events_that_came_while_the_dag_was_paused(
    stock: Callable[[], None], cluster: Cluster, name: str
) -> None:
    cluster.api.set_paused(name, True)
    stock()
    cluster.api.set_paused(name, False)
    time.sleep(15)
    assert cluster.runs(name) == []


def test_a_dag_is_not_held_up_by_another_one_on_its_asset_whose_run_waits(
    watch: Watch, cluster: Cluster, aws: EmbeddedAws, bucket: NotifyingBucket, eventually: Eventually
) -> None:
    watching = watch({"a": "in/"}, beside_seconds=1)
    beside = f"{watching.dag_id('a')}-beside"
    put(aws, bucket, "in/0")
    eventually(lambda: watching.keys("a") == {"in/0": 1}, 90)
    eventually(lambda: [run["state"] for run in cluster.runs(beside)] == ["success"])
    cluster.api.set_paused(beside, True)
    (run,) = cluster.runs(beside)
    path = f"/dags/{beside}/dagRuns/{quote(run['dag_run_id'], safe='')}/clear"
    cluster.api.call("POST", path, {"dry_run": False})
    assert cluster.runs(beside)[0]["start_date"] is None
    # Airflow answers no question about what is in such a run (apache/airflow issue 71360).
    put(aws, bucket, "in/1")
    eventually(lambda: watching.keys("a") == {"in/0": 1, "in/1": 1}, 120)
