"""Who looks for the signs of faults: in the metrics, on the page in Airflow's UI, and by the command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from airflow_s3events.demo.cluster import Cluster
from tests.page_server import PageServer
from tests.statsd import Received, StatsdServer

_CARD = re.compile(r'<article class="card queue.*?</article>', re.DOTALL)
_KEY = re.compile(r"<h3[^>]*>(.*?)</h3>", re.DOTALL)
_CODE = re.compile(r"<strong>(.*?)</strong>")
#: Seconds between two looks at the page.
_LOOK_SECONDS = 2.0
#: And at the metrics.
_METRIC_SECONDS = 1.0
#: Commands at a time.
_COMMANDS = 2
Seen = dict[str, dict[str, float]]


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

    def watch(
        self, signs: Mapping[str, Sign], since: Mapping[str, float], before: int, timeout_seconds: float
    ) -> Seen:
        """Return the seconds from each fault to its sign, by fault and place; what was not seen is left out.

        Behind ``took`` are those that the command itself has run.

        Args:
            signs: What is looked for, by fault.
            since: When each fault was made, by ``time.monotonic``.
            before: Metrics that had come before the faults were made.
            timeout_seconds: Look for so long.
        """
        watch = _Watch(self, signs, since, before, time.monotonic() + timeout_seconds)
        with ThreadPoolExecutor() as looking:
            looks = [looking.submit(watch.page), looking.submit(watch.metrics)]
            looks += [looking.submit(watch.command) for _ in range(_COMMANDS)]
            for look in looks:
                look.result()
        return {fault: {**places, **watch.of_command(fault)} for fault, places in watch.seen.items()}


def _is_in(samples: Sequence[Received], sign: Sign) -> bool:
    """Return whether a metric of the queue that is not 0 has come."""
    wanted = {"queue": sign.queue, **sign.tags}
    return any(
        name == f"s3events.{sign.metric}" and value > sign.least and wanted.items() <= tags.items()
        for name, _, value, tags in samples
    )


class _Watch:
    """One watch: each of its three looks goes on, in a thread, until it has seen all."""

    def __init__(
        self,
        lookout: Lookout,
        signs: Mapping[str, Sign],
        since: Mapping[str, float],
        before: int,
        deadline: float,
    ) -> None:
        self._lookout = lookout
        self._signs = signs
        self._since = since
        self._before = before
        self._deadline = deadline
        self._asked = Lock()
        #: The page is served.
        self._is_served = True
        self._turns = list(signs)
        self.seen: dict[str, dict[str, float]] = {fault: {} for fault in signs}
        #: Seconds that the command ran which has seen it.
        self.took: dict[str, float] = {}

    def page(self) -> None:
        """Ask the page, again and again."""
        for left in self._looks("page", _LOOK_SECONDS):
            shown = self._lookout.on_page()
            self._is_served = bool(shown)
            for fault in left:
                if self._signs[fault].code in shown.get(self._signs[fault].key, ()):
                    self._note("page", fault)

    def metrics(self) -> None:
        """Look at what has come."""
        for left in self._looks("metrics", _METRIC_SECONDS):
            come = self._lookout.statsd.so_far()[self._before :]
            for fault in left:
                if _is_in(come, self._signs[fault]):
                    self._note("metrics", fault)

    def command(self) -> None:
        """Run the command for one fault after the other that the page has shown."""
        for _ in self._looks("command", _METRIC_SECONDS):
            fault, began = self._next(), time.monotonic()
            if fault and self._signs[fault].code in self._lookout.by_command(self._signs[fault])[1]:
                self._note("command", fault)
                self.took[fault] = time.monotonic() - began

    def of_command(self, fault: str) -> dict[str, float]:
        """Return how long the command ran that has seen the sign."""
        return {"took": self.took[fault]} if fault in self.took else {}

    def _next(self) -> str:
        with self._asked:
            for fault in list(self._turns):
                seen = self.seen[fault]
                if "command" not in seen and ("page" in seen or not self._is_served):
                    self._turns.remove(fault)
                    self._turns.append(fault)
                    return fault
        return ""

    def _looks(self, place: str, every_seconds: float) -> Iterator[list[str]]:
        while time.monotonic() < self._deadline:
            left = [fault for fault, places in self.seen.items() if place not in places]
            if not left:
                return
            began = time.monotonic()
            yield left
            time.sleep(max(0.0, began + every_seconds - time.monotonic()))

    def _note(self, place: str, fault: str) -> None:
        self.seen[fault].setdefault(place, time.monotonic() - self._since[fault])
