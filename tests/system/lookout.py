"""Who looks for the signs of faults: in the metrics, on the page in Airflow's UI, and by the command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_s3events.demo.cluster import Cluster
from tests.page_server import PageServer
from tests.statsd import StatsdServer

_CARD = re.compile(r'<article class="card queue.*?</article>', re.DOTALL)
_KEY = re.compile(r"<h3[^>]*>(.*?)</h3>", re.DOTALL)
_CODE = re.compile(r"<strong>(.*?)</strong>")
#: Seconds between two looks at the page.
_LOOK_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Sign:
    """What is looked for.

    Attributes:
        queue: Name of the queue; the page and the command know it as ``key``.
        metric: Name without ``s3events.``, and tags that it must have.
        code: The finding.
        options: Of ``s3events status``, beside the queue.
    """

    queue: str
    key: str
    metric: str
    code: str
    tags: Mapping[str, str] = field(default_factory=dict)
    #: What it must be above.
    least: float = 0.0
    options: tuple[str, ...] = ()


@dataclass
class Lookout:
    """Looks until a sign is seen in all three places, and says after how many seconds each was.

    Args:
        cluster: The Airflow that the command asks.
        page: The page; everybody has logged in as a viewer.
        statsd: Gets the metrics.
        environment: Of the command: the connections that it needs.
    """

    cluster: Cluster
    page: PageServer
    statsd: StatsdServer
    environment: Mapping[str, str]
    _token: str = ""

    def on_page(self) -> dict[str, set[str]]:
        """Return the findings that the page shows, by queue; of a page that is not served, none."""
        import httpx

        try:
            self._token = self._token or self.page.token("reader")
            answer = httpx.get(
                f"{self.page.url}/s3events/queues", cookies={"_token": self._token}, timeout=60
            )
        except (httpx.HTTPError, KeyError, ValueError):
            return {}
        found = {}
        for card in _CARD.findall(answer.text):
            key = _KEY.search(card)
            assert key is not None
            found[key.group(1)] = {code.replace(" ", "_") for code in _CODE.findall(card)}
        return found

    def by_command(self, sign: Sign) -> tuple[int, set[str]]:
        """Return the exit status of ``s3events status --json --metrics``, and the findings in its answer."""
        command = [sys.executable, "-m", "airflow_s3events", "status", sign.key, "--json", "--metrics"]
        command += ["--no-reasons", "--airflow-conn-id", "airflow_api", *sign.options]
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False
        )
        if not done.stdout:
            return done.returncode, set()
        found: dict[str, Any] = json.loads(done.stdout)
        return done.returncode, {finding["code"] for finding in found["findings"]}

    def in_metrics(self, sign: Sign, before: int) -> bool:
        """Return whether a metric of the queue that is not 0 has come behind the first ``before`` ones."""
        wanted = {"queue": sign.queue, **sign.tags}
        return any(
            name == f"s3events.{sign.metric}" and value > sign.least and wanted.items() <= tags.items()
            for name, _, value, tags in self.statsd.so_far()[before:]
        )

    def watch(
        self, signs: Mapping[str, Sign], since: Mapping[str, float], timeout_seconds: float
    ) -> dict[str, dict[str, float]]:
        """Return the seconds from each fault to its sign, by fault and place; what was not seen is left out.

        Args:
            signs: What is looked for, by fault.
            since: When each fault was made, by ``time.monotonic``.
            timeout_seconds: Look for so long.
        """
        seen: dict[str, dict[str, float]] = {fault: {} for fault in signs}
        before = len(self.statsd.so_far())
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline and not all(len(places) == 3 for places in seen.values()):
            began = time.monotonic()
            page = self.on_page()
            self._note(
                seen, since, {fault for fault, s in signs.items() if s.code in page.get(s.key, ())}, "page"
            )
            for fault, sign in signs.items():
                # What the page does not show yet the command does not know either: it takes seconds to start.
                if "page" in seen[fault] or not page:
                    self._ask(seen, since, fault, sign)
                if self.in_metrics(sign, before):
                    self._note(seen, since, {fault}, "metrics")
            time.sleep(max(0.0, began + _LOOK_SECONDS - time.monotonic()))
        return seen

    def _ask(
        self, seen: dict[str, dict[str, float]], since: Mapping[str, float], fault: str, sign: Sign
    ) -> None:
        if "command" not in seen[fault] and sign.code in self.by_command(sign)[1]:
            self._note(seen, since, {fault}, "command")

    @staticmethod
    def _note(
        seen: dict[str, dict[str, float]], since: Mapping[str, float], faults: set[str], place: str
    ) -> None:
        for fault in faults:
            seen[fault].setdefault(place, time.monotonic() - since[fault])
