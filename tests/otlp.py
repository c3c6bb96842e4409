"""An OTLP receiver of the tests' own, which keeps the spans that it is sent over HTTP."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Received:
    """One span."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    #: Trace and span id of each.
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any]
    service: str

    def is_linked_with(self, other: Received) -> bool:
        return (other.trace_id, other.span_id) in self.links


class OtlpServer:
    """Keeps the spans of every export."""

    def __init__(self) -> None:
        self._spans: list[Received] = []
        keep = self._keep

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                keep(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def settings(self) -> dict[str, str]:
        """Airflow's settings, as environment variables, that lead its traces here: of all its lines."""
        port = str(self._server.server_address[1])
        own = {"ON": "True", "HOST": "127.0.0.1", "PORT": port, "SSL_ACTIVE": "False"}
        return {
            **{f"AIRFLOW__TRACES__OTEL_{name}": value for name, value in own.items()},
            # From 3.2 on, what OpenTelemetry itself reads.
            "OTEL_TRACES_EXPORTER": "otlp_proto_http",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{port}/v1/traces",
            "OTEL_SERVICE_NAME": "airflow",
            "OTEL_BSP_SCHEDULE_DELAY": "500",
        }

    def close(self) -> None:
        """Stop receiving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def spans(self, **attributes: Any) -> list[Received]:
        """Return the spans that have come with these attributes, their names with ``_`` for ``.``."""
        return [
            span
            for span in list(self._spans)
            if all(_plain(span.attributes).get(name) == value for name, value in attributes.items())
        ]

    def _keep(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            service = _values(resource.resource.attributes).get("service.name", "")
            self._spans += [
                _received(span, service) for scope in resource.scope_spans for span in scope.spans
            ]


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name.replace(".", "_"): value for name, value in attributes.items()}


def _received(span: Any, service: str) -> Received:
    return Received(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        attributes=_values(span.attributes),
        service=service,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {
        one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in attributes
    }
