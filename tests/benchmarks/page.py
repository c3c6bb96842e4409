"""How soon the page is painted with a ledger of 100,000 entries, in Chromium, on a real API server.

Run it with ``python -m tests.benchmarks.page``. Each load is a new browser context: nothing is cached. *First
paint* is Chromium's own first contentful paint, with chart and last events in it; *all there* is when the
queues and the states of runs have come, too.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks import report
from tests.page_server import PageServer, standing_alone

_PAINT = """() => new Promise(done => {
  const look = () => {
    const found = performance.getEntriesByName('first-contentful-paint')[0];
    if (found) { done(found.startTime); } else { setTimeout(look, 10); }
  };
  look();
})"""
#: Seconds.
_BAR = 1.0


def main() -> None:
    """Measure, print, write."""
    options = report.parser(__doc__)
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--loads", type=int, default=20)
    chosen = options.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("no chromium here: apt-get install chromium")
    with (
        tempfile.TemporaryDirectory() as folder,
        standing_alone(Path(folder), chosen.rows) as (server, _, _),
    ):
        load = report.wait_quiet(chosen.quiet_seconds)
        figures = _measured(server, chromium, chosen.loads)
    result = {"rows": chosen.rows, "load_before": round(load, 2), **figures}
    rows = [{"seconds": name, **numbers} for name, numbers in figures.items()]
    words = f"{chosen.rows:,} entries in a ledger in SQLite. Bar for the first paint: {_BAR:g} s."
    text = f"{report.table(rows)}\n\n{words}"
    report.publish("page", "The page with 100,000 ledger entries", text, result, write=chosen.write)


def _measured(server: PageServer, chromium: str, loads: int) -> dict[str, dict[str, float]]:
    from playwright.sync_api import sync_playwright

    token, found = server.token("admin"), []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        found = [_load(browser, server.url, token) for _ in range(loads + 1)]
        browser.close()
    # The first load of a server imports what the page needs.
    first, rest = found[0], found[1:]
    names = ("first byte", "first paint", "all there")
    figures = {name: report.summary([one[name] for one in rest]) for name in names}
    return {f"{name}, of the server's first load": report.summary([first[name]]) for name in names} | figures


def _load(browser: Any, url: str, token: str) -> dict[str, float]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies([{"name": "_token", "value": token, "url": url}])
    page = context.new_page()
    begun = time.monotonic()
    page.goto(f"{url}/s3events/", wait_until="commit")
    page.wait_for_selector(".queue")
    page.wait_for_selector("#events[aria-busy=false]")
    all_there = time.monotonic() - begun
    first_byte = page.evaluate("performance.getEntriesByType('navigation')[0].responseStart")
    painted = page.evaluate(_PAINT)
    context.close()
    return {"first byte": first_byte / 1000, "first paint": painted / 1000, "all there": all_there}


if __name__ == "__main__":
    main()
