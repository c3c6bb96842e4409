"""The cluster behind the system tests does what the fault harness relies on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from airflow_s3events.demo.cluster import Cluster
from airflow_s3events.demo.processes import Processes, pids_marked
from tests.lines import DAG_IMPORTS
from tests.system.conftest import AddDags, Eventually

_HELLO = f"""{DAG_IMPORTS}

with DAG(dag_id="%(name)s", schedule=None):
    @task
    def hello(dag_run=None):
        return dag_run.conf

    hello()
"""

_SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
_FORK = "import os, time; os.fork() or os.setsid(); time.sleep(600)"


def test_a_triggered_run_succeeds_and_its_xcom_can_be_read(
    cluster: Cluster, add_dags: AddDags, eventually: Eventually
) -> None:
    (dag_id,) = add_dags(_HELLO)
    cluster.api.trigger(dag_id, "first", {"a": 1})
    eventually(lambda: [run["state"] for run in cluster.runs(dag_id)] == ["success"])
    assert cluster.api.xcom(dag_id, "first", "hello") == {"a": 1}


def test_a_killed_triggerer_is_gone_with_its_children_and_comes_back(
    cluster: Cluster, eventually: Eventually
) -> None:
    killed = cluster.kill("triggerer")
    assert len(killed) > 1
    eventually(lambda: cluster.pids("triggerer") == [])
    cluster.restart("triggerer")
    assert cluster.unhealthy() == ["triggerer"]
    cluster.wait_healthy()
    assert not set(cluster.pids("triggerer")) & set(killed)


def test_a_paused_api_server_does_not_answer_until_resumed(cluster: Cluster, eventually: Eventually) -> None:
    cluster.pause(cluster.server)
    try:
        assert cluster.api.health() == {}
    finally:
        cluster.resume(cluster.server)
    eventually(cluster.api.health)


def test_stop_ends_a_grandchild_in_a_session_of_its_own(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    main = processes.start("forking", [sys.executable, "-c", _FORK], os.environ)
    _wait(lambda: len(processes.pids("forking")) == 2)
    os.kill(main, signal.SIGKILL)
    assert [pid for pid in processes.pids("forking") if pid != main]
    processes.stop_all()
    assert pids_marked(processes.mark) == []


def test_stop_ends_a_frozen_process(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    pid = processes.start("frozen", _SLEEP, os.environ)
    os.kill(pid, signal.SIGSTOP)
    processes.stop_all()
    assert pids_marked(processes.mark) == []


def test_processes_and_folder_go_when_their_owner_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "removed"
    folder.mkdir()
    owner = subprocess.run(
        [sys.executable, "-c", _KILLED_OWNER, str(folder)], capture_output=True, text=True, check=False
    )
    mark = owner.stdout.strip()
    assert owner.returncode == -signal.SIGKILL
    assert mark
    _wait(lambda: pids_marked(mark) == [] and not folder.exists())


_KILLED_OWNER = """
import os, pathlib, sys
from airflow_s3events.demo.processes import Processes
folder = pathlib.Path(sys.argv[1])
processes = Processes(folder / "logs", remove_folder=folder)
processes.start("sleeping", [sys.executable, "-c", "import time; time.sleep(600)"], os.environ)
print(processes.mark, flush=True)
os.kill(os.getpid(), 9)
"""


def _wait(probe: object, timeout_seconds: float = 10.0) -> None:
    assert callable(probe)
    deadline = time.monotonic() + timeout_seconds
    while not probe():
        assert time.monotonic() < deadline
        time.sleep(0.02)
