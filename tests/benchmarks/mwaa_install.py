"""Installs the bundle of ``s3events mwaa-bundle`` into what MWAA's images hold, and reads a DAG there.

    python -m tests.benchmarks.mwaa_install --write
    python -m tests.benchmarks.mwaa_install --images 3.3.1

For each image: an environment with its Python and its pins (from an index, by uv, not timed: on MWAA it is
there); then, timed, what MWAA does at the start of a container: ``pip install`` of ``requirements.txt`` under
the image's constraints, with ``plugins.zip`` unpacked, no network and no compiler to be found. It may bring
this package and change no other. Then Airflow's own commands must show the package, the option and the DAG,
and no import error. Ends with 1 if any image fails.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_s3events.mwaa.documents import PLUGINS
from airflow_s3events.mwaa.images import Image, image_of
from airflow_s3events.mwaa.package import NAME
from tests.benchmarks import report

ROOT = Path(__file__).parents[2]
PINS = ROOT / ".ci" / "mwaa"
BAR_SECONDS = 120.0
QUEUE = "arn:aws:sqs:eu-west-1:111122223333:landing-events"
#: Nobody listens there: whoever asks the network is told so at once.
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
#: What the image's start-up takes for a constraints line (``python/mwaa/utils/user_requirements.py``).
HAS_CONSTRAINTS = re.compile(r"-c |--constraint ")


class FailedError(Exception):
    """An image does not take the bundle; the text says where it ended."""


@dataclass(frozen=True)
class Place:
    """One environment in a folder of its own."""

    folder: Path
    image: Image

    @property
    def bin(self) -> Path:
        return self.folder / "venv" / "bin"

    @property
    def home(self) -> Path:
        return self.folder / "airflow"

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def pins(self) -> Path:
        return PINS / f"{self.image.airflow}.txt"

    def environment(self) -> dict[str, str]:
        """Nothing of this machine: no network, no compiler, no setting."""
        options = json.loads((self.bundle / "configuration.json").read_text())
        return {
            **NO_NETWORK,
            **{f"AIRFLOW__{name.upper().replace('.', '__')}": value for name, value in options.items()},
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "HOME": str(self.folder),
            "PATH": str(self.bin),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def run(self, *command: str) -> str:
        """Run a program of the environment, as MWAA's container would; return its output."""
        return _run([str(self.bin / command[0]), *command[1:]], self.environment())


def main() -> int:
    """Go through the images; return the exit status."""
    options = report.parser(__doc__)
    known = sorted(path.stem for path in PINS.glob("*.txt"))
    options.add_argument("--images", nargs="+", choices=known, default=known)
    args = options.parse_args()
    report.wait_quiet(args.quiet_seconds)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="s3events-mwaa-") as folder:
        wheel = _built_wheel(Path(folder))
        rows = [_row(Place(Path(folder) / airflow, image_of(airflow)), wheel) for airflow in args.images]
    passed = all(row["result"] == "ok" for row in rows)
    text = f"{report.table(rows)}\n\nBar: installed in {BAR_SECONDS:.0f} s, no import error."
    result = {"rows": rows, "load_before": round(load, 2), "passed": passed}
    report.publish("mwaa_install", "Installing on MWAA's images", text, result, write=args.write)
    return 0 if passed else 1


def _row(place: Place, wheel: Path) -> dict[str, Any]:
    row = {"Airflow": place.image.airflow, "Python": place.image.python, "pip install, s": "-", "result": "-"}
    try:
        _make_environment(place)
        _make_bundle(place, wheel)
        before = _packages(place)
        seconds = _install(place)
        row["pip install, s"] = f"{seconds:.1f}"
        _check_packages(before, _packages(place))
        _check_airflow(place)
        row["result"] = "ok" if seconds < BAR_SECONDS else "too slow"
    except FailedError as error:
        row["result"] = str(error)
    finally:
        shutil.rmtree(place.folder, ignore_errors=True)
    print(row, file=sys.stderr)
    return row


def _built_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def _make_environment(place: Place) -> None:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if uv is None:
        raise SystemExit("uv is not here: pip install uv")
    place.folder.mkdir()
    venv = str(place.folder / "venv")
    _run([uv, "venv", "-q", "--seed", "--no-python-downloads", "-p", place.image.python, venv], os.environ)
    python = str(place.bin / "python")
    _run([uv, "pip", "install", "-q", "--python", python, "-r", str(place.pins)], os.environ)


def _make_bundle(place: Place, wheel: Path) -> None:
    """Write the bundle and put its files where MWAA puts them."""
    command = [sys.executable, "-m", "airflow_s3events", "mwaa-bundle", "--airflow", place.image.airflow]
    dead_letters = ["--dead-letter-queue", f"{QUEUE}-dlq"]
    _run(
        [*command, "--queue", QUEUE, *dead_letters, "--wheel", str(wheel), "--out", str(place.bundle)],
        os.environ,
    )
    shutil.copytree(place.bundle / "dags", place.home / "dags")
    with zipfile.ZipFile(place.bundle / "plugins.zip") as archive:
        archive.extractall(place.home / "plugins")
    text = (place.bundle / "requirements.txt").read_text()
    (place.home / "requirements.txt").write_text(text.replace(PLUGINS, str(place.home / "plugins")))


def _install(place: Place) -> float:
    """Install as the image's ``safe-pip-install`` does; return the seconds."""
    requirements = place.home / "requirements.txt"
    names_constraints = HAS_CONSTRAINTS.search((place.bundle / "requirements.txt").read_text()) is not None
    forced = [] if names_constraints else ["-c", str(place.pins)]
    begun = time.monotonic()
    place.run("pip", "install", "--constraint", str(place.pins), "-r", str(requirements), *forced)
    return time.monotonic() - begun


def _packages(place: Place) -> set[str]:
    return {
        f"{one['name']}=={one['version']}" for one in json.loads(place.run("pip", "list", "--format=json"))
    }


def _check_packages(before: set[str], after: set[str]) -> None:
    gone, new = before - after, after - before
    if gone or [one.partition("==")[0].replace("_", "-") for one in new] != [NAME]:
        raise FailedError(f"the installation took away {sorted(gone)} and brought {sorted(new)}")


def _check_airflow(place: Place) -> None:
    place.run("airflow", "db", "migrate")
    local = ["--local"] if place.image.airflow.startswith("3.") else []
    errors = place.run("airflow", "dags", "list-import-errors", "-o", "json", *local)
    dags = place.run("airflow", "dags", "list", "-o", "json", *local)
    provider = place.run("airflow", "providers", "get", NAME)
    option = place.run("airflow", "config", "get-value", "scheduler", "task_queued_timeout")
    seen = {
        "no import error": _listed(errors) == [],
        "the DAG": [dag["dag_id"] for dag in _listed(dags)] == ["s3events_dispatcher"],
        "the provider": NAME in provider,
        "the option": option.split()[-1] == "600",
    }
    if missing := [what for what, is_seen in seen.items() if not is_seen]:
        raise FailedError(f"Airflow does not show {', '.join(missing)}: {errors} {dags}")


def _listed(output: str) -> list[Any]:
    """The JSON list that ends what a command printed; Airflow says "No data found" of an empty one."""
    if "No data found" in output:
        return []
    start = output.rfind("\n[") + 1 if "\n[" in output else output.find("[")
    try:
        found: list[Any] = json.loads(output[start:])
    except ValueError:
        raise FailedError(f"no list: {output}") from None
    return found


def _run(command: list[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split())[-400:]
        raise FailedError(f"{' '.join(Path(one).name for one in command[:4])}: {said}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
