"""What commands say while they work: a bar on a terminal, lines elsewhere, nobody's control characters."""

from __future__ import annotations

import io

import pytest

from airflow_s3events.cli import main
from airflow_s3events.terminal import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_where_there_is_no_terminal_there_is_a_line_every_two_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 0.0
    with Progress("dead-letters", clock=lambda: now) as progress:
        for done in range(50):
            now = done / 10
            progress.at(done, f"{done} looked at")
    assert capsys.readouterr().err.splitlines() == [
        "s3events dead-letters: 20 looked at",
        "s3events dead-letters: 40 looked at",
    ]


def test_on_a_terminal_there_is_a_bar_without_anybody_s_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Progress("reconcile") as progress:
        progress.at(3, "at [red]in\x1b]0;x/a[/red]", 10)
    assert r"at [red]in\x1b]0;x/a[/red]" in terminal.getvalue()


@pytest.mark.parametrize(
    "command",
    [
        ["iam", "--for", "dispatch", "--queue", "a\x1b[2Jb"],
        ["mwaa-bundle", "--airflow", "3.3", "--queue", "a\x1b[2Jb"],
        ["check", "--bucket", "b", "--queue", "a\x1b[2Jb"],
    ],
)
def test_what_somebody_typed_steers_no_terminal(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert err.startswith(f"s3events {command[0]}: ")
