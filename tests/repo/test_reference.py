"""The reference names all that users may import, and each docstring all that they may pass."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import airflow_s3events

ROOT = Path(__file__).parents[2]
NAMES = ROOT / "docs" / "reference" / "api.md"
MODULES = ROOT / "docs" / "reference" / "modules.md"
#: Pages for those who change the package.
INNER = {"contributing.md", "extending.md"}
SHOWN = [
    ROOT / "README.md",
    *(page for page in (ROOT / "docs").rglob("*.md") if page.name not in INNER),
    *(ROOT / "example_dags").glob("*.py"),
]
#: A line of mkdocstrings, with the members that it lists by name.
DIRECTIVE = re.compile(
    r"^::: (?P<path>[\w.]+)(?:\n    options: .*members: \[(?P<members>[^]]+)\])?", re.MULTILINE
)
IMPORT = re.compile(r"^ *from (airflow_s3events[\w.]*) import (\([^)]+\)|[^#\n]+)", re.MULTILINE)
#: "Args:" names one setting a line, or several that mean the same: "aws_conn_id, region_name: ...".
ARGUMENT = re.compile(r"^ {4,12}(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*): ", re.MULTILINE)


def documented(page: Path) -> set[str]:
    """Dotted names in the package that a page has a directive for; all public ones of a whole module."""
    found: set[str] = set()
    for match in DIRECTIVE.finditer(page.read_text()):
        found.add(match["path"])
        found |= {f"{match['path']}.{name}" for name in members(match["path"], match["members"])}
    return found


def members(path: str, listed: str | None) -> list[str]:
    if listed is not None:
        return [name.strip() for name in listed.split(",")]
    try:
        return [name for name in dir(import_module(path)) if not name.startswith("_")]
    except ModuleNotFoundError:  # a name in a module
        return []


def imported() -> set[tuple[str, str]]:
    """Module and name of every import that a page or an example shows."""
    found = (match for page in SHOWN for match in IMPORT.finditer(page.read_text()))
    return {(module, name.strip()) for module, names in (match.groups() for match in found)
            for name in names.strip("() ").split(",") if name.strip()}  # fmt: skip


@pytest.mark.parametrize("name", airflow_s3events.__all__)
def test_every_public_name_has_its_place_in_the_reference(name: str) -> None:
    assert f"airflow_s3events.{name}" in documented(NAMES)


def test_every_name_that_a_page_or_an_example_imports_is_in_the_reference() -> None:
    found = documented(NAMES) | documented(MODULES)
    wanted = {(module, name.split(" as ")[0]) for module, name in imported()}
    public = {(module, name) for module, name in wanted if name not in airflow_s3events.__all__}
    assert {f"{module}.{name}" for module, name in public} - found == set()


@pytest.mark.parametrize("name", airflow_s3events.__all__)
def test_every_setting_of_a_public_name_is_documented(name: str) -> None:
    public = getattr(airflow_s3events, name)
    signature = inspect.signature(public)
    settings = {p.name for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD}
    text = inspect.getdoc(public) or ""
    named = {n.strip("* ") for match in ARGUMENT.finditer(text) for n in match["names"].split(",")}
    assert settings - named == set()
