"""A proxy in front of the embedded AWS: calls may be looked at, answered here, or kept waiting."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Answer(NamedTuple):
    """What AWS answers, or what is answered in its name."""

    status: int
    body: bytes
    content_type: str = "application/x-amz-json-1.0"


class Call(NamedTuple):
    """What AWS is asked; the names of the headers are lower case."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def action(self) -> str:
        """What it asks for, such as ``ReceiveMessage``; empty for S3."""
        return self.headers.get("x-amz-target", "").rpartition(".")[2]


@contextmanager
def aws_proxy(
    target: str,
    *,
    instead: Callable[[Call], Answer | None] = lambda _: None,
    seen: Callable[[bytes], object] = len,
) -> Iterator[str]:
    """Hand every call on to ``target``; yield the proxy's URL.

    Args:
        target: URL of the embedded AWS.
        instead: Given each call first; its answer is given without handing the call on. May take its time.
        seen: Told of the body of each answer; what it returns does not matter.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._answer(instead(Call(headers, body)) or self._hand_on(body))

        def _hand_on(self, body: bytes) -> Answer:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            request = urllib.request.Request(target + self.path, body, headers)  # noqa: S310 - loopback
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            try:
                with opener.open(request, timeout=60) as response:
                    return Answer(response.status, response.read(), response.headers["Content-Type"])
            except urllib.error.HTTPError as error:
                return Answer(error.code, error.read(), error.headers["Content-Type"])

        def _answer(self, answer: Answer) -> None:
            seen(answer.body)
            try:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type or "application/json")
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
            except (BrokenPipeError, ConnectionResetError):  # who asked was killed
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
