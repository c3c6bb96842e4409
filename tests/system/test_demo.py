"""``s3events demo`` keeps its promise, and leaves nothing behind however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_s3events.demo.airflow_api import AirflowApi

_ENDS_IN_SECONDS = 90.0


@contextmanager
def _demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The demo in a process of its own, with ``folder`` as its place for temporary files."""
    process = subprocess.Popen(
        # A shell that starts the tests in the background has had them ignore Ctrl-C.
        ["env", "--default-signal=INT", sys.executable, "-m", "airflow_s3events", "demo", *arguments],
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(_ENDS_IN_SECONDS)
        assert process.stdout is not None
        process.stdout.close()


def _read_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """Lines of output up to the one with ``text``."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if text in line:
            return lines
    raise AssertionError(f"the demo ended without {text!r}:\n" + "\n".join(lines))


def _left_behind(folder: Path) -> list[str]:
    """Files in ``folder``, and command lines of processes that were given it."""
    left = [str(path) for path in folder.iterdir()]
    for process in Path("/proc").iterdir():
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                left.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return left


def _wait(probe: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _ENDS_IN_SECONDS
    while not probe():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_each_object_has_one_run_the_tutorial_goes_on_from_there_and_ctrl_c_ends_it_all(
    tmp_path: Path,
) -> None:
    with _demo(tmp_path, "--objects", "8", "--json", "--keep") as demo:
        output = _read_until(demo, "DAGs folder")
        figures = json.loads(next(line for line in output if line.startswith("{")))
        addresses = dict(line.split(maxsplit=1) for line in output[-3:])
        _upload_as_in_the_tutorial(addresses["AWS"].split()[-1])
        api = AirflowApi(addresses["UI"].removesuffix("/dags/demo_target"))
        _wait(lambda: len(api.runs("demo_target")) == 9)
        assert api.runs("demo_target")[-1]["conf"]["s3_event"]["key"] == "mine/first try.txt"
        demo.send_signal(signal.SIGINT)
        assert demo.wait(_ENDS_IN_SECONDS) == 0
    counted = {name: figures[name] for name in ("objects", "runs_created", "runs_succeeded", "lost")}
    assert counted == {"objects": 8, "runs_created": 8, "runs_succeeded": 8, "lost": 0}
    assert figures["duplicates_refused"] >= 1
    assert 0 < figures["seconds_to_run_p50"] <= figures["seconds_to_run_p95"] < figures["seconds_total"]
    assert _left_behind(tmp_path) == []


def _upload_as_in_the_tutorial(endpoint: str) -> None:
    """Run the page's own block, with the interpreter and the endpoint of this demo."""
    page = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()
    (block,) = (text for text in page.split("```") if text.startswith("sh") and "put_object" in text)
    script = block.removeprefix("sh\n").replace("http://127.0.0.1:PORT", endpoint)
    subprocess.run(["bash", "-ec", script.replace(".venv/bin/python", sys.executable)], check=True)


@pytest.mark.parametrize(
    ("signum", "moment", "status"),
    [
        pytest.param(signal.SIGINT, "Starting", 130, id="ctrl-c-at-once"),
        pytest.param(signal.SIGINT, "notifies queue", 130, id="ctrl-c-while-airflow-starts"),
        pytest.param(signal.SIGTERM, "notifies queue", 143, id="sigterm-while-airflow-starts"),
        pytest.param(signal.SIGINT, "Uploaded", 130, id="ctrl-c-while-runs-work"),
    ],
)
def test_a_signal_leaves_no_process_and_no_file(
    tmp_path: Path, signum: int, moment: str, status: int
) -> None:
    with _demo(tmp_path) as demo:
        _read_until(demo, moment)
        demo.send_signal(signum)
        assert demo.wait(_ENDS_IN_SECONDS) == status
    assert _left_behind(tmp_path) == []


def test_kill_9_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    with _demo(tmp_path) as demo:
        _read_until(demo, "notifies queue")
        demo.kill()
    _wait(lambda: _left_behind(tmp_path) == [])


def test_a_folder_that_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with _demo(tmp_path, "--folder", str(missing)) as demo:
        output = _read_until(demo, "no such folder")
        assert demo.wait(_ENDS_IN_SECONDS) == 2
    assert f"--folder {missing}" in output[-1]
