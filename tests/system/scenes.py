"""Scenes side by side on one Airflow: each a bucket, its queue, dispatchers and a DAG, played in a thread.

A test waits for its own scene only. What a scene says of the promise comes from Airflow's runs and from what
the queues still hold, never from the package.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from airflow_s3events.demo.cluster import Cluster
from airflow_s3events.testing.bodies import object_created_body
from tests.lines import AIRFLOW, DAG_IMPORTS

T = TypeVar("T")

#: Quick retries and short lingering: what is slow by default is not what these scenes are about.
QUICK = "retry_delay=timedelta(seconds=1), retry_exponential_backoff=False, linger_seconds=1"

_HEAD = f"""{DAG_IMPORTS}
from datetime import timedelta


from airflow_s3events import Route, s3_event_dispatcher
from airflow_s3events.filters import prefix
"""

# No worker process: the scheduler ends an empty task by itself.
TARGET = """
with DAG(dag_id="{name}-target", schedule=None):
    EmptyOperator(task_id="nothing")
"""


@dataclass(frozen=True)
class Scene:
    """One bucket with its queue, and DAGs whose ids begin with the scene's name."""

    name: str
    aws: EmbeddedAws
    cluster: Cluster
    bucket: NotifyingBucket
    #: Objects put so far; the same list for all who play.
    keys: list[str]

    @property
    def target(self) -> str:
        """Id of the DAG that objects start."""
        return f"{self.name}-target"

    def dispatcher(self, name: str = "", **arguments: str) -> str:
        """Source of a dispatcher on the scene's queue; ``arguments`` are Python source."""
        more = "".join(f", {key}={value}" for key, value in arguments.items() if key != "routes")
        routes = arguments.get("routes", repr(self.target))
        dag_id = f"{self.name}{name}"
        return (
            f"d{len(name)} = s3_event_dispatcher(dag_id={dag_id!r}, sqs_queue={self.bucket.queue_url!r},"
            f" routes={routes}, {QUICK}{more})\n"
        )

    def add_dags(self, *sources: str, file: str = "dags") -> Path:
        """Write one DAG file; in the sources ``{name}`` is the scene's name."""
        path = self.cluster.dags_folder / f"{self.name}_{file}.py"
        written = path.with_suffix(".new")
        written.write_text(_HEAD + "\n".join(source.replace("{name}", self.name) for source in sources))
        written.rename(path)
        return path

    def put(self, count: int, *, twice: bool = False) -> None:
        """Upload so many objects, each a new key; with ``twice`` send a message twice for each instead."""
        for _ in range(count):
            key = f"in/{len(self.keys):05d}"
            self.keys.append(key)
            if twice:
                body = object_created_body(self.bucket.bucket, key)
                for _ in range(2):
                    self.aws.sqs.send_message(QueueUrl=self.bucket.queue_url, MessageBody=body)
            else:
                self.aws.s3.put_object(Bucket=self.bucket.bucket, Key=key, Body=b"1")

    def receive(self) -> list[dict[str, Any]]:
        """Receive up to ten messages and leave them visible: one receive more for each."""
        answer = self.aws.sqs.receive_message(
            QueueUrl=self.bucket.queue_url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=0,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
            MessageAttributeNames=["All"],
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def started(self) -> Counter[str]:
        """Runs of the target for each key."""
        runs = self.cluster.runs(self.target) if self.cluster.api.has_dag(self.target) else []
        confs = [run["conf"] for run in runs]
        return Counter(
            event["key"] for conf in confs for event in conf.get("s3_events") or [conf["s3_event"]]
        )

    def waits_until(self, probe: Callable[[], T], what: str, timeout_seconds: float = 200.0) -> T:
        """Ask until the answer is true."""
        deadline = time.monotonic() + timeout_seconds
        while not (answer := probe()):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{self.name}: not within {timeout_seconds:.0f} s: {what}; {self.look()}"
                )
            time.sleep(0.3)
        return answer

    def look(self) -> dict[str, Any]:
        """Everything that tells where an object is."""
        return {
            "started": self.started().total(),
            "of": len(self.keys),
            "queue": self.aws.counts(self.bucket.queue_url),
            "dead": self.aws.counts(self.bucket.dlq_url),
            "tasks": [(t["dag_id"], t["task_id"], t["state"], t["try_number"]) for t in self.tasks()],
        }

    def is_settled(self) -> bool:
        """Every object has a run, and no message is left anywhere."""
        return set(self.keys) <= set(self.started()) and self.aws.counts(self.bucket.queue_url) == (0, 0)

    def ends_well(self, timeout_seconds: float = 200.0) -> None:
        """Wait until all is settled; then each object has exactly one run, and nothing is a dead letter."""
        self.waits_until(self.is_settled, "a run for every object and an empty queue", timeout_seconds)
        assert self.started() == dict.fromkeys(self.keys, 1)
        assert self.aws.counts(self.bucket.dlq_url) == (0, 0)

    def tasks(self, name: str = "") -> list[dict[str, Any]]:
        """Task instances of a dispatcher, in all its runs."""
        dag_id = f"{self.name}{name}"
        return self.cluster.api.task_instances(dag_id) if self.cluster.api.has_dag(dag_id) else []

    def task_in(self, *states: str, name: str = "") -> dict[str, Any]:
        """Wait for a dispatcher's task in one of these states."""
        return self.waits_until(
            lambda: next((task for task in self.tasks(name) if task["state"] in states), None) or {},
            f"a task in {states}",
        )

    def signal_task(self, signum: signal.Signals) -> int:
        """Signal the process that works for the running dispatcher task; its id."""
        pid = self.waits_until(lambda: self._pid(self.task_in("running")), "the task's process", 30)
        os.kill(pid, signum)
        return pid

    def _pid(self, task: Mapping[str, Any]) -> int:
        """The task's own process: Airflow 3 writes the id of the task instance into its title."""
        if AIRFLOW < (3, 0):
            return int(task["pid"] or 0)
        for pid in self.cluster.pids("scheduler"):
            try:
                title = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(f"airflow worker -- {task['id']}".encode()):
                return pid
        return 0

    def set_run_state(self, run_id: str, state: str) -> None:
        """End a dispatcher's run as a person would in the UI."""
        self.cluster.api.call("PATCH", f"/dags/{self.name}/dagRuns/{run_id}", {"state": state})

    def clear_task(self, run_id: str) -> None:
        """Clear the dispatcher's task, running or not."""
        body: Mapping[str, Any] = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": ["dispatch"],
            "only_failed": False,
            "only_running": False,
            "reset_dag_runs": True,
        }
        self.cluster.api.call("POST", f"/dags/{self.name}/clearTaskInstances", body)

    def close(self) -> None:
        """Stop the dispatchers, remove the DAG files."""
        for path in self.cluster.dags_folder.glob(f"{self.name}_*"):
            path.unlink()
        for dag_id in (self.name, f"{self.name}-second"):
            if self.cluster.api.has_dag(dag_id):
                self.cluster.api.set_paused(dag_id, True)


Play = Callable[[Scene], None]
#: By the name of the play.
Played = Mapping[str, Future[None]]


def perform(play: Play, aws: EmbeddedAws, cluster: Cluster) -> None:
    """Play one scene from its bucket to the removal of its DAG files."""
    name = f"{play.__name__.replace('_', '-')}-{secrets.token_hex(3)}"
    scene = Scene(name, aws, cluster, aws.notifying_bucket(name), [])
    try:
        play(scene)
    finally:
        scene.close()


@contextmanager
def playing(
    request: pytest.FixtureRequest, aws: EmbeddedAws, cluster: Cluster, *, at_once: int
) -> Iterator[Played]:
    """Play every scene that the tests of this file ask for with a parameter ``play``, some at a time."""
    items = [item for item in request.session.items if item.path == request.path]
    plays = [item.callspec.params["play"] for item in items if hasattr(item, "callspec")]

    with ThreadPoolExecutor(at_once) as stage:
        yield {play.__name__: stage.submit(perform, play, aws, cluster) for play in dict.fromkeys(plays)}
