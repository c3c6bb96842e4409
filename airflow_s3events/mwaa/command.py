"""``s3events mwaa-bundle``: the files that an MWAA environment must be given, and what to do with them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_s3events.commands.iam import NO_DEAD_LETTERS, add_queue_options, queue_resources
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.mwaa.documents import documents
from airflow_s3events.mwaa.images import IMAGES, Image, image_of
from airflow_s3events.mwaa.package import NAME, Package
from airflow_s3events.mwaa.reading import from_wheel, installed
from airflow_s3events.terminal import note, printable

OK = 0
REFUSED = 2

_DESCRIPTION = (
    "Write a folder with requirements.txt in the form that MWAA wants, the policy that its execution role"
    " lacks, the configuration options to set, a dispatcher DAG to begin with, and a README with the commands"
    " to run next. With --wheel, plugins.zip holds the wheel, so that an environment without a way to an"
    " index installs it. No AWS is asked. A second run writes nothing new, and a file that differs is left"
    " alone unless --replace is given. Exit status: 0, or 2 when something is missing or wrong, with the"
    " reason on stderr and nothing written."
)
_EXAMPLE = (
    "example: s3events mwaa-bundle --airflow 3.3 --queue landing-events --dead-letter-queue landing-dlq"
    " --region eu-west-1 --account 111122223333"
)
_VERSIONS = ", ".join(image.airflow for image in IMAGES)


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "mwaa-bundle",
        help="a folder with all that an Amazon MWAA environment needs, and the next steps",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
    )
    add = parser.add_argument
    add(
        "--airflow",
        required=True,
        metavar="X.Y[.Z]",
        help=f"the environment's Airflow: {_VERSIONS}; X.Y is the newest of that line",
    )
    add_queue_options(parser)
    add(
        "--wheel",
        type=Path,
        metavar="FILE",
        help="this package's wheel, put into plugins.zip and installed without an index; get it with"
        f" 'pip download --no-deps {NAME}', or build it with 'pip wheel --no-deps .' in a clone",
    )
    add("--out", type=Path, default=Path("mwaa-bundle"), metavar="DIR", help="default: mwaa-bundle")
    add("--replace", action="store_true", help="replace files in DIR that differ")
    add("--json", action="store_true", help="print what was written as one JSON object")
    return parser


def run(args: argparse.Namespace) -> int:
    """Write one bundle; return the exit status."""
    try:
        image = image_of(args.airflow)
        files = documents(_package(args.wheel, image), image, queue_resources(args))
        states = _write(files, args.out, replace=args.replace)
    except ConfigurationError as error:
        return note("mwaa-bundle", str(error), REFUSED)
    except OSError as error:
        return note("mwaa-bundle", f"{error.filename}: {error.strerror or error}", REFUSED)
    _print(image, states, as_json=args.json)
    if not args.dead_letter_queue:
        note("mwaa-bundle", NO_DEAD_LETTERS)
    return OK


def _package(path: Path | None, image: Image) -> Package:
    package = installed() if path is None else from_wheel(path)
    if unmet := package.unmet(image):
        raise ConfigurationError(
            f"--airflow: {package.pin} cannot be installed on MWAA's Airflow {image.airflow}:"
            f" it wants {'; '.join(unmet)}"
        )
    return package


def _write(files: Mapping[str, bytes], folder: Path, *, replace: bool) -> dict[str, str]:
    """Write what differs; return each path with ``written`` or ``unchanged``."""
    paths = {folder / name: content for name, content in files.items()}
    states = {path: _state(path, content) for path, content in paths.items()}
    differing = [str(path) for path, state in states.items() if state == "differs"]
    if differing and not replace:
        raise ConfigurationError(
            f"--out: {', '.join(differing)} would be overwritten; name another folder, or give --replace"
        )
    for path, content in paths.items():
        if states[path] != "unchanged":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return {str(path): "unchanged" if state == "unchanged" else "written" for path, state in states.items()}


def _state(path: Path, content: bytes) -> str:
    if not path.exists():
        return "absent"
    return "unchanged" if path.read_bytes() == content else "differs"


def _print(image: Image, states: Mapping[str, str], *, as_json: bool) -> None:
    if as_json:
        files = [{"path": path, "state": state} for path, state in states.items()]
        print(json.dumps({"airflow": image.airflow, "python": image.python, "files": files}))
        return
    for path, state in states.items():
        print(f"{state:<9} {printable(path)}")
