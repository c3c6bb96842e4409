"""Mermaid blocks are drawn when the site is built, so that the browser needs no script for them."""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha256
from typing import Any

import mermaidx
from mkdocs.config.defaults import MkDocsConfig


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Have blocks in the language ``mermaid`` drawn."""
    fence = {"name": "mermaid", "class": "diagram", "format": draw}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [fence]
    return config


def draw(source: str, *_: Any, **__: Any) -> str:
    """The diagram as SVG in the page."""
    return f'<div class="diagram">{svg(source)}</div>'


@cache
def svg(source: str) -> str:
    """Draw one diagram; its ids are its own, since several may be in one page."""
    name = f"diagram-{sha256(source.encode()).hexdigest()[:8]}"
    return re.sub(r"\bmy-svg\b", name, mermaidx.render(source, theme="neutral").svg())
