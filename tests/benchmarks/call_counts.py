"""Counts the calls of AWS that each side of a benchmark makes: one counting proxy for each, in one thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType

#: The header that names the action of each request in SQS's JSON protocol.
_ACTION = re.compile(rb"x-amz-target:\s*AmazonSQS\.(\w+)", re.IGNORECASE)
#: The first line of a request, at the beginning of what a client writes.
_REQUEST = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP/1\.1\r\n")
_S3_OBJECT = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_S3_BUCKET = {"GET": "ListObjectsV2", "HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}


def sqs_actions(data: bytes) -> Iterator[str]:
    """Name the actions of SQS in what a client wrote."""
    return (name.decode() for name in _ACTION.findall(data))


def actions(data: bytes) -> Iterator[str]:
    """Name the calls that begin in what a client wrote: of SQS by their header, of S3 by their first line."""
    if named := list(sqs_actions(data)):
        yield from named
    elif request := _REQUEST.match(data):
        method, target = (part.decode() for part in request.groups())
        yield _s3_action(method, target, is_copy=b"x-amz-copy-source:" in data.lower())


def _s3_action(method: str, target: str, *, is_copy: bool) -> str:
    path, _, query = target.partition("?")
    has_key = bool(path.strip("/").partition("/")[2])
    if method == "POST":
        return "DeleteObjects" if query.startswith("delete") else "PostObject"
    if is_copy:
        return "CopyObject"
    return (_S3_OBJECT if has_key else _S3_BUCKET)[method]


class CountingProxy:
    """Passes bytes on to a port of this machine and counts the actions that requests name."""

    def __init__(self, port: int, named: Callable[[bytes], Iterable[str]] = sqs_actions) -> None:
        self._port = port
        self._named = named
        self.actions: Counter[str] = Counter()

    async def serve(self) -> asyncio.Server:
        """Listen on a free loopback port."""
        return await asyncio.start_server(self._connected, "127.0.0.1", 0)

    async def _connected(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        server, requests = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.gather(self._pass(client, requests, count=True), self._pass(server, answers))

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, count: bool = False
    ) -> None:
        # A client writes the head of a request at once, so a name is never cut in two.
        while data := await source.read(65_536):
            if count:
                self.actions.update(self._named(data))
            sink.write(data)
            await sink.drain()
        sink.close()


class CallCounts:
    """A port for each name; what goes through it to ``port`` is counted under that name."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._proxies: dict[str, CountingProxy] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> CallCounts:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def endpoint(self, name: str) -> str:
        """URL of the AWS whose calls are counted under ``name``."""
        proxy = self._proxies[name] = CountingProxy(self._port, actions)
        server = asyncio.run_coroutine_threadsafe(proxy.serve(), self._loop).result()
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def connection(self, name: str) -> str:
        """An Airflow connection to the AWS whose calls are counted under ``name``."""
        extra = {"endpoint_url": self.endpoint(name), "region_name": "us-east-1"}
        return json.dumps({"conn_type": "aws", "login": "any", "password": "any", "extra": extra})

    def of(self, name: str) -> Counter[str]:
        """Calls of ``name`` so far, by action."""
        return Counter(self._proxies[name].actions)
