"""Fuzz what reads other people's text: ``python -m tests.fuzz [TARGET ...] --seconds 20``.

Each target runs for so many seconds of its own, from the kept corpus. Prints what libFuzzer saw at its end;
a finding leaves its input in ``--findings``, and the status is 1. ``--keep`` makes what reached something new
part of the kept corpus.
"""

from __future__ import annotations

import argparse
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS

_ROOT = Path(__file__).parents[2]
_MOST_BYTES = 16_384
#: One input may take no longer, on a machine however busy.
_SLOW_SECONDS = 30
_LAST_STATE = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)")


@dataclass(frozen=True)
class Result:
    """What one target's run showed; a finding where ``inputs`` is None."""

    target: str
    inputs: int | None
    edges: int = 0
    features: int = 0
    cpu_seconds: float = 0.0

    def __str__(self) -> str:
        if self.inputs is None:
            return f"{self.target}: FOUND something after {self.cpu_seconds:.0f} s of CPU"
        return (
            f"{self.target}: {self.inputs:,} inputs, {self.cpu_seconds:.0f} s of CPU, {self.edges} edges and"
            f" {self.features} features covered, nothing found"
        )


def main() -> int:
    """Run the targets one after the other; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--seconds", type=int, default=20, help="for each target (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="0: another each time")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="folder for what breaks")
    parser.add_argument("--keep", action="store_true", help="keep what is new")
    chosen = parser.parse_args()
    if unknown := set(chosen.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    results = [
        _run(name, chosen.seconds, chosen.seed, chosen.findings, keep=chosen.keep)
        for name in chosen.targets or TARGETS
    ]
    print(*results, sep="\n")
    return int(any(result.inputs is None for result in results))


def _run(target: str, seconds: int, seed: int, findings: Path, *, keep: bool) -> Result:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "corpus"
        corpus.spread(target, folder)
        found_in = Path(place) / "findings"
        found_in.mkdir()
        before = _cpu_seconds()
        options = [f"-max_total_time={seconds}", f"-artifact_prefix={found_in}/{target}-"]
        if seed:
            options.append(f"-seed={seed}")
        status, said = _engine(target, *options, str(folder))
        spent = _cpu_seconds() - before
        for path in found_in.iterdir():
            findings.mkdir(exist_ok=True)
            shutil.copy(path, findings)
        last = _LAST_STATE.search(said)
        if status or last is None:
            print(said)
            return Result(target, None, cpu_seconds=spent)
        if keep:
            # libFuzzer leaves there what reached something new, as short as it could make it.
            found = {path.read_bytes() for path in folder.iterdir()}
            corpus.keep(target, found - set(corpus.written(target)))
    inputs, edges, features, _ = map(int, last.groups())
    return Result(target, inputs, edges, features, spent)


def _engine(target: str, *options: str) -> tuple[int, str]:
    limits = [f"-max_len={_MOST_BYTES}", f"-timeout={_SLOW_SECONDS}", "-print_final_stats=1"]
    command = [sys.executable, "-m", "tests.fuzz.engine", target, *limits, *options]
    ran = subprocess.run(command, cwd=_ROOT, check=False, capture_output=True)
    return ran.returncode, ran.stderr.decode(errors="replace")


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
