"""``s3events completion``: what the shells themselves complete with its script."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from airflow_s3events.cli import main
from airflow_s3events.commands import COMMANDS
from airflow_s3events.policies import PURPOSES

#: A shell sources the script from stdin's first part and is asked for what it would offer.
_ASK = {
    "bash": (
        "{script}\nCOMP_WORDS=({words})\nCOMP_CWORD={last}\n_s3events\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    ),
    "zsh": (
        "compdef() {{ :; }}\nautoload -U +X compinit\n{script}\nsetopt ksharrays shwordsplit\n"
        "COMP_WORDS=({words})\nCOMP_CWORD={last}\n_s3events\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    ),
}


def offered(shell: str, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """What is offered for the last of these words."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    quoted = " ".join(f"'{word}'" for word in ("s3events", *words))
    text = _ASK[shell].format(script=script, words=quoted, last=len(words))
    options = ["--norc"] if shell == "bash" else ["-f"]
    done = subprocess.run(
        [shell, *options], input=text, capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stderr == ""
    # zsh leaves out by itself what does not begin so.
    return [word for word in done.stdout.split() if word.startswith(words[-1])]


shells = pytest.mark.parametrize("shell", sorted(_ASK))


@shells
def test_the_first_word_is_a_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert set(offered(shell, capsys, "")) == {*COMMANDS, "--help", "--version"}
    assert offered(shell, capsys, "stat") == ["status"]


@shells
def test_options_are_those_of_the_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert offered(shell, capsys, "status", "landing", "--late") == ["--late-seconds"]
    assert "--max-per-second" in offered(shell, capsys, "dead-letters", "redrive", "dlq", "--m")
    assert "--max-per-second" not in offered(shell, capsys, "dead-letters", "list", "dlq", "--m")


@shells
def test_a_value_is_one_of_the_choices(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert offered(shell, capsys, "iam", "--for", "") == list(PURPOSES)
    assert offered(shell, capsys, "dead-letters", "re") == ["redrive"]


@shells
def test_nothing_is_offered_for_a_value_that_is_free(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert offered(shell, capsys, "check", "--bucket", "") == []
