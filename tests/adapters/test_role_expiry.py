"""A client that stays open longer than the credentials of its role, as a dispatcher's on MWAA does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from airflow_s3events.hooks.s3_events import hook_for
from tests.adapters.test_hook import settings

#: How long the credentials of a container's role are good for; AWS's are for some hours.
_LIFE = timedelta(hours=1)


@dataclass
class Role:
    """The role of a container, as its credentials endpoint gives it, and the clock that it goes by."""

    now: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    given: int = 0
    url: str = ""

    def credentials(self) -> bytes:
        self.given += 1
        expires = (self.now + _LIFE).strftime("%Y-%m-%dT%H:%M:%SZ")
        key = {"AccessKeyId": f"AKIA{self.given}", "SecretAccessKey": "secret", "Token": f"t{self.given}"}
        return json.dumps({**key, "Expiration": expires}).encode()


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> Iterator[Role]:
    """``aws_default`` as MWAA presets it, without keys: the credentials are those of the container."""
    role = Role()

    class Endpoint(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = role.credentials()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.server_port}/role")
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "extra": extra}))
    yield role
    server.shutdown()
    server.server_close()


async def test_a_client_that_is_open_for_days_signs_with_the_role_s_present_credentials(
    role: Role, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed: list[str] = []

    def look(request: Any, **_: Any) -> None:
        signed.append(str(request.headers["Authorization"]).partition("Credential=")[2].partition("/")[0])

    hook = hook_for(queue, **settings())
    async with hook.open_client() as client:
        client.meta.events.register("before-send.sqs", look)
        # What botocore asks for the time when it decides whether credentials are still good.
        monkeypatch.setattr(client._request_signer._credentials, "_time_fetcher", lambda: role.now)
        sqs_queue = await hook.queue(client, queue)
        for _ in range(3):
            await sqs_queue.describe()
            role.now += timedelta(days=2)
    assert signed == ["AKIA1", "AKIA2", "AKIA3"]
