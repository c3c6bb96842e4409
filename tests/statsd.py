"""A StatsD server of the tests' own, which keeps what it is sent."""

from __future__ import annotations

import re
import socket
import threading
import time

from airflow_s3events.metrics import PREFIX

#: Name, kind, value and tags.
Received = tuple[str, str, float, dict[str, str]]
KINDS = {"c": "counter", "g": "gauge", "ms": "timing"}


class StatsdServer:
    """Keeps what it is sent: (name, kind, value, tags) of each datagram's line."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.port: int = self._socket.getsockname()[1]
        self._lines: list[str] = []
        self._is_closed = False
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        while not self._is_closed:
            try:
                self._lines += self._socket.recv(65_535).decode().splitlines()
            except TimeoutError:
                continue

    @property
    def settings(self) -> dict[str, str]:
        """Airflow's settings, as environment variables, that lead its metrics here."""
        values = {"ON": "True", "HOST": "127.0.0.1", "PORT": str(self.port), "INFLUXDB_ENABLED": "True"}
        return {f"AIRFLOW__METRICS__STATSD_{name}": value for name, value in values.items()}

    def close(self) -> None:
        """Stop receiving."""
        self._is_closed = True
        self._thread.join()
        self._socket.close()

    def so_far(self) -> list[Received]:
        """Return the package's samples that have come."""
        return [_parsed(line) for line in list(self._lines) if line.startswith(f"airflow.{PREFIX}")]

    def samples(self) -> list[Received]:
        """Return the package's samples once nothing more has come for half a second."""
        before = -1
        while before != len(self._lines):
            before = len(self._lines)
            time.sleep(0.5)
        return self.so_far()

    def sums(self) -> dict[str, float]:
        """Return each counter's sum by its name without ``s3events.``."""
        found: dict[str, float] = {}
        for name, kind, value, _ in self.samples():
            if kind == "counter":
                found[name.removeprefix(PREFIX)] = found.get(name.removeprefix(PREFIX), 0) + value
        return found


def _parsed(line: str) -> Received:
    head, value, kind = re.fullmatch(r"(.*):([^|:]*)\|(\w+).*", line).groups()  # type: ignore[union-attr]
    name, *tags = head.removeprefix("airflow.").split(",")
    return name, KINDS[kind], float(value), dict(tag.split("=") for tag in tags)
