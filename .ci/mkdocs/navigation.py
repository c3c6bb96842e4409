"""The site's navigation is docs/index.md: each of its sections a tab, each of its links a page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\[(?P<label>[^]]+)\]\((?P<target>[^)#]+)[^)]*\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take the navigation from the index."""
    intro, *sections = re.split(r"^## ", (ROOT / "docs" / "index.md").read_text(), flags=re.MULTILINE)
    config.nav = [{"Home": ["index.md", *links(intro)]}, *map(section, sections)]
    return config


def section(text: str) -> dict[str, list[Any]]:
    """One tab: the heading of a section, and what the section links to."""
    heading, _, body = text.partition("\n")
    return {heading.strip(): [entry for link in links(body) for entry in with_pages_below(link)]}


def links(text: str) -> list[dict[str, str]]:
    """Each link of a text, once; what lies beside docs/ has the address that pages.py gives it."""
    found = {match["target"]: match["label"].strip("`") for match in LINK.finditer(text)}
    return [{label: page(target)} for target, label in found.items() if not target.startswith("http")]


def page(target: str) -> str:
    """Address of a page of the site."""
    return target.removeprefix("../").lower() if target.startswith("../") else target


def with_pages_below(link: dict[str, str]) -> list[Any]:
    """The figures and the examples have pages of their own, which their index lists."""
    (target,) = link.values()
    if target == "benchmarks/index.md":
        return [target, *sorted(f"benchmarks/{path.name}" for path in figures())]
    if target == "examples.md":
        return [target, *map(group, groups())]
    return [link]


def figures() -> list[Path]:
    """Every page of figures."""
    return [path for path in (ROOT / "docs" / "benchmarks").glob("*.md") if path.name != "index.md"]


def groups() -> list[tuple[str, list[str]]]:
    """Headings of the index of examples, and the files that it lists below each."""
    _, *sections = re.split(r"^## ", (ROOT / "docs" / "examples.md").read_text(), flags=re.MULTILINE)
    listed = re.compile(r"^- \[(\w+)\]", re.MULTILINE)
    found = ((text.partition("\n")[0].strip(), listed.findall(text)) for text in sections)
    return [(heading, names) for heading, names in found if names]


def group(found: tuple[str, list[str]]) -> dict[str, list[str]]:
    """One group of the navigation."""
    heading, names = found
    return {heading: [f"examples/{name}.md" for name in names]}
