"""The documentation site: built without a warning, complete, and with nothing of another host in it."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import pytest

import airflow_s3events
from tests.repo.test_reference import MODULES, NAMES, documented, imported

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / ".ci" / "mkdocs" / "mkdocs.yml"
#: What a browser fetches by itself when it shows a page.
FETCHED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("link", "href"), ("source", "src")}

pytestmark = pytest.mark.skipif(not CONFIG.exists(), reason="no checkout: .ci is not part of the sdist")


class Page(HTMLParser):
    """What a page fetches, and the ids in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            if (tag, name) in FETCHED and value:
                self.fetched.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. ``--strict``: a broken link, a page without a place or an unread docstring ends it."""
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "-f",
        str(CONFIG),
        "-d",
        str(folder),
    ]
    # Of the end of MkDocs Material 9 it tells at every build.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    # Not with -q, which would keep warnings from being counted.
    assert done.returncode == 0, done.stderr
    assert "Documentation built" in done.stderr
    return folder


def test_no_page_fetches_anything_from_another_host(site: Path) -> None:
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html")}
    foreign = re.compile(r"(https?:)?//")
    assert len(pages) > 50
    assert [
        (path.name, url) for path, page in pages.items() for url in page.fetched if foreign.match(url)
    ] == []


def test_no_style_fetches_anything_from_another_host(site: Path) -> None:
    styles = [path.read_text() for path in site.rglob("*.css")]
    assert styles
    assert [
        hit for text in styles for hit in re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//.{40}", text)
    ] == []


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    ids = Page((site / "reference" / "api.html").read_text()).ids
    assert {f"airflow_s3events.{name}" for name in airflow_s3events.__all__} - ids == set()


def test_every_name_that_the_reference_has_a_place_for_is_written_there(site: Path) -> None:
    """One without a docstring would be left out in silence."""
    for page in (NAMES, MODULES):
        ids = Page((site / "reference" / f"{page.stem}.html").read_text()).ids
        assert {name for name in documented(page) if _is_ours(name)} - ids == set(), page.name


def _is_ours(name: str) -> bool:
    """Whether it is made here, not imported there from elsewhere; constants are, by their names' case."""
    module, _, last = name.rpartition(".")
    try:
        found = getattr(import_module(module), last)
    except ModuleNotFoundError:
        return True
    made_in = getattr(found, "__module__", module) or ""
    return made_in.startswith(module) and not inspect.ismodule(found)


def test_every_name_that_pages_and_examples_import_is_in_the_reference(site: Path) -> None:
    pages = [Page((site / "reference" / f"{name}.html").read_text()) for name in ("api", "modules")]
    ids = {found for page in pages for found in page.ids}
    wanted = {f"{module}.{name.split(' as ')[0]}" for module, name in imported()}
    assert {name for name in wanted if not _is_public_elsewhere(name)} - ids == set()


def _is_public_elsewhere(name: str) -> bool:
    """Some pages take a public name from the module that defines it."""
    return name.rsplit(".", 1)[1] in airflow_s3events.__all__


def test_every_diagram_is_drawn(site: Path) -> None:
    page = (site / "explanation" / "delivery.html").read_text()
    written = (ROOT / "docs" / "explanation" / "delivery.md").read_text().count("```mermaid")
    assert written > 0
    assert page.count('aria-roledescription="flowchart') == written


def test_every_example_has_a_page(site: Path) -> None:
    names = {path.stem for path in (ROOT / "example_dags").glob("*.py")}
    assert {path.stem for path in (site / "examples").glob("*.html")} == names


def test_no_two_pages_have_one_title(site: Path) -> None:
    titles = Counter(re.search(r"<title>(.*?)</title>", path.read_text())[1] for path in site.rglob("*.html"))  # type: ignore[index]
    assert [title for title, count in titles.items() if count > 1] == []
