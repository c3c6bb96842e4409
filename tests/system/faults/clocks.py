"""Clocks that jump: each machine of the stage has one, which libfaketime shows to its processes.

What asks for the time of day gets it with an offset, which a file holds and which is read anew each second;
what measures time (``CLOCK_MONOTONIC``) goes on undisturbed, as it does when a real clock is set.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.system.faults.plan import Kill

#: Where Debian, its ports and a "make install" put it.
_PLACES = ("usr/lib/*/faketime", "usr/lib/faketime", "usr/lib64/faketime", "usr/local/lib/faketime")
_NAME = "libfaketimeMT.so.1"
_CLOCKED = ("scheduler", "scheduler-2", "worker-1", "worker-2", "triggerer", "triggerer-2")
#: Seconds: within the 15 minutes that AWS allows, and beyond, into the future and the past.
JUMPS = (-3_600, -420, 420, 3_600)
#: Until a clock that was set right is right for all who look: libfaketime reads its file each second.
SEEN_SECONDS = 3.0
#: Python sleeps until a moment of ``CLOCK_MONOTONIC``, which libfaketime 0.9.10 takes for one long past; all
#: other ways to wait are left alone.
_SLEEP = """
import select
import time


def sleep(seconds):
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)


time.sleep = sleep
"""


def find_library() -> Path | None:
    """The library, for programs with threads; None where it is not installed."""
    found = [path for place in _PLACES for path in Path("/").glob(f"{place}/{_NAME}")]
    return found[0] if found else None


def jump_of(kill: Kill, jumps: Sequence[int]) -> int:
    """By how many seconds the seed lets the clock jump."""
    return jumps[int(kill.share * 100) % len(jumps)]


def machine_of(component: str) -> str:
    """The machine that a component stands on: a scheduler with a worker of Celery, or a triggerer."""
    kind, _, number = component.partition("-")
    kind = "scheduler" if kind == "worker" else kind
    return f"{kind}-{number or 1}"


@dataclass(frozen=True)
class Clocks:
    """The clocks of some components, by the machines that these stand on."""

    folder: Path
    library: Path
    components: tuple[str, ...] = _CLOCKED

    def environment(self) -> Mapping[str, Mapping[str, str]]:
        """Environment variables of each component; its clock is right until ``set_by``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "sitecustomize.py").write_text(_SLEEP)
        python_path = [str(self.folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        found = {}
        for name in self.components:
            self.set_by(machine_of(name), 0)
            found[name] = {
                "PYTHONPATH": os.pathsep.join(python_path),
                "LD_PRELOAD": str(self.library),
                "FAKETIME_TIMESTAMP_FILE": str(self._file(machine_of(name))),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_DISABLE_SHM": "1",
                "NO_FAKE_STAT": "1",
            }
        return found

    def set_by(self, machine: str, seconds: int) -> None:
        """Set the clock of a machine so many seconds before or behind the time."""
        written = self._file(machine).with_suffix(".new")
        written.write_text(f"{seconds:+d}\n")
        written.rename(self._file(machine))

    def names_on(self, machine: str, among: Iterable[str]) -> list[str]:
        """Those of some components that stand on a machine."""
        return [name for name in among if name in self.components and machine_of(name) == machine]

    def _file(self, machine: str) -> Path:
        return self.folder / f"{machine}.clock"
