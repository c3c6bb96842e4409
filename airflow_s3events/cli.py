"""``s3events``: every command in one table, imported only when it is asked for."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from airflow_s3events import __version__

#: What a shell reports for a program that SIGPIPE or SIGINT ended: 128 and the number of the signal.
_PIPE_CLOSED = 141
_INTERRUPTED = 130
_CANNOT_WRITE = 1


class Command(NamedTuple):
    """Where a command lives: a module with ``add_parser(subparsers)`` and ``run(args) -> exit status``."""

    module: str
    help: str


COMMANDS = {
    "check": Command("airflow_s3events.check", "what is wrong on the way from a bucket to its queue"),
    "dead-letters": Command(
        "airflow_s3events.redriving", "look at dead letters, send them back, park or purge them"
    ),
    "decode": Command(
        "airflow_s3events.decoding", "the body of a message in, one JSON object event a line out"
    ),
    "demo": Command(
        "airflow_s3events.demo.command", "objects in, DAG runs out, on a whole Airflow of its own"
    ),
    "explain": Command("airflow_s3events.explaining", "why an object did, or did not, start a run"),
    "iam": Command("airflow_s3events.iam", "the least that a role needs, as a policy to paste"),
    "mwaa-bundle": Command(
        "airflow_s3events.mwaa.command", "a folder with all that an Amazon MWAA environment needs"
    ),
    "reconcile": Command(
        "airflow_s3events.reconciling", "compare a bucket with the ledger, and start what is missing"
    ),
    "schema": Command("airflow_s3events.event_schema", "the JSON Schema of the event in a run's conf"),
    "status": Command(
        "airflow_s3events.status", "is a queue read, what is late, what failed, and what to do"
    ),
    "tail": Command("airflow_s3events.tailing", "the last events and their runs, or what waits in a queue"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; 2 for a wrong argument, as argparse has it."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if sys.stdout is None:
        return _CANNOT_WRITE
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return _PIPE_CLOSED
    except OSError as error:
        _discard_output()
        print(f"s3events: {error.strerror or error}", file=sys.stderr)
        return _CANNOT_WRITE
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _discard_output() -> None:
    """Nobody takes the output: else Python would try once more at exit, and print a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str]) -> int:
    args = _parser(arguments).parse_args(arguments)
    status: int = import_module(COMMANDS[args.command].module).run(args)
    return status


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="s3events", description="One S3 object event, one Airflow DAG run.")
    parser.add_argument("--version", action="version", version=f"s3events {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        # The others only lend their help line.
        if name in arguments[:1]:
            import_module(command.module).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=command.help)
    return parser
