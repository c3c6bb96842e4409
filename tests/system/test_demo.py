"""``s3events demo`` keeps its promise, and leaves nothing behind however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_ENDS_IN_SECONDS = 30.0


@contextmanager
def _demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The demo in a process of its own, with ``folder`` as its place for temporary files."""
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow_s3events", "demo", *arguments],
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


def _wait_until_gone(folder: Path) -> None:
    deadline = time.monotonic() + _ENDS_IN_SECONDS
    while left := _left_behind(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_each_object_has_one_run_the_ui_stays_and_ctrl_c_ends_it_all(tmp_path: Path) -> None:
    with _demo(tmp_path, "--objects", "8", "--json", "--keep") as demo:
        output = _read_until(demo, "the UI is at ")
        figures = json.loads(next(line for line in output if line.startswith("{")))
        url = output[-1].partition("the UI is at ")[2].split()[0]
        with urllib.request.urlopen(f"{url}/api/v2/version", timeout=30) as answer:  # noqa: S310 - http
            assert answer.status == 200
        demo.send_signal(signal.SIGINT)
        assert demo.wait(_ENDS_IN_SECONDS) == 0
    counted = {name: figures[name] for name in ("objects", "runs_created", "runs_succeeded", "lost")}
    assert counted == {"objects": 8, "runs_created": 8, "runs_succeeded": 8, "lost": 0}
    assert figures["duplicates_refused"] >= 1
    assert 0 < figures["seconds_to_run_p50"] <= figures["seconds_to_run_p95"] < figures["seconds_total"]
    assert _left_behind(tmp_path) == []


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
    _wait_until_gone(tmp_path)


def test_a_folder_that_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with _demo(tmp_path, "--folder", str(missing)) as demo:
        output = _read_until(demo, "no such folder")
        assert demo.wait(_ENDS_IN_SECONDS) == 2
    assert f"--folder {missing}" in output[-1]
