"""Which objects a manifest lists: the forms that AWS's own tools write, and a plain list."""

from __future__ import annotations

import json
from typing import Any

from airflow_s3events.exceptions import ConfigurationError

#: Bytes: room for more keys than one sensor waits for.
MAX_MANIFEST_BYTES = 16 * 1024 * 1024
#: Member with the list, member of each entry with the key or URL: Redshift's UNLOAD and COPY; S3 Inventory
#: (https://docs.aws.amazon.com/redshift/latest/dg/loading-data-files-using-manifest.html,
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html).
_LISTS = (("entries", "url"), ("files", "key"))


def keys_of_manifest(content: bytes, name: str) -> list[str]:
    """Return the keys and ``s3://`` URLs that a manifest lists, in its order.

    Understood are JSON ``{"entries": [{"url": ...}]}`` (Redshift), ``{"files": [{"key": ...}]}`` (S3
    Inventory), a JSON list of keys or URLs, and text with one key or URL a line. Other members are passed
    over, and so are blank lines.

    Args:
        content: The bytes of the manifest.
        name: What errors call it.

    Raises:
        ConfigurationError: It is none of these.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(name, "it is not UTF-8") from error
    if not text.lstrip().startswith(("{", "[")):
        # Not splitlines: a key may hold any of the other characters that end a line there.
        return [line for each in text.split("\n") if (line := each.removesuffix("\r")).strip()]
    try:
        keys = _entries(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise _unreadable(name, "it begins like JSON and is none") from error
    if keys is None or not all(isinstance(key, str) for key in keys):
        raise _unreadable(name, "its JSON has no list of keys")
    return keys


def _entries(data: Any) -> list[Any] | None:
    if isinstance(data, list):
        return data
    for member, key in _LISTS:
        entries = data.get(member)
        if isinstance(entries, list):
            return [entry.get(key) if isinstance(entry, dict) else None for entry in entries]
    return None


def _unreadable(name: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"manifest_key: {name} is no manifest, {reason}; give the key of a list of keys, one a line or JSON"
    )
