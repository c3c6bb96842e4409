"""The page of the command line is that of the commands, and each says what its exit statuses mean."""

from __future__ import annotations

import inspect
import re

import pytest

from airflow_s3events.commands import COMMANDS
from tests.repo.cli_page import PAGE, actions_of, is_shown, parser_of, text


def test_the_page_is_what_the_parsers_say() -> None:
    assert PAGE.read_text() == text(), "write it anew: python -m tests.repo.cli_page --write"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_exit_status_of_a_command_is_in_its_help(command: str) -> None:
    module = COMMANDS[command].load()
    # A status is a small number by a public name in capitals of the module's own; larger ones are limits.
    names = re.findall(r"^([A-Z][A-Z_]*) = \d+$", inspect.getsource(module), re.MULTILINE)
    statuses = {getattr(module, name) for name in names}
    told = re.search(r"Exit status:(.*)", parser_of(command).description or "", re.DOTALL)
    assert told is not None
    assert {value for value in statuses if value < 10} <= set(map(int, re.findall(r"\b\d\b", told[1])))


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"completion"}))
def test_every_command_and_every_one_of_its_own_can_print_json(command: str) -> None:
    parser = parser_of(command)
    for one in actions_of(parser).values() or [parser]:
        assert "--json" in one.format_help()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_says_what_it_is(command: str) -> None:
    parsers = [parser_of(command), *actions_of(parser_of(command)).values()]
    shown = [action for parser in parsers for action in parser._actions if is_shown(action)]
    assert [action.dest for action in shown if not action.help] == []
