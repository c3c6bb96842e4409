"""``s3events``: one command is run, and no other loaded."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from airflow_s3events import __version__
from airflow_s3events.commands import COMMANDS

#: What a shell reports for a program that SIGPIPE or SIGINT ended: 128 and the number of the signal.
_PIPE_CLOSED = 141
_INTERRUPTED = 130
_CANNOT_WRITE = 1


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
    status: int = COMMANDS[args.command].load().run(args)
    return status


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="s3events", description="One S3 object event, one Airflow DAG run.")
    parser.add_argument("--version", action="version", version=f"s3events {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        # The others only lend their help line.
        if name in arguments[:1]:
            command.load().add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=command.help)
    return parser
