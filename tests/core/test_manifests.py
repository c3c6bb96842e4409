"""Which objects a manifest lists."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.manifests import keys_of_manifest
from tests.strategies import keys

_lines = keys.filter(
    lambda key: "\n" not in key and key.strip() and not key.endswith("\r") and key.lstrip()[:1] not in "{["
)


def read(content: bytes) -> list[str]:
    return keys_of_manifest(content, "s3://b/m")


@pytest.mark.parametrize(
    ("content", "listed"),
    [
        (
            b'{"entries": [{"url": "s3://c/a", "mandatory": true}, {"url": "s3://c/b"}]}',
            ["s3://c/a", "s3://c/b"],
        ),
        (b'{"version": "2016-11-30", "files": [{"key": "x.csv.gz", "size": 1}]}', ["x.csv.gz"]),
        (b'["a", "s3://b/c"]', ["a", "s3://b/c"]),
        (b"a\r\n\r\ns3://b/c d\n \n", ["a", "s3://b/c d"]),
        ("\ufeffa\n".encode(), ["a"]),
        (b"", []),
    ],
)
def test_a_manifest_of_each_form_is_read(content: bytes, listed: list[str]) -> None:
    assert read(content) == listed


@given(st.lists(_lines))
def test_a_plain_list_holds_every_key_as_it_is(listed: list[str]) -> None:
    # A mark of byte order at the very beginning is no part of a key.
    assert read(("\n" + "\n".join(listed)).encode()) == listed


@given(st.lists(keys))
def test_a_json_list_holds_every_key_as_it_is(listed: list[str]) -> None:
    assert read(json.dumps(listed).encode()) == listed


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b'{"entries": [', "begins like JSON"),
        (b"[" * 100_000, "begins like JSON"),
        (b"{}", "no list of keys"),
        (b'{"entries": {"url": "a"}}', "no list of keys"),
        (b'{"entries": [{"uri": "a"}]}', "no list of keys"),
        (b'{"entries": ["a"]}', "no list of keys"),
        (b"[1]", "no list of keys"),
    ],
)
def test_what_is_no_manifest_is_named_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"manifest_key: s3://b/m .*{reason}"):
        read(content)
