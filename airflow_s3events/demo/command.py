"""``s3events demo``: objects in, DAG runs out, on a whole Airflow and an embedded AWS of its own."""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from airflow_s3events.demo.airflow_api import AirflowApiError
from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.demo.cluster import Cluster, ClusterError
from airflow_s3events.demo.report import Report
from airflow_s3events.demo.samples import files_of, samples
from airflow_s3events.demo.upload import Uploader
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.terminal import Progress

GOOD = 0
#: An object has no run, more than one, or one that did not succeed.
LOST = 1
#: The demo could not be set up.
CANNOT_START = 2

_DISPATCHER = "demo_dispatcher"
_TARGET = "demo_target"
_TASK = "look"
_MOST_OBJECTS = 1000
#: Beyond it nothing more will come; each object takes a task process of its own.
_PATIENCE_SECONDS = 120.0
_PATIENCE_PER_OBJECT_SECONDS = 5.0


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "demo",
        help="objects in, DAG runs out, on a whole Airflow of its own",
        description="Start a whole Airflow and an embedded AWS in a temporary folder, on free ports of"
        " 127.0.0.1, upload objects, send some of S3's messages twice, and show one DAG run for each object."
        " Nothing is left behind. Exit status: 0 when every object has exactly one run and it succeeded, else"
        " 1; 2 when the demo could not start.",
    )
    parser.add_argument(
        "--objects", type=_object_count, default=20, metavar="N", help="how many objects (default 20)"
    )
    parser.add_argument(
        "--folder", type=Path, help="upload the files of this folder, at most N, instead of small samples"
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave it running until Ctrl-C, and print the address of the UI"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the figures as one JSON object, the last line of stdout; all else goes to stderr",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the demo; return the exit status."""
    started = time.monotonic()
    say = _Speech(started, to_stderr=args.json)
    try:
        objects = list(files_of(args.folder, args.objects) if args.folder else samples(args.objects))
    except ConfigurationError as error:
        say(str(error))
        return CANNOT_START
    try:
        with _signals_as_exceptions(), _stage(say) as (aws, airflow):
            report = _play(aws, airflow, objects, say)
            say.plain("\n" + report.text())
            if args.json:
                print(json.dumps(report.figures()), flush=True)
            if args.keep:
                _wait_for_signal(aws, airflow, say)
    except (ConfigurationError, ClusterError, AirflowApiError) as error:
        say(str(error))
        return CANNOT_START
    return GOOD if report.is_good else LOST


class _Speech:
    """Says what happens, with the seconds since the start."""

    def __init__(self, started: float, *, to_stderr: bool) -> None:
        self.started = started
        self._out = sys.stderr if to_stderr else sys.stdout

    def __call__(self, text: str) -> None:
        self.plain(f"{time.monotonic() - self.started:5.1f} s  {text}")

    def plain(self, text: str) -> None:
        encoding = self._out.encoding or "ascii"
        print(text.encode(encoding, "replace").decode(encoding), file=self._out, flush=True)


def _object_count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= _MOST_OBJECTS:
        raise argparse.ArgumentTypeError(f"should be from 1 to {_MOST_OBJECTS}")
    return count


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does, so that ``finally`` cleans up after all three."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signums = (signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.signal(signum, _raise_exit) for signum in signums}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _raise_exit(signum: int, _frame: Any) -> None:
    raise SystemExit(128 + signum)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Cleaning up is not interrupted by a second Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signums = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.signal(signum, signal.SIG_IGN) for signum in signums}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def _stage(say: _Speech) -> Iterator[tuple[EmbeddedAws, Cluster]]:
    """AWS and Airflow, started, in a folder that goes with them.

    :raises ConfigurationError: the folder could not be made.
    """
    folder = _place() / f"s3events-demo-{secrets.token_hex(4)}"
    aws = EmbeddedAws(folder / "aws")
    airflow = Cluster(
        folder / "airflow",
        dags_folder=folder / "dags",
        environment={"AIRFLOW_CONN_AWS_DEFAULT": aws.connection},
        remove_folder=folder,
        parallelism=4,
    )
    try:
        _make(folder)
        say(f"Starting Airflow and an embedded AWS in {folder}")
        _copy_dags(folder / "dags")
        aws.start()
        airflow.start()
        yield aws, airflow
    finally:
        with _undisturbed():
            say("Stopping")
            airflow.stop(grace_seconds=0)
            aws.stop()
            shutil.rmtree(folder, ignore_errors=True)


def _place() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except OSError as error:
        raise ConfigurationError(f"TMPDIR: {error.strerror or error}") from None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise ConfigurationError(f"TMPDIR: {folder} cannot be made: {error.strerror or error}") from None


def _copy_dags(folder: Path) -> None:
    folder.mkdir()
    for name in ("dispatcher.py", "target.py"):
        with as_file(files("airflow_s3events.demo") / "dags" / name) as source:
            shutil.copyfile(source, folder / name)


def _play(aws: EmbeddedAws, airflow: Cluster, objects: list[tuple[str, bytes]], say: _Speech) -> Report:
    aws.wait_up()
    bucket = aws.notifying_bucket("demo", versioned=True)
    say(f"Bucket {bucket.bucket} notifies queue {bucket.queue_url.rpartition('/')[2]}")
    with Progress("demo") as progress:
        progress.at(0, "Airflow starts; this takes a minute")
        airflow.wait_healthy()
    say(f"Airflow is up: {', '.join(airflow.components)}")
    with Progress("demo") as progress:
        progress.at(0, "Airflow reads the DAGs, and starts the dispatcher")
        airflow.wait_for_dag(_TARGET)
        _wait_for_dispatcher(airflow)
    say("The dispatcher waits for messages")
    uploader = Uploader(aws, bucket)
    for key, content in objects:
        uploader.put(key, content)
    say(f"Uploaded {len(objects)} objects; sent {uploader.repeated} messages twice")
    _follow(aws, airflow, uploader, bucket.queue_url, say)
    runs = airflow.runs(_TARGET)
    seen = {run["dag_run_id"]: airflow.api.xcom(_TARGET, run["dag_run_id"], _TASK) for run in runs}
    return Report.of(
        uploader.uploads,
        runs,
        seen,
        repeated=uploader.repeated,
        seconds_total=time.monotonic() - say.started,
    )


def _wait_for_dispatcher(airflow: Cluster) -> None:
    airflow.wait_for_dag(_DISPATCHER)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not any(
        task["state"] in {"running", "deferred"} for task in airflow.api.task_instances(_DISPATCHER)
    ):
        airflow.check_alive()
        if time.monotonic() > deadline:
            raise ClusterError(f"the dispatcher did not start\n{airflow.logs(['scheduler'])}")
        time.sleep(0.2)


def _follow(aws: EmbeddedAws, airflow: Cluster, uploader: Uploader, queue_url: str, say: _Speech) -> None:
    """Say how far it is until every run has ended and the queue is empty, or patience is."""
    count = len(uploader.uploads)
    deadline = time.monotonic() + _PATIENCE_SECONDS + count * _PATIENCE_PER_OBJECT_SECONDS
    said = last = ""
    with Progress("demo") as bar:
        while time.monotonic() < deadline:
            airflow.check_alive()
            states = [str(run["state"]) for run in airflow.runs(_TARGET)]
            left = sum(aws.counts(queue_url))
            ended = states.count("success") + states.count("failed")
            last = f"{len(states)} runs, {ended} ended; {left} messages left"
            if ended == len(states) >= count and left == 0:
                break
            if bar.is_bar:
                bar.at(ended, last, count)
            elif last != said:
                say(last)
                said = last
            time.sleep(0.5)
        else:
            last = "Patience is at an end"
    say(last)


def _wait_for_signal(aws: EmbeddedAws, airflow: Cluster, say: _Speech) -> None:
    say("It goes on running until Ctrl-C")
    say.plain(f"UI            {airflow.url}/dags/{_TARGET}")
    say.plain(f"AWS endpoint  {aws.endpoint_url}")
    say.plain(f"DAGs folder   {airflow.dags_folder}")
    try:
        signal.pause()
    except KeyboardInterrupt:
        return
