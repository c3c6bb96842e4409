"""Asks for every link that leads elsewhere, of pages and docstrings: ``python -m tests.repo.external_links``.

Needs a network, so no test calls it. A link is broken when its host answers 404 or 410. What else comes (403
to whoever is no browser, 429, 5xx, nothing in time, a host that is not found) is unclear, told, and no
failure. Exit status: 3 where a link is broken, 5 where no host answers at all, else 0.
"""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

from tests.repo.pages import PAGES, ROOT

#: Of a page, and of a docstring, which may have it at the end of a sentence; no sample of an address.
LINK = {
    ".md": re.compile(r"\]\((?P<url>https?://[^)\s]+)\)"),
    ".py": re.compile(
        r"(?P<url>https://(?:airflow\.apache|(?:docs\.)?aws\.amazon|github|json-schema)\.[^\s`\"'>)]*[\w/])"
    ),
}
SOURCES = sorted((ROOT / "airflow_s3events").rglob("*.py"))
BROKEN = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
FOUND_BROKEN, NO_NETWORK = 3, 5
_SECONDS = 20.0
_AT_ONCE = 8


def links(pages: Iterable[Path]) -> dict[str, list[Path]]:
    """Return each address without its anchor, and the pages and modules that name it."""
    found: dict[str, list[Path]] = defaultdict(list)
    for page in pages:
        for match in LINK[page.suffix].finditer(page.read_text()):
            found[match["url"].partition("#")[0]].append(page)
    return dict(found)


def ask(url: str) -> str:
    """Return what is wrong with an address: ``broken``, ``unclear``, ``no answer``; empty where it is."""
    request = urllib.request.Request(url, headers={"User-Agent": "Mozilla/5.0 (link check)"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310 - http or https, by the pattern
            return ""
    except urllib.error.HTTPError as error:
        return f"{'broken' if error.code in BROKEN else 'unclear'}: {error.code}"
    except (OSError, ValueError) as error:
        return f"no answer: {error}"


def check(found: dict[str, list[Path]], say: Callable[[str], None]) -> int:
    """Ask for all; say what is wrong, and return the exit status."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = dict(zip(found, pool.map(ask, found), strict=True))
    for url, answer in answers.items():
        if answer:
            say(f"{answer}  {url}  in {', '.join(str(page.relative_to(ROOT)) for page in found[url])}")
    counts = Counter(answer.partition(":")[0] or "there" for answer in answers.values())
    say(f"{len(found)} links: {', '.join(f'{count} {what}' for what, count in sorted(counts.items()))}")
    if set(counts) == {"no answer"}:
        return NO_NETWORK
    return FOUND_BROKEN if counts["broken"] else 0


if __name__ == "__main__":
    sys.exit(check(links([*PAGES, *SOURCES]), print))
