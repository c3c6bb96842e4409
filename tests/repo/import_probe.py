"""Runs one statement in a process of its own and tells what it loaded, connected to and looked up.

Started as ``python -c "import import_probe; import_probe.main()" STATEMENT``; prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
LOOKED_UP: list[str] = []
CONNECTED: list[str] = []


class Recorder:
    """A secrets backend that has nothing and remembers what it was asked for."""

    def _set_connection_class(self, _: type) -> None:
        """Airflow 3.3 tells each backend what its connections are."""

    def get_connection(self, conn_id: str, **_: Any) -> None:
        LOOKED_UP.append(f"connection {conn_id}")

    def get_variable(self, key: str, **_: Any) -> None:
        LOOKED_UP.append(f"variable {key}")

    def get_config(self, key: str) -> None:
        LOOKED_UP.append(f"config {key}")


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event in NETWORK:
        CONNECTED.append(f"{event} {arguments[1:]!r}")


def look_up_a_connection() -> None:
    """Do what must not happen at import: the proof that the probe would see it."""
    from airflow.sdk import BaseHook

    with suppress(Exception):  # it does not exist; only the look-up counts
        BaseHook.get_connection("probe")


def main() -> None:
    """Run the statement that the command line gives, after loading the modules that it names behind it."""
    import airflow.sdk  # noqa: F401 - the floor: what any DAG file has loaded

    for module in sys.argv[2:]:
        import_module(module)
    sys.addaudithook(_listen)
    LOOKED_UP.clear()
    before = set(sys.modules)
    exec(sys.argv[1], {"probe": sys.modules[__name__]})  # noqa: S102 - the tests' own statements
    loaded = sorted(set(sys.modules) - before)
    print(json.dumps({"loaded": loaded, "connected": CONNECTED, "looked_up": LOOKED_UP}))
