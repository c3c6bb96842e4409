"""One target under atheris, in a process of its own: it ends the process itself.

python -m tests.fuzz.engine TARGET [libFuzzer's own arguments, folders last]
"""

from __future__ import annotations

import importlib
import sys

import atheris

from tests.fuzz.mutation import mutate


def main() -> None:
    """Instrument the package while it loads, then hand over to libFuzzer, which never returns."""
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["airflow_s3events"]):
        targets = importlib.import_module("tests.fuzz.targets")
    atheris.Setup(sys.argv, targets.TARGETS[name], custom_mutator=_mutated)
    atheris.Fuzz()


def _mutated(data: bytes, most_bytes: int, seed: int) -> bytes:
    return mutate(data, most_bytes, seed, atheris.Mutate)


if __name__ == "__main__":
    main()
