"""The objects that the demo uploads: the files of a folder, or small samples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from airflow_s3events.exceptions import ConfigurationError

#: Keys as they are in the wild: a space, ``+``, ``%``, letters beyond ASCII. S3 encodes them in its messages.
_KEYS = (
    "orders/2026/11/23/orders {number:04}.csv",
    "fotos/Grüße aus Köln {number:04}.txt",
    "export/a+b=100% {number:04}.json",
    "日本/{number:04}.csv",
)

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_KEY_BYTES = 1024


def samples(count: int) -> Iterator[tuple[str, bytes]]:
    """Return ``count`` small objects, key and content, each different."""
    for number in range(1, count + 1):
        key = _KEYS[number % len(_KEYS)].format(number=number)
        yield key, json.dumps({"number": number, "rows": list(range(number))}).encode()


def files_of(folder: Path, count: int) -> Iterator[tuple[str, bytes]]:
    """Return the first ``count`` files below ``folder`` in the order of their names; the path is the key.

    :raises ConfigurationError: there is no such folder, no file in it, or one that S3 could not take or that
        cannot be read.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"--folder {folder}: there is no such folder")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise ConfigurationError(f"--folder {folder}: it has no files")
    for path in islice(files, count):
        yield _key(path.relative_to(folder).as_posix()), _content(path)


def _key(name: str) -> str:
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise ConfigurationError(f"--folder: the name of {name!a} is not UTF-8; rename it") from None
    if length > _KEY_BYTES:
        raise ConfigurationError(f"--folder: {name!a} has {length:,} bytes; a key has {_KEY_BYTES:,}")
    return name


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"--folder: {str(path)!a}: {error.strerror or error}") from None
