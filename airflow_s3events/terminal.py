"""What commands print: tables for people, notes on stderr. Object keys are somebody else's text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, redirect_stdout
from typing import Any


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
