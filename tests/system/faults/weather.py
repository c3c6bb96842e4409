"""A proxy between Airflow and the embedded AWS, where SQS fails, throttles or is late when asked to."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: What SQS answers: status and error code
#: (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html).
_ANSWERS = {"sqs-fails": (503, "ServiceUnavailable"), "sqs-throttles": (400, "RequestThrottled")}
_LATE_SECONDS = 8.0
SLOW = "sqs-is-slow"


@dataclass
class Weather:
    """How SQS is; an empty text is fine."""

    url: str = ""
    now: str = ""
    #: Calls that met each kind of weather.
    met: Counter[str] = field(default_factory=Counter)


@contextmanager
def weather(target: str) -> Iterator[Weather]:
    """Hand calls on to ``target``, as the weather is; yield it and the proxy's URL."""
    sky = Weather()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = sky.now
            if kind:
                sky.met[kind] += 1
            if kind in _ANSWERS:
                status, code = _ANSWERS[kind]
                answer = {"__type": f"com.amazonaws.sqs#{code}", "message": "as the tests want it"}
                self._answer(status, "application/x-amz-json-1.0", json.dumps(answer).encode())
                return
            if kind == SLOW:
                time.sleep(_LATE_SECONDS)
            self._hand_on(body)

        def _hand_on(self, body: bytes) -> None:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            request = urllib.request.Request(target + self.path, body, headers)  # noqa: S310 - loopback
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            try:
                with opener.open(request, timeout=60) as response:
                    self._answer(response.status, response.headers["Content-Type"], response.read())
            except urllib.error.HTTPError as error:
                self._answer(error.code, error.headers["Content-Type"], error.read())

        def _answer(self, status: int, kind: str | None, body: bytes) -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind or "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):  # who asked was killed
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sky.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield sky
    finally:
        server.shutdown()
        server.server_close()
