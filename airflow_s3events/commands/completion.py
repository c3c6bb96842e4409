"""``s3events completion``: a script that completes commands and options in bash or zsh.

Written from the parsers, so that a TAB starts no Python.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from airflow_s3events.commands import COMMANDS

SHELLS = ("bash", "zsh")

_ZSH = "autoload -U +X bashcompinit && bashcompinit"
_SCRIPT = """\
_s3events() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}} words=
    if [ "$COMP_CWORD" -gt 2 ]; then
        case $command in
            {parents}) command="$command ${{COMP_WORDS[2]}}" ;;
        esac
    fi
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    else
        case "$command $prev" in
{values}
            *)
                case $command in
{options}
                esac ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _s3events s3events"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command and its argument."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "completion",
        help="a script that completes commands in bash or zsh",
        description="Print a script that completes the commands and options of s3events on TAB: put"
        ' eval "$(s3events completion bash)" into ~/.bashrc, or the same with zsh into ~/.zshrc.'
        " Exit status: 0.",
    )
    parser.add_argument("shell", choices=SHELLS, help="which shell")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the script; return the exit status."""
    if args.shell == "zsh":
        print(_ZSH)
    print(script())
    return 0


def script() -> str:
    """Return the script for bash, which zsh takes after ``bashcompinit``."""
    parsers = dict(_parsers())
    parents = [name for name, parser in parsers.items() if _own(parser)]
    return _SCRIPT.format(
        parents="|".join(parents),
        commands=" ".join((*COMMANDS, "--help", "--version")),
        values="\n".join(line for name, parser in parsers.items() for line in _values(name, parser)),
        options="\n".join(
            f"                    {_quoted(name)}) words={_quoted(' '.join(_words(parser)))} ;;"
            for name, parser in parsers.items()
        ),
    )


def _parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield the parser of each command, and of each command's own commands."""
    subparsers = argparse.ArgumentParser(prog="s3events").add_subparsers()
    for name, command in COMMANDS.items():
        parser = command.load().add_parser(subparsers)
        yield name, parser
        for action, own in _own(parser).items():
            yield f"{name} {action}", own


def _own(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _words(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings or map(str, action.choices or ())


def _values(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield what may follow each option that takes a value; nothing, where it is not one of a few."""
    for action in parser._actions:
        if action.option_strings and action.nargs != 0:
            patterns = "|".join(_quoted(f"{name} {option}") for option in action.option_strings)
            choices = " ".join(map(str, action.choices or ()))
            yield f"            {patterns}) words={_quoted(choices)} ;;"


def _quoted(text: str) -> str:
    return f'"{text}"'
