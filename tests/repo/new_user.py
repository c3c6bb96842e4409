"""Plays the README and the tutorial as a new user does, by the pages' own blocks and nothing beside them.

    python3 -m tests.repo.new_user --bare     # a clone in an empty folder, none of this shell's settings
    .venv/bin/python -m tests.repo.new_user   # in this clone, where README's first command has been run

Needs Python alone. What the pages do in the UI is done by the UI's own API. It prints what it did and how
long that took, and ends with 1 where a page promises what does not happen.

``--bare`` runs README's first command, and pauses a DAG as the tutorial's fifth step says. Without it both
are left out, and so is the tutorial's first step, which is the demo of the README's command.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow_s3events.demo.airflow_api import AirflowApi
from tests.repo.pages import ROOT, Block, blocks

#: Of the shell around it only what leads to an index of packages: a machine's own pip settings.
KEPT = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "UV_")
MOST_SECONDS = 600
PATIENCE_SECONDS = 180.0


class PageError(RuntimeError):
    """A page says what is not so."""


class User:
    """Somebody with a folder, a shell and the two pages."""

    def __init__(self, clone: Path, environment: Mapping[str, str]) -> None:
        self.clone = clone
        self.environment = dict(environment)
        self.started = time.monotonic()
        self.tutorial = list(blocks(clone / "docs" / "tutorial.md"))
        self.readme = list(blocks(clone / "README.md"))

    def say(self, text: str) -> None:
        """Print what was done, with the seconds since the start."""
        print(f"{time.monotonic() - self.started:6.1f} s  {text}", flush=True)

    def run(self, block: Block, replaced: Mapping[str, str] | None = None) -> None:
        """Run a shell block as it is pasted, where it stands ``PORT`` and the like replaced."""
        script = block.text
        for word, value in (replaced or {}).items():
            script = script.replace(word, value)
        self.say(f"{block}: {' '.join(script.split())[:90]}")
        command = ["bash", "-ec", script]
        if subprocess.run(command, cwd=self.clone, env=self.environment, check=False).returncode:
            raise PageError(f"{block} fails")

    @contextlib.contextmanager
    def keep_running(self, block: Block) -> Iterator[dict[str, str]]:
        """Run a block until Ctrl-C; give the addresses that it prints."""
        self.say(f"{block}: {block.text.strip()}")
        process = subprocess.Popen(
            # A shell that starts this in the background has it ignore Ctrl-C.
            ["env", "--default-signal=INT", *block.text.split()],
            cwd=self.clone,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield _addresses(process)
            self.say("Ctrl-C")
            process.send_signal(signal.SIGINT)
            if process.wait(PATIENCE_SECONDS):
                raise PageError(f"{block} ends with {process.returncode}")
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)

    def wait(self, what: str, probe: Callable[[], Any]) -> Any:
        """Look until it is so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (answer := probe()):
            if time.monotonic() > deadline:
                raise PageError(f"not so within {PATIENCE_SECONDS:g} s: {what}")
            time.sleep(0.3)
        self.say(what)
        return answer


def _addresses(process: subprocess.Popen[str]) -> dict[str, str]:
    """Read the demo's output up to its addresses; the rest is read on, so that it can be written."""
    assert process.stdout is not None
    found: dict[str, str] = {}
    for line in process.stdout:
        print(f"          {line}", end="")
        for name in ("UI", "AWS endpoint", "DAGs folder"):
            if line.startswith(f"{name}  "):
                found[name] = line.removeprefix(name).strip()
        if "DAGs folder" in found:
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return found
    raise PageError("the demo ended before it printed its addresses")


def shell(page: list[Block], words: str) -> Block:
    """Return the one shell block of a page that has the words."""
    (found,) = [block for block in page if block.language == "sh" and words in block.text]
    return found


def play(user: User, *, bare: bool) -> None:
    """Do what the pages say, in their order."""
    if bare:
        user.run(shell(user.readme, "s3events demo"))
        user.run(shell(user.tutorial, "--folder"))
    with user.keep_running(shell(user.tutorial, "--keep")) as addresses:
        api = AirflowApi(addresses["UI"].partition("/dags/")[0])
        upload = shell(user.tutorial, "put_object"), {"http://127.0.0.1:PORT": addresses["AWS endpoint"]}
        before = len(api.runs("demo_target"))
        user.run(*upload)
        user.wait("demo_target has one run more", lambda: len(api.runs("demo_target")) == before + 1)
        for block in user.tutorial:
            if block.file:
                (Path(addresses["DAGs folder"]) / block.file).write_text(block.text)
                user.say(f"{block}: {block.file}")
        write_own_dag(user, api, upload)
        if bare:
            pause(user, api, upload)
    if Path(addresses["DAGs folder"]).exists():
        raise PageError("something is left behind")


def write_own_dag(user: User, api: AirflowApi, upload: tuple[Block, dict[str, str]]) -> None:
    """Wait as step 4 says, upload, and look at what the run has returned."""
    user.wait("the UI lists the DAG mine", lambda: api.has_dag("mine"))
    user.wait("the dispatcher's task is deferred", lambda: "deferred" in _states(api))
    before = len(api.runs("demo_target"))
    user.run(*upload)
    (run,) = user.wait("mine has a run", lambda: api.runs("mine"))
    user.wait("it has succeeded", lambda: [one["state"] for one in api.runs("mine")] == ["success"])
    returned = api.xcom("mine", run["dag_run_id"], "look")
    if returned != {"folder": "mine", "size": 5} or len(api.runs("demo_target")) != before:
        raise PageError(f"the own DAG returned {returned}")
    user.say(f"its task returned {returned}")


def pause(user: User, api: AirflowApi, upload: tuple[Block, dict[str, str]]) -> None:
    """Pause the own DAG, upload, unpause it: step 5."""
    api.set_paused("mine", True)
    user.run(*upload)
    # As long as a run takes that comes: had the message been taken, it would be there.
    time.sleep(15)
    if len(api.runs("mine")) != 1:
        raise PageError("a paused DAG got a run")
    api.set_paused("mine", False)
    user.wait("unpaused, it has its run", lambda: len(api.runs("mine")) == 2)


def _states(api: AirflowApi) -> set[str]:
    return {task["state"] for task in api.task_instances("demo_dispatcher")}


@contextlib.contextmanager
def bare_user() -> Iterator[User]:
    """A user with a clone in an empty folder and a shell that says nothing."""
    folder = Path(tempfile.mkdtemp(prefix="s3events-new-user-"))
    home = folder / "home"
    home.mkdir()
    path = f"{Path(sys.executable).resolve().parent}:/usr/bin:/bin"
    kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    user = User(ROOT, {**kept, "HOME": str(home), "PATH": path, "LANG": "C.UTF-8"})
    try:
        clone = folder / "airflow-provider-s3events"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        user.clone = clone
        yield user
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Play the pages; return 0 where all that they promise has happened, in time."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--bare", action="store_true", help="in a clone of its own, from Python alone")
    bare = arguments.parse_args().bare
    with bare_user() if bare else contextlib.nullcontext(User(ROOT, os.environ)) as user:
        try:
            play(user, bare=bare)
        except PageError as error:
            user.say(str(error))
            return 1
        seconds = time.monotonic() - user.started
        user.say(f"done; the bar is {MOST_SECONDS} s")
    return int(seconds > MOST_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
