"""The reference of the command line, written from the parsers: ``python -m tests.repo.cli_page --write``."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from airflow_s3events.commands import COMMANDS

PAGE = Path(__file__).parents[2] / "docs/reference/cli.md"
HEAD = """\
# Command line

`s3events COMMAND --help` says the same. This page is written from the commands themselves
(`python -m tests.repo.cli_page --write`), and a test compares the two.

Results go to stdout, all else to stderr. Text that is somebody else's, such as object keys, is printed as
ASCII. Tables are drawn on a terminal and plain elsewhere; with `--json` there is JSON alone. Long work shows
a bar on a terminal, and a line every two seconds elsewhere.

`eval "$(s3events completion bash)"` in `~/.bashrc`, or the same with `zsh` in `~/.zshrc`, completes
commands, options and their choices.

Exit statuses mean the same everywhere, as far as a command has them:

| status | |
| --- | --- |
| 0 | Done, and nothing is wrong |
| 1 | Output cannot be written; `demo`: an object is without its one run |
| 2 | A setting or an argument is wrong, or AWS or Airflow refuses it |
| 3 | Something was found: what is wrong, missing or refused |
| 4 | There is nothing to show or to act on; `reconcile`: a DAG takes no more runs now |
| 5 | AWS, Airflow or the ledger is away: the same command may do later |
| 6 | `dead-letters purge` was not confirmed |
| 130, 141 | Interrupted; nobody takes the output any more |
"""


def parser_of(command: str) -> argparse.ArgumentParser:
    """Return the parser of one command."""
    subparsers = argparse.ArgumentParser(prog="s3events").add_subparsers()
    COMMANDS[command].load().add_parser(subparsers)
    found: argparse.ArgumentParser = subparsers.choices[command]
    return found


def actions_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of a command's own commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def text() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *(line for name in sorted(COMMANDS) for line in _command(name))])


def _command(name: str) -> Iterator[str]:
    parser = parser_of(name)
    yield from (f"## `s3events {name}`", "", _wrapped(parser.description or ""), "", *_options(parser))
    for action, own in actions_of(parser).items():
        yield from (
            f"### `s3events {name} {action}`",
            "",
            _wrapped(own.description or ""),
            "",
            *_options(own),
        )


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    rows = [_row(one) for one in parser._actions if is_shown(one)]
    if rows:
        yield from ("| argument | |", "| --- | --- |", *rows, "")


def is_shown(action: argparse.Action) -> bool:
    """Return whether it is an argument of the command's own."""
    return not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)


def _row(action: argparse.Action) -> str:
    metavar = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
    shown = " ".join(metavar) if isinstance(metavar, tuple) else str(metavar)
    if action.choices is not None:
        shown = " or ".join(map(str, action.choices))
    names = f"{', '.join(action.option_strings)} {shown}".strip()
    needed = " (required)" if action.required and action.option_strings else ""
    return f"| `{names}`{needed} | {(action.help or '').replace('%%', '%').replace('|', chr(92) + '|')} |"


def _wrapped(description: str) -> str:
    """One sentence a line would be long: break at 118 characters."""
    lines = [""]
    for word in re.sub(r"([<>*_])", r"\\\1", description.replace("%%", "%")).split():
        if len(lines[-1]) + len(word) > 118:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(text())
    else:
        sys.stdout.write(text())
