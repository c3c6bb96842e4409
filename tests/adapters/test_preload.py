"""What ``preload`` leaves for a task to load: nothing of AWS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

_AWS = {"aiobotocore", "aiohttp", "boto3", "botocore", "s3transfer"}
_OPEN_A_CLIENT = """
import asyncio, json, sys
{before}
loaded = set(sys.modules)

async def open_a_client():
    from airflow_s3events.hooks.s3_events import S3EventsHook
    async with S3EventsHook(aws_conn_id=None, region_name="us-east-1").open_client():
        pass

asyncio.run(open_a_client())
print(json.dumps(sorted(set(sys.modules) - loaded)))
"""


def loaded_by_a_client(before: str) -> Any:
    """Names of the AWS modules that opening a client loads after the statement ``before``."""
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    done = subprocess.run(
        [sys.executable, "-c", _OPEN_A_CLIENT.format(before=before)],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    names = json.loads(done.stdout.splitlines()[-1])
    # aiohttp's web server is no part of a client: Airflow 3.0 loads it, by svcs.
    aws = [name for name in names if name.partition(".")[0] in _AWS]
    return [name for name in aws if not name.startswith("aiohttp.web")]


def test_after_a_preload_a_client_loads_no_aws_library() -> None:
    assert loaded_by_a_client("from airflow_s3events.preload import preload; preload()") == []


def test_without_it_a_client_loads_them() -> None:
    assert "aiobotocore.session" in loaded_by_a_client("import airflow_s3events.preload")


class NotingFiles:
    """botocore's reader of files, and what it has read."""

    def __init__(self) -> None:
        from botocore.loaders import JSONFileLoader

        self._files = JSONFileLoader()
        self.read: list[str] = []

    def exists(self, path: str) -> Any:
        return self._files.exists(path)

    def load_file(self, path: str) -> Any:
        data = self._files.load_file(path)
        self.read += [] if data is None else [path]
        return data


def test_what_was_read_is_there_for_clients_with_the_same_loader() -> None:
    from botocore.loaders import Loader

    from airflow_s3events.preload import preload

    files = NotingFiles()
    loader = Loader(file_loader=files)
    preload(loader=loader)
    assert any("endpoints" in path for path in files.read)
    first = list(files.read)
    preload(loader=loader)
    assert files.read == first
