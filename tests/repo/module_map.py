"""The map of the package, written from the code: ``python -m tests.repo.module_map --write``.

The layers of pyproject.toml go into docs/contributing.md, the first line of each module's docstring into
docs/reference/modules.md.
"""

from __future__ import annotations

import ast
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.repo.pages import ROOT

PACKAGE = ROOT / "airflow_s3events"
CONTRIBUTING = ROOT / "docs" / "contributing.md"
MODULES = ROOT / "docs" / "reference" / "modules.md"
LAYERS = re.compile(r"(?<=```text\n)cli\n.*?(?=```)", re.DOTALL)
#: What a layer may use, by one of its modules.
NOTES = {
    "dags": "Airflow",
    "operators": "Airflow",
    "triggers": "Airflow",
    "hooks": "Airflow",
    "_compat": "Airflow; the only place that asks for its version",
    "consumer": "I/O, no Airflow",
}


def layers() -> str:
    """Return the layers, from top to bottom, a line each."""
    toml: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    contracts = toml.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (found,) = [contract["layers"] for contract in contracts if contract.get("containers") == [PACKAGE.name]]
    return "".join(f"{_with_note(layer)}\n" for layer in found if layer != "__main__")


def _with_note(layer: str) -> str:
    notes = [NOTES[name] for name in layer.split(" | ") if name in NOTES]
    return f"{layer}    {notes[0]}" if notes else layer


def table() -> str:
    """Return a row for each file and folder of the package root."""
    rows = (
        f"| `{_name(path)}` | {_first_line(path)} |\n"
        for path in sorted(PACKAGE.iterdir())
        if _is_module(path)
    )
    return "| module | |\n| --- | --- |\n" + "".join(rows)


def _is_module(path: Path) -> bool:
    return path.stem != "__init__" and (path.suffix == ".py" or (path / "__init__.py").exists())


def _name(path: Path) -> str:
    return path.stem if path.suffix == ".py" else f"{path.name}/"


def _first_line(path: Path) -> str:
    source = path if path.suffix == ".py" else path / "__init__.py"
    words = ast.get_docstring(ast.parse(source.read_text())) or ""
    return words.partition("\n\n")[0].replace("\n", " ").replace("``", "`").replace("|", "\\|")


def written(page: Path) -> str:
    """Return the text that the page should have."""
    text = page.read_text()
    if page == CONTRIBUTING:
        return LAYERS.sub(lambda _: layers(), text, count=1)
    head, heading, rest = text.partition("## Every module\n")
    return f"{head}{heading}{rest.partition('| module')[0].rstrip()}\n\n{table()}"


if __name__ == "__main__":
    for page in (CONTRIBUTING, MODULES):
        if sys.argv[1:] == ["--write"]:
            page.write_text(written(page))
        else:
            sys.stdout.write(written(page))
