"""The kept corpus: for each target a text file, each line one input in base64, shortest first."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
PAYLOADS = HERE.parent / "payloads"
#: Of one kept input: longer ones say little more, and fill the repository.
_MOST_BYTES = 384
#: Filters written by hand, of every kind.
_FILTERS = (
    {"bucket": "landing", "prefix": "in/", "suffix": [".csv", ".tsv"]},
    {"glob": "in/**/*.csv", "not": {"regex": "tmp$"}},
    {"any": [{"event_type": "ObjectCreated:*"}, {"size": {"min": 1, "max": 10}}]},
    {"all": [{"source_network": "10.0.0.0/8"}, {"principal": "AWS:*"}, {"requester": "1"}]},
    {"not": {"tag": {"class": "pii"}}},
    {"metadata": {"a": "b"}, "content_type": "text/csv"},
)


def kept(target: str) -> list[bytes]:
    """Return the corpus of a target, and the inputs that somebody wrote."""
    path = _path(target)
    lines = path.read_text().split() if path.exists() else []
    return [*written(target), *map(b64decode, lines)]


def written(target: str) -> list[bytes]:
    """Return the inputs to start from."""
    if target == "filters":
        return [json.dumps(plain).encode() for plain in _FILTERS]
    return [path.read_bytes() for path in sorted(PAYLOADS.glob("*.json"))]


def keep(target: str, inputs: Iterable[bytes]) -> None:
    """Replace the kept corpus of a target by those of ``inputs`` that are not long."""
    short = {one for one in inputs if len(one) <= _MOST_BYTES}
    lines = sorted((b64encode(one).decode() for one in short), key=lambda line: (len(line), line))
    _path(target).parent.mkdir(exist_ok=True)
    _path(target).write_text("".join(f"{line}\n" for line in lines))


def spread(target: str, folder: Path) -> None:
    """Write each input into a file of its own, as libFuzzer wants them."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in kept(target):
        (folder / sha256(one).hexdigest()).write_bytes(one)


def _path(target: str) -> Path:
    # The command reads the same bodies.
    return HERE / "corpus" / f"{'envelopes' if target == 'decode' else target}.txt"
