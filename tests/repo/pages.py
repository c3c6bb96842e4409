"""The pages of the documentation, and the fenced blocks in them. Needs Python alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^ *```(?P<language>[a-z]*)(?P<info>[^\n]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL
)
FILE = re.compile(r'title="(?P<name>[^"]+)"')


class Block(NamedTuple):
    """One fenced block; ``line`` is that of its fence, from 1."""

    page: Path
    line: int
    language: str
    text: str
    #: What follows the language: ``title="tests/test_orders.py"`` makes the block a file.
    info: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str:
        """Name of the file that the block is; empty where it is none."""
        found = FILE.search(self.info)
        return found["name"] if found else ""


def blocks(*pages: Path) -> Iterator[Block]:
    """Yield the blocks of pages in their order."""
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            yield Block(
                page,
                text.count("\n", 0, match.start()) + 1,
                match["language"],
                dedent(match["text"]),
                match["info"],
            )
