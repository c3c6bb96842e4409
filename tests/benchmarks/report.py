"""What every benchmark prints and writes: a table, one JSON line and, on request, its page."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PAGES = Path(__file__).parents[2] / "docs" / "benchmarks"
_PACKAGES = (
    "apache-airflow",
    "apache-airflow-task-sdk",
    "apache-airflow-providers-amazon",
    "aiobotocore",
    "botocore",
    "ministack",
)


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--write", action="store_true", help="write the page in docs/benchmarks")
    options.add_argument(
        "--quiet-seconds", type=float, default=0.0, help="wait so long for the machine to become idle"
    )
    return options


def wait_quiet(timeout_seconds: float, load: float = 0.6) -> float:
    """Wait until the load average of the last minute is low, or time is up; return it."""
    deadline = time.monotonic() + timeout_seconds
    while (now := os.getloadavg()[0]) > load and time.monotonic() < deadline:
        time.sleep(2)
    return now


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def summary(values: Sequence[float]) -> dict[str, float]:
    """Count, median, 95th percentile, least and most."""
    return {
        "n": len(values),
        "p50": round(statistics.median(values), 3),
        "p95": round(percentile(values, 0.95), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def machine() -> dict[str, Any]:
    """When, with what and on what: a figure means nothing without it."""
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        **{name: found for name in _PACKAGES if (found := _version(name))},
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of rows that have the same members."""
    heads = list(rows[0])
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(str(row[head]) for head in heads)} |" for row in rows]
    return "\n".join(lines)


def publish(name: str, title: str, text: str, result: Mapping[str, Any], *, write: bool) -> None:
    """Print the table and the JSON line; write ``docs/benchmarks/<name>.md`` when asked.

    What a page says below a line ``<!-- words -->`` was written by people, and stays.
    """
    whole = {"benchmark": name, **machine(), **result}
    line = json.dumps(whole)
    print(text, file=sys.stderr)
    print(line)
    if write:
        page = PAGES / f"{name}.md"
        words = page.read_text().partition("<!-- words -->")[2] if page.exists() else "\n"
        page.write_text(_page(title, text, whole, line) + f"\n<!-- words -->{words}")


def _page(title: str, text: str, whole: Mapping[str, Any], line: str) -> str:
    command = shlex.join([str(sys.modules["__main__"].__spec__.name), *sys.argv[1:]])  # type: ignore[union-attr]
    versions = ", ".join(f"{package} {whole[package]}" for package in _PACKAGES if package in whole)
    return f"""# {title}

{whole["date"]}, Python {whole["python"]}, {versions}; {whole["cores"]} cores, {whole["memory_gib"]} GiB.
Command: `python -m {command}`.

{text}

```json
{line}
```
"""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
