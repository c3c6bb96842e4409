"""What commands print: tables for people, notes on stderr. Object keys are somebody else's text."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from types import TracebackType
from typing import Any

#: Seconds between two lines that say how far something has come, where there is no terminal.
_LINE_SECONDS = 2.0


def printable(text: object) -> str:
    """Return ``text`` with everything that a terminal could take for a command written out."""
    return ascii(str(text))[1:-1]


def note(command: str, text: str, status: int = 0) -> int:
    """Print a line about ``command`` on stderr, if there is one; return ``status``."""
    if sys.stderr is not None:
        print(f"s3events {command}: {printable(text)}", file=sys.stderr)
    return status


def logs_aside() -> AbstractContextManager[Any]:
    """Keep stdout for the report: Airflow logs there where nobody has told it where to."""
    return redirect_stdout(sys.stderr)


class Progress:
    """Says on stderr how far a long work has come: a bar on a terminal, elsewhere a line every two seconds.

    Args:
        command: Whose work it is.
        line_seconds: Time between two lines.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        command: str,
        *,
        line_seconds: float = _LINE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = command
        self._line_seconds = line_seconds
        self._clock = clock
        self._said_at = clock()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if sys.stderr is not None and sys.stderr.isatty():
            self._bar = _bar()
            self._bar.start()
            self._task = self._bar.add_task("", total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def is_bar(self) -> bool:
        """Whether it is a bar, beside which nothing else should be printed."""
        return self._bar is not None

    def at(self, done: int, text: str, total: int | None = None) -> None:
        """Say that ``done`` of ``total`` is done; None: nobody knows of how many."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, description=printable(text))
        elif self._clock() - self._said_at >= self._line_seconds:
            self._said_at = self._clock()
            note(self._command, text)


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    # As text: what looks like markup in a key is none.
    text = TextColumn("{task.description}", markup=False)
    return Progress(SpinnerColumn(), BarColumn(), text, console=Console(stderr=True), transient=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their columns; nothing where there are none."""
    if not rows:
        return
    cells = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, cells)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in (columns, *cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _draw(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns)
    for row in cells:
        # As text: what looks like markup in a key is none.
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    Console().print(table)
