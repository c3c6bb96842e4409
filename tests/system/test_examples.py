"""The example DAGs on a real Airflow, against emulators of the services that they hand over to.

Some start by themselves from their assets, some from their dispatchers. For the others the dispatchers stay
paused, so that they do not take all worker slots: the run is started as the example's own routes say, with
S3's own message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.demo.cluster import Cluster
from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.identity import run_id
from airflow_s3events.routing import Routes
from airflow_s3events.testing import object_created_body
from tests import emulators
from tests.lines import dag_bag
from tests.system.conftest import Eventually
from tests.system.example_cases import ACCOUNT, DISPATCHED, NOT_RUN, STARTED, WATCHED, Case, Clouds

EXAMPLES = Path(__file__).parents[2] / "example_dags"
ALL = (*STARTED, *WATCHED, *DISPATCHED)
SECONDS = 150
PAUSED = 'dag_arguments={"is_paused_upon_creation": True},'

pytestmark = pytest.mark.filterwarnings(r"default:The .airflow\.utils\.operator_helpers")


@pytest.fixture(scope="module")
def clouds(aws: EmbeddedAws, services_port: int) -> Iterator[Clouds]:
    """Every bucket, queue and service that an example needs, and the objects that start the examples."""
    with emulators.ministack_server(port=services_port, services="") as url:
        found = Clouds(aws, url)
        for case in ALL:
            _prepare(found, case)
        yield found


@pytest.fixture(scope="module")
def started(clouds: Clouds, cluster: Cluster) -> Iterator[Cluster]:
    """All examples in Airflow, and all of their runs under way."""
    files = [_add(cluster, case) for case in ALL]
    for case in ALL:
        cluster.wait_for_dag(case.target)
    for case in STARTED:
        _start(clouds, cluster, case)
    yield cluster
    for dag_id in [case.target for case in WATCHED] + [
        name for case in DISPATCHED for name in _dispatchers(case)
    ]:
        cluster.api.set_paused(dag_id, True)
    for file in files:
        file.unlink()


def _dispatchers(case: Case) -> list[str]:
    return re.findall(r'dag_id="(\w+_dispatcher)"', (EXAMPLES / f"{case.example}.py").read_text())


def _prepare(clouds: Clouds, case: Case) -> None:
    clouds.aws.notifying_bucket(case.bucket, versioned=case.versioned)
    for bucket in case.others:
        clouds.s3.create_bucket(Bucket=bucket)
    case.prepare(clouds)
    clouds.s3.put_object(
        Bucket=case.bucket, Key=case.key, Body=case.body, Metadata=dict(case.metadata), Tagging=case.tags
    )
    if case.example == "deletion_spike":
        keys = [f"kept/{number}.json" for number in range(8)]
        for key in keys:
            clouds.s3.put_object(Bucket=case.bucket, Key=key, Body=b"1")
        for key in keys:
            clouds.s3.delete_object(Bucket=case.bucket, Key=key)


def _add(cluster: Cluster, case: Case) -> Path:
    """Put the example into Airflow's folder: in the emulator's account, its dispatcher paused."""
    source = (EXAMPLES / f"{case.example}.py").read_text().replace("123456789012", ACCOUNT)
    if case in STARTED:
        source = source.replace("s3_event_dispatcher(\n", f"s3_event_dispatcher(\n    {PAUSED}\n")
        assert PAUSED in source
    written = cluster.dags_folder / f"example_{case.example}.new"
    written.write_text(source)
    return written.rename(written.with_suffix(".py"))


def _start(clouds: Clouds, cluster: Cluster, case: Case) -> None:
    event = _event(clouds, case)
    dags = dag_bag(EXAMPLES / f"{case.example}.py").dags.values()
    (dispatch,) = [task for dag in dags for task in dag.tasks if task.task_id.startswith("dispatch")]
    (route,) = Routes.of(dispatch.routes).match(event).routes
    assert route.dag_id == case.target
    cluster.api.trigger(route.dag_id, run_id(event), route.conf(event.serialize()))


def _event(clouds: Clouds, case: Case) -> ObjectEvent:
    """The event as S3's message has it."""
    if case.event_name:
        bodies = [object_created_body(case.bucket, case.key, event_name=case.event_name)]
    else:
        url = clouds.aws.sqs.get_queue_url(QueueName=f"{case.bucket}-events")["QueueUrl"]
        received = clouds.aws.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        bodies = [message["Body"] for message in received]
    # One of them is S3's test event, which holds none.
    (event,) = [event for body in bodies for event in parse_body(body).events]
    return event


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.example)
def test_the_example_runs_to_success_and_does_what_it_is_for(
    case: Case, started: Cluster, clouds: Clouds, eventually: Eventually
) -> None:
    if case.example == "thumbnails" and find_spec("PIL") is None:
        pytest.skip("needs Pillow")

    def ended() -> list[str]:
        states = [run["state"] for run in started.runs(case.target)]
        return [] if {"queued", "running"} & set(states) else states

    states = eventually(ended, SECONDS)
    assert set(states) == {"success"}, _tasks(started, case)
    eventually(lambda: case.holds(clouds), 30)
    assert case.runs in {None, len(started.runs(case.target))}


def _tasks(cluster: Cluster, case: Case) -> list[Any]:
    return [(task["task_id"], task["state"]) for task in cluster.api.task_instances(case.target)]


def test_every_example_is_run_or_has_its_reason() -> None:
    run = {case.example for case in ALL}
    assert run | set(NOT_RUN) == {path.stem for path in EXAMPLES.glob("*.py")}
    assert run & set(NOT_RUN) == set()
