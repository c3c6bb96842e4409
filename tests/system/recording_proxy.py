"""A proxy in front of the embedded AWS that remembers what must never be seen again."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Recording:
    """What went through."""

    url: str = ""
    handles: set[str] = field(default_factory=set)
    bodies: set[str] = field(default_factory=set)
    #: Bodies received, one after the other: when, in seconds since the epoch, and which.
    receives: list[tuple[float, str]] = field(default_factory=list)

    def note(self, answer: bytes) -> None:
        """Remember receipt handles and bodies of one answer."""
        try:
            messages = json.loads(answer).get("Messages") or []
        except (ValueError, AttributeError):
            return
        self.handles.update(message["ReceiptHandle"] for message in messages)
        self.bodies.update(message["Body"] for message in messages)
        self.receives.extend((time.time(), message["Body"]) for message in messages)


@contextmanager
def recording_proxy(target: str) -> Iterator[Recording]:
    """Hand every call on to ``target``; yield what was recorded and the proxy's URL."""
    recording = Recording()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            request = urllib.request.Request(target + self.path, body, headers)  # noqa: S310 - loopback
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            try:
                with opener.open(request, timeout=60) as response:
                    self._answer(response.status, response.headers["Content-Type"], response.read())
            except urllib.error.HTTPError as error:
                self._answer(error.code, error.headers["Content-Type"], error.read())

        def _answer(self, status: int, kind: str | None, body: bytes) -> None:
            recording.note(body)
            self.send_response(status)
            self.send_header("Content-Type", kind or "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    recording.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield recording
    finally:
        server.shutdown()
        server.server_close()
