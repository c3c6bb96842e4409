"""The page in Airflow 2's web server: who is let in, and what he is told."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.page.pages import STATIC
from tests.adapters.test_page import EVIL, put_letter
from tests.lines import AIRFLOW

pytestmark = [
    pytest.mark.skipif(AIRFLOW >= (3, 0), reason="Airflow 3 has no such web server"),
    pytest.mark.filterwarnings("ignore"),
]

GETS = ("", "queues", "events", *(f"static/{name}" for name in STATIC))
POSTS = ("dead-letters", "redrive")


@pytest.fixture(scope="module")
def application() -> Iterator[Any]:
    """Airflow's web server with its users; made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__WEBSERVER__SECRET_KEY", "of the tests")
        importlib.import_module("airflow.utils.db").initdb(load_connections=False)
        app = importlib.import_module("airflow.www.app").create_app(testing=True)
        app.config["WTF_CSRF_ENABLED"] = True
        if "s3events" not in app.blueprints:
            # The plugin has a page only where it was configured when Airflow found it.
            app.register_blueprint(
                importlib.import_module("airflow_s3events.plugins.flask_page").page_blueprint()
            )
        _add_users(app)
        yield app


def _add_users(app: Any) -> None:
    with app.app_context():
        security = app.appbuilder.sm
        for name, role in (("admin", "Admin"), ("reader", "Viewer"), ("nobody", "Public")):
            if security.find_user(username=name) is None:
                found = security.find_role(role)
                security.add_user(name, name, name, f"{name}@example.org", found, password=f"pw-of-{name}")


class Site:
    """Airflow with the page, and who comes by."""

    def __init__(self, app: Any, queue: str) -> None:
        self.app = app
        self.queue = queue

    def client(self, user: str | None = None) -> Any:
        """Return a browser in which this user has logged in, once: Airflow counts how often one does."""
        kept = self.app.extensions.setdefault("clients of the tests", {})
        if user not in kept:
            kept[user] = self._new_client(user)
        return kept[user]

    def _new_client(self, user: str | None) -> Any:
        client = self.app.test_client()
        if user is not None:
            form = client.get("/login/").get_data(as_text=True)
            proof = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', form)[0]
            login = {"username": user, "password": f"pw-of-{user}", "csrf_token": proof}
            assert client.post("/login/", data=login).status_code == 302
        return client

    def get(self, path: str, user: str | None = None) -> Any:
        return self.client(user).get(f"/s3events/{path}")

    def write(self, path: str, user: str, asked: Any) -> Any:
        client = self.client(user)
        proof = re.findall('data-csrf="([^"]+)"', client.get("/s3events/").get_data(as_text=True))[0]
        return client.post(f"/s3events/{path}", json=asked, headers={"X-CSRFToken": proof})


@pytest.fixture
def site(application: Any, queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("AIRFLOW__S3EVENTS__PAGE_QUEUES", json.dumps([queue]))
    monkeypatch.setenv("AIRFLOW__S3EVENTS__PAGE_LEDGER", "sql:ledger_db")
    ledger = {"conn_type": "sqlite", "schema": f"{tmp_path}/ledger.db"}
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER_DB", json.dumps(ledger))
    return Site(application, queue)


@pytest.mark.parametrize("path", GETS)
def test_whoever_is_not_logged_in_gets_nothing(site: Site, path: str) -> None:
    assert site.get(path).status_code == 401


@pytest.mark.parametrize("path", POSTS)
def test_whoever_is_not_logged_in_writes_nothing(site: Site, path: str) -> None:
    """Airflow's own guard against other sites comes first; it has its own number."""
    assert site.client().post(f"/s3events/{path}", json={}).status_code in (400, 401)


@pytest.mark.parametrize("path", GETS)
def test_a_user_without_the_right_gets_nothing(site: Site, path: str) -> None:
    assert site.get(path, "nobody").status_code == 403


@pytest.mark.parametrize("path", GETS)
def test_a_viewer_sees_everything_under_strict_headers(site: Site, path: str) -> None:
    answer = site.get(path, "reader")
    assert answer.status_code == 200
    assert "script-src 'self'; style-src 'self'" in answer.headers["Content-Security-Policy"]


def test_a_viewer_may_not_redrive(site: Site) -> None:
    assert site.write("redrive", "reader", {"queue": site.queue, "ids": ["1"]}).status_code == 403


@pytest.mark.parametrize("is_guarded", [True, False], ids=["airflow guards, too", "the page alone"])
@pytest.mark.parametrize("path", POSTS)
def test_a_write_without_the_proof_of_the_page_is_refused(site: Site, path: str, is_guarded: bool) -> None:
    site.app.config["WTF_CSRF_ENABLED"] = is_guarded
    try:
        answer = site.client("admin").post(f"/s3events/{path}", json={"queue": site.queue, "ids": ["1"]})
    finally:
        site.app.config["WTF_CSRF_ENABLED"] = True
    assert answer.status_code == (400 if is_guarded else 403)


def test_dead_letters_are_shown_escaped_and_go_back(site: Site, sqs: Any) -> None:
    put_letter(sqs, site.queue, EVIL, f"refused: {EVIL}")
    shown = site.write("dead-letters", "admin", {"queue": site.queue}).get_data(as_text=True)
    assert "&lt;script&gt;" in shown
    assert "<script" not in shown
    ids = re.findall('name="id" value="([^"]+)"', shown)
    answer = site.write("redrive", "admin", {"queue": site.queue, "ids": ids})
    assert "1 sent back, of 1" in answer.get_data(as_text=True)
    assert "Messages" in sqs.receive_message(QueueUrl=site.queue)


def test_a_search_tells_what_explain_tells(site: Site) -> None:
    answer = site.get("search?uri=s3://landing/a.csv", "reader")
    assert "was ever seen" in answer.get_data(as_text=True)


def test_airflow_2_says_what_it_does_not_tell(site: Site) -> None:
    assert "told on Airflow 3" in site.get("queues", "reader").get_data(as_text=True)
