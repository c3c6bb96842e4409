"""The shape of the repository: what lies at the top, how long things may get, what may not be named."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP_LEVEL = {
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "airflow_s3events",
    "docs",
    "example_dags",
    "pyproject.toml",
    "tests",
}
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
USUAL_FUNCTION = 30
#: Functions of the package that need more than the usual lines, each with its reason.
LONG_FUNCTIONS: dict[str, str] = {
    "airflow_s3events/records.py:read_record": "one line for each member of the event",
    "airflow_s3events/records.py:read_eventbridge": "one line for each member of the event",
    "airflow_s3events/consumer/consumer.py:__init__": "puts the parts together, one line for each argument",
}
VAGUE_NAMES = re.compile(r"(.*_)?(utils?|helpers?|common|misc|manager)|base_.*")
#: In pieces, so that this file does not hold what it looks for.
FORBIDDEN_TEXT = re.compile(
    "|".join(
        (
            r"\bTO" + "DO\\b",
            r"\bFIX" + "ME\\b",
            r"\bXX" + "X\\b",
            "/wo" + "rk/",
            "/tm" + "p/v33",
            "/ro" + "ot/",
        )
    )
    + "|<<<<"
    + "<<<|>>>>"
    + ">>>"
)

pytestmark = pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="no git checkout: nothing says which files count"
)


def tracked() -> list[Path]:
    """Every file that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = done.stdout.rstrip("\0").split("\0")
    return sorted(path for path in (ROOT / name for name in names) if path.exists())


def python_files(*folders: str) -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield each function's name and the lines of its body, without its docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body if ast.get_docstring(node) is None else node.body[1:]
            lines = (node.end_lineno or node.lineno) - body[0].lineno + 1 if body else 0
            yield f"{path.relative_to(ROOT)}:{node.name}", lines


def test_nothing_else_lies_at_the_top() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} <= TOP_LEVEL


def test_no_file_is_longer_than_the_limit() -> None:
    files = python_files("airflow_s3events", "tests", "example_dags")
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_no_function_is_longer_than_the_wall() -> None:
    sizes = [
        size for path in python_files("airflow_s3events", "tests", "example_dags") for size in functions(path)
    ]
    assert {name: lines for name, lines in sizes if lines > LONGEST_FUNCTION} == {}


def test_a_long_function_has_its_reason_and_a_reason_its_long_function() -> None:
    sizes = [size for path in python_files("airflow_s3events") for size in functions(path)]
    assert {name for name, lines in sizes if lines > USUAL_FUNCTION} == set(LONG_FUNCTIONS)


def test_no_module_has_a_name_that_says_nothing() -> None:
    files = python_files("airflow_s3events", "tests")
    assert [path for path in files if VAGUE_NAMES.fullmatch(path.stem)] == []


def test_no_file_holds_an_unfinished_note_or_a_path_of_one_machine() -> None:
    # A picture's bytes may be anything.
    texts = {path: path.read_text(errors="replace") for path in tracked() if b"\0" not in path.read_bytes()}
    found = {str(path.relative_to(ROOT)): FORBIDDEN_TEXT.findall(text) for path, text in texts.items()}
    assert {name: hits for name, hits in found.items() if hits} == {}
