"""What lies beside docs/ becomes pages of the site, and links to it lead there."""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[(?P<label>[^]]*)\]\((?!https?:|#)(?P<target>[^)#\s]+)(?P<anchor>#[^)]*)?\)")
CELL = re.compile(r"`[^`\n]*`")
#: Files beside docs/, and the pages that they become.
BESIDE = {"README.md": "readme.md", "CHANGELOG.md": "changelog.md", "example_dags": "examples.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that docs/ does not hold."""
    beside = {page: ROOT / name for name, page in BESIDE.items() if name.endswith(".md")}
    for page, path in {**beside, "site.css": HERE / "site.css"}.items():
        files.append(File.generated(config, page, content=path.read_text()))
    for path in sorted((ROOT / "example_dags").glob("*.py")):
        files.append(File.generated(config, f"examples/{path.stem}.md", content=example_page(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Lead links to files of the repository to their pages; leave the text of blocks alone."""
    parts = FENCE.split(markdown)
    here = source_of(page.file.src_uri)
    for index, part in enumerate(parts):
        if index % 2 == 0:
            linked = LINK.sub(lambda match: link(match, here, page.file.src_uri), part)
            # Inside of code in a table GitHub wants a bar escaped, Python-Markdown does not.
            parts[index] = CELL.sub(lambda match: match[0].replace(r"\|", "|"), linked)
    return "".join(parts)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Docstrings announce a block with two colons, as reStructuredText has it; a reader needs one."""
    return html.replace("<p>::</p>", "").replace("::</p>", ":</p>")


def example_page(path: Path) -> str:
    """What an example is, in a line, then the file."""
    source = path.read_text()
    words = ast.get_docstring(ast.parse(source)) or ""
    heading = f"# {path.stem}\n\n{words.splitlines()[0]}"
    return f'{heading}\n\n```python title="example_dags/{path.name}"\n{source}```\n'


def source_of(uri: str) -> str:
    """Path in the repository of what a page is made of."""
    beside = {page: name for name, page in BESIDE.items() if name.endswith(".md")}
    return beside.get(uri, f"docs/{uri}")


def link(match: re.Match[str], here: str, uri: str) -> str:
    """The same link, from page to page; the label alone where it leads to a file that is no page."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(here), match["target"]))
    if address(target) == target and (ROOT / target).is_file():
        return match["label"]
    path = posixpath.relpath(address(target), posixpath.dirname(uri) or ".")
    return f"[{match['label']}]({path}{match['anchor'] or ''})"


def address(target: str) -> str:
    """Address in the site of a file of the repository; what is no page stays as it is, and is warned of."""
    if target in BESIDE:
        return BESIDE[target]
    if target.startswith("example_dags/"):
        return f"examples/{Path(target).stem}.md"
    return target.removeprefix("docs/")
