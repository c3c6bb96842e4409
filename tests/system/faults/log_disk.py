"""A small disk for Airflow's logs, which can be filled and freed: a tmpfs, which root alone may mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: Enough for the logs of thousands of tasks.
_MEGABYTES = 128
_BLOCK = 4096


@dataclass(frozen=True)
class LogDisk:
    """Where Airflow's ``base_log_folder`` is."""

    folder: Path

    def fill(self) -> int:
        """Take all that is left; return how many bytes that were."""
        block = b"\0" * _BLOCK
        with self._filler.open("ab", buffering=0) as filler:
            try:
                while filler.write(block) == _BLOCK:
                    pass
            except OSError:  # No space left on device
                pass
            return filler.tell()

    def free(self) -> None:
        """Give it back."""
        self._filler.unlink(missing_ok=True)

    def is_full(self) -> bool:
        """Whether a log of one more line would find no room."""
        return os.statvfs(self.folder).f_bavail == 0

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"


def missing() -> str:
    """Why there can be no such disk here; empty where there can."""
    if os.geteuid() != 0:
        return "a disk for the logs is mounted, which root alone may"
    return ""


@contextmanager
def log_disk(folder: Path) -> Iterator[LogDisk]:
    """Mount it; unmount it at the end.

    Raises:
        OSError: It cannot be mounted; says why.
    """
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_MEGABYTES}m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"mount of a tmpfs: {done.stderr.strip()}")
    try:
        yield LogDisk(folder)
    finally:
        # Lazily: what was killed a moment ago may still have a file open there.
        subprocess.run(["umount", "-l", str(folder)], check=False)
