"""``AirflowRestHook`` against a small HTTP server, and against MWAA's answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_s3events.exceptions import ConfigurationError, OutageError
from airflow_s3events.hooks.airflow_rest import AirflowRestHook


class Api:
    """Says what is planned for a path, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {"/auth/token": (201, {"access_token": "let me in"})}
        self.asked: list[tuple[str, str, Any]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                api.asked.append((self.path, str(self.headers.get("Authorization")), body))
                status, data = api.answers.get(self.path.partition("?")[0], (404, {"detail": "none"}))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(data).encode())

            do_POST = do_GET  # noqa: N815 - named as the base class has it

            def log_message(self, *_: Any) -> None:
                """Keep quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    api = Api()
    thread = threading.Thread(target=api.server.serve_forever)
    thread.start()
    port = api.server.server_address[1]
    connection = {"conn_type": "http", "host": "127.0.0.1", "port": port, "login": "me", "password": "secret"}
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", json.dumps(connection))
    yield api
    api.server.shutdown()
    thread.join()
    api.server.server_close()


def test_it_logs_in_once_and_calls_with_the_token(api: Api) -> None:
    api.answers["/api/v2/dags"] = (200, {"dags": []})
    hook = AirflowRestHook()

    for _ in range(2):
        assert hook.call("GET", "/dags", query={"limit": 3}).data == {"dags": []}

    assert api.asked[0] == ("/auth/token", "None", {"username": "me", "password": "secret"})
    assert api.asked[1:] == [("/api/v2/dags?limit=3", "Bearer let me in", None)] * 2


def test_a_refusal_is_an_answer(api: Api) -> None:
    answer = AirflowRestHook().call("POST", "/dags/x/dagRuns", body={"a": 1})
    assert (answer.status, answer.is_there) == (404, False)
    assert api.asked[-1][2] == {"a": 1}


@pytest.mark.parametrize("status", [401, 403])
def test_not_being_let_in_names_the_connection(api: Api, status: int) -> None:
    api.answers["/api/v2/dags"] = (status, {})
    with pytest.raises(ConfigurationError, match="airflow_conn_id"):
        AirflowRestHook().call("GET", "/dags")


def test_a_wrong_password_names_the_connection_and_not_the_password(api: Api) -> None:
    api.answers["/auth/token"] = (401, {})
    with pytest.raises(ConfigurationError, match="airflow_conn_id") as refused:
        AirflowRestHook().call("GET", "/dags")
    assert "secret" not in str(refused.value)


def test_a_broken_server_is_an_outage(api: Api) -> None:
    api.answers["/api/v2/dags"] = (500, {})
    with pytest.raises(OutageError):
        AirflowRestHook().call("GET", "/dags")


def test_a_server_that_is_away_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", '{"conn_type": "http", "host": "http://127.0.0.1:9"}')
    with pytest.raises(OutageError, match="does not answer"):
        AirflowRestHook().call("GET", "/dags")


class TestMwaa:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
        from airflow.providers.amazon.aws.hooks.mwaa import MwaaHook

        asked: list[dict[str, Any]] = []

        def invoke(_: Any, **request: Any) -> dict[str, Any]:
            asked.append(request)
            if request["path"] == "/gone":
                error: Any = {"Error": {"Code": "RestApiClientException"}, "RestApiStatusCode": 404}
                raise ClientError(error, "InvokeRestApi")
            if request["path"] == "/denied":
                raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "InvokeRestApi")
            return {"RestApiStatusCode": 200, "RestApiResponse": {"dags": []}}

        monkeypatch.setattr(MwaaHook, "invoke_rest_api", invoke)
        return asked

    def test_is_asked_by_its_own_call(self, asked: list[dict[str, Any]]) -> None:
        answer = AirflowRestHook(mwaa_environment="prod").call("GET", "/dags", query={"limit": 3})
        assert answer.data == {"dags": []}
        assert asked[0]["env_name"] == "prod"
        assert asked[0]["query_params"] == {"limit": 3}

    @pytest.mark.usefixtures("asked")
    def test_what_airflow_refuses_is_an_answer(self) -> None:
        assert AirflowRestHook(mwaa_environment="prod").call("GET", "/gone").status == 404

    @pytest.mark.usefixtures("asked")
    def test_what_aws_refuses_names_the_settings(self) -> None:
        with pytest.raises(ConfigurationError, match="mwaa_environment"):
            AirflowRestHook(mwaa_environment="prod").call("GET", "/denied")
