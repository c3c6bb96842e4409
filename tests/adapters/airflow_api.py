"""The part of Airflow 3's REST API that commands use, in memory behind a loopback port."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import unquote


class AirflowApi:
    """DAGs, and the runs that were made of them."""

    def __init__(self, *dag_ids: str) -> None:
        self.dag_ids = set(dag_ids)
        self.paused: set[str] = set()
        self.import_errors: set[str] = set()
        self.refusing: set[str] = set()
        self.is_throttling = False
        self.runs: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: list[str] = []
        self.port = 0

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and JSON, as Airflow 3.3 answers."""
        self.calls.append(f"{method} {path}")
        if path == "/auth/token":
            return 201, {"access_token": "token"}
        if self.is_throttling:
            return 429, {"detail": "slow down"}
        _, _, _, dag_id, *rest = map(unquote, path.partition("?")[0].removeprefix("/api").split("/"))
        if dag_id not in self.dag_ids:
            return 404, {"detail": f"no DAG {dag_id}"}
        return self._create(dag_id, body) if method == "POST" else self._read(dag_id, rest)

    def _read(self, dag_id: str, rest: list[str]) -> tuple[int, Any]:
        if not rest:
            is_broken = dag_id in self.import_errors
            return 200, {"is_paused": dag_id in self.paused, "has_import_errors": is_broken}
        if rest[1:]:
            run = self.runs.get((dag_id, rest[1]))
            return (404, {"detail": "no run"}) if run is None else (200, run)
        queued = [run for (dag, _), run in self.runs.items() if dag == dag_id and run["state"] == "queued"]
        return 200, {"dag_runs": queued[:1], "total_entries": len(queued)}

    def _create(self, dag_id: str, body: Any) -> tuple[int, Any]:
        name = (dag_id, body["dag_run_id"])
        if name in self.runs:
            return 409, {"detail": "exists"}
        if dag_id in self.refusing:
            return 400, {"detail": "a param has no value"}
        self.runs[name] = {"state": "queued", "conf": body["conf"]}
        return 200, self.runs[name]


@contextmanager
def served(api: AirflowApi) -> Iterator[AirflowApi]:
    """Serve it on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, data = api.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(data).encode())

        do_POST = do_GET  # noqa: N815 - named as the base class has it

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    api.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
