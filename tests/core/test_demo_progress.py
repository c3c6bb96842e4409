"""How the demo says how far it has come: a bar on a terminal, lines elsewhere, and the end on both."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_s3events.demo.command import _follow, _Speech
from tests.core.test_terminal import Terminal


class _World:
    """Airflow, AWS and the uploader: two objects, and a run more with each look."""

    uploads = ("a", "b")

    def __init__(self) -> None:
        self.looks = 0

    def check_alive(self) -> None:
        """It lives."""

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        self.looks += bool(dag_id)
        return [{"state": "success"}] * (self.looks - 1)

    def counts(self, queue_url: str) -> tuple[int, int]:
        return 0, int(bool(queue_url) and self.looks < 3)


def _followed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("time.sleep", lambda _: None)
    world: Any = _World()
    _follow(world, world, world, "queue", _Speech(0.0, to_stderr=False))
    return [line.partition(" s  ")[2] for line in capsys.readouterr().out.splitlines()]


def test_without_a_terminal_each_change_is_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _followed(capsys, monkeypatch) == [
        "0 runs, 0 ended; 1 messages left",
        "1 runs, 1 ended; 1 messages left",
        "2 runs, 2 ended; 0 messages left",
    ]


def test_on_a_terminal_there_is_a_bar_and_a_line_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert _followed(capsys, monkeypatch) == ["2 runs, 2 ended; 0 messages left"]
    assert "1 runs, 1 ended; 1 messages left" in terminal.getvalue()
