"""Where the sides work side by side: one stage, a counted way to AWS for each, and what to look at."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.demo.processes import send_signal
from tests.benchmarks.beside.arrivals import Place, places_of
from tests.benchmarks.beside.sides import SIDES
from tests.benchmarks.call_counts import CallCounts
from tests.benchmarks.stage import Stage, staged
from tests.benchmarks.triggerer_memory import pss
from tests.lines import STORED_AT

_POLL_SECONDS = 0.5
_SAMPLE_SECONDS = 1.0


@dataclass
class Scene:
    """A stage, and the counts of the calls that each side makes on it."""

    stage: Stage
    counts: CallCounts
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def tag(self, side: str) -> str:
        """A new name for a round, its queue and the bucket that its events tell of."""
        return f"{side.replace('_', '-')}-r{next(self._numbers):03}x"

    def places(self, dag_id: str, tag: str = "") -> dict[int, list[Place]]:
        """In which runs of a DAG (or of DAGs: ``%`` stands for anything) objects of a round are."""
        sql = f"""
            SELECT r.run_id, EXTRACT(EPOCH FROM r.{STORED_AT}), EXTRACT(EPOCH FROM r.start_date), what
            FROM dag_run r JOIN (
                SELECT id, CAST(conf AS text) what FROM dag_run
                UNION ALL
                SELECT l.dag_run_id, CAST(e.extra AS text) FROM dagrun_asset_event l
                JOIN asset_event e ON e.id = l.event_id
            ) found ON found.id = r.id
            WHERE r.dag_id LIKE :dag AND what LIKE :tag
        """  # noqa: S608 - one of two columns
        rows = self.stage.rows(sql, dag=dag_id, tag=f"%{tag}%")
        return places_of(
            (f"{run}", float(stored), None if started is None else float(started), text)
            for run, stored, started, text in rows
        )

    def wait_for(self, what: str, probe: Callable[[], bool], timeout_seconds: float) -> bool:
        """Ask a few times a second until the answer is true; False when time is up, which is said."""
        deadline = time.monotonic() + timeout_seconds
        while not probe():
            if time.monotonic() > deadline:
                print(f"given up after {timeout_seconds:.0f} s: {what}", flush=True)
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def task_pids(self, dag_id: str = "%") -> list[int]:
        """Processes of the tasks of a DAG that run."""
        sql = "SELECT pid FROM task_instance WHERE state = 'running' AND pid IS NOT NULL AND dag_id LIKE :dag"
        return [int(pid) for (pid,) in self.stage.rows(sql, dag=dag_id)]

    def forget_runs(self, dag_id: str) -> None:
        """Have the scheduler do nothing more for runs of a DAG: the next side's would wait behind them."""
        sql = "UPDATE dag_run SET state = 'success' WHERE state IN ('queued', 'running') AND dag_id LIKE :dag"
        self.stage.rows(sql, dag=dag_id)

    def fail_runs(self, dag_id: str) -> None:
        """End what works, at once: Airflow gives a task some ten seconds to end by itself."""
        sql = "SELECT dag_id, run_id FROM dag_run WHERE state IN ('running', 'queued') AND dag_id LIKE :dag"
        pids = self.task_pids(dag_id)
        for dag, run in self.stage.rows(sql, dag=dag_id):
            self.stage.cluster.api.call("PATCH", f"/dags/{dag}/dagRuns/{run}", {"state": "failed"})
        send_signal(pids, signal.SIGKILL)
        self.wait_for("the end of the tasks", lambda: not any(pss(pid) for pid in pids), 60)


class Memory:
    """The most that a side's task processes, and the triggerer, had at a time while it is entered; MiB.

    In memory of their own and their share of what they share (PSS).
    """

    def __init__(self, scene: Scene, dag_id: str) -> None:
        self.tasks_mib = 0.0
        self.triggerer_mib = 0.0
        self._scene = scene
        self._dag_id = dag_id
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(_SAMPLE_SECONDS):
            self.tasks_mib = max(self.tasks_mib, _mib(self._scene.task_pids(self._dag_id)))
            self.triggerer_mib = max(self.triggerer_mib, _mib(self._scene.stage.cluster.pids("triggerer")))


@contextmanager
def scene(dags: str, prepare: Callable[[EmbeddedAws], Mapping[str, str]]) -> Iterator[Scene]:
    """Start a stage whose sides each have a connection ``aws_<side>`` of their own, with calls counted."""
    with ExitStack() as stack:
        counted: list[CallCounts] = []

        def prepared(aws: EmbeddedAws) -> Mapping[str, str]:
            counts = stack.enter_context(CallCounts(aws.port))
            counted.append(counts)
            connections = {f"AIRFLOW_CONN_AWS_{side.upper()}": counts.connection(side) for side in SIDES}
            bare = {"BENCHMARK_BARE_ENDPOINT": counts.endpoint("bare")}
            return {**connections, **bare, **prepare(aws)}

        # Eight dispatchers at a time, and the tasks of eight stock loops.
        environment = {"AIRFLOW__CORE__PARALLELISM": "16"}
        stage = stack.enter_context(staged(dags, prepare=prepared, environment=environment))
        yield Scene(stage, counted[0])


def _mib(pids: list[int]) -> float:
    return sum(pss(pid) for pid in pids) / 2**20
