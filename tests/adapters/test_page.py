"""The page behind Airflow's own application and its auth managers: who is let in, and what he is told."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.ledger import Decision, Ledger
from airflow_s3events.ledger.sql import SqlStore
from airflow_s3events.page.pages import STATIC
from airflow_s3events.testing import object_created_body, object_event
from tests.lines import AIRFLOW

pytestmark = [
    pytest.mark.skipif(AIRFLOW < (3, 1), reason="Airflow 3.0 has no page, Airflow 2 that of test_page_flask"),
    # Airflow warns of its own ways when its application is made.
    pytest.mark.filterwarnings("ignore"),
]

GETS = ("", "queues", "events", "search?uri=s3://landing/a", *(f"static/{name}" for name in STATIC))
POSTS = ("dead-letters", "redrive")
EVIL = "<script>alert(1)</script>\"'>\u202e.csv"
MANAGERS = {
    "simple": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
    "fab": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
}


class Site:
    """Airflow with the page, and who comes by."""

    def __init__(self, app: Any, queue: str, url: str) -> None:
        from fastapi.testclient import TestClient

        self.client = TestClient(app, base_url="http://airflow")
        self.queue = queue
        self.url = url

    def token(self, user: str) -> str:
        login = {"username": user, "password": f"pw-of-{user}"}
        answer = self.client.post("/auth/token", json=login)
        assert answer.status_code == 201, answer.text
        self.client.cookies.clear()
        return str(answer.json()["access_token"])

    def ask(self, method: str, path: str, user: str | None = None, **more: Any) -> Any:
        self.client.cookies.clear()
        if user is not None:
            self.client.cookies.set("_token", self.token(user))
        return self.client.request(method, f"/s3events/{path}", **more)

    def get(self, path: str, user: str | None = None) -> Any:
        return self.ask("GET", path, user)

    def write(self, path: str, user: str, asked: Any, **headers: str) -> Any:
        """Write as the page does: with what it was told when it was made."""
        proof = re.findall('data-csrf="([^"]+)"', self.get("", user).text)[0]
        mine = {"_token": self.client.cookies["_token"]}
        self.client.cookies.clear()
        self.client.cookies.update(mine)
        return self.client.post(f"/s3events/{path}", json=asked, headers={"X-CSRFToken": proof, **headers})

    def note(self, key: str, what: str = "started", **members: Any) -> None:
        """A dispatcher notes what it decided."""

        async def write() -> None:
            store = SqlStore(self.url)
            event = object_event("ObjectCreated:Put", "landing", key)
            await Ledger(store).record(
                [Decision(event=event, what=what, **{"dag_id": "process", "message_id": "m", **members})]
            )
            await store.close()

        asyncio.run(write())


@pytest.fixture(scope="module", params=MANAGERS)
def application(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Airflow's application with one of its auth managers; made once, since that takes a second or two."""
    if request.param == "fab":
        pytest.importorskip("airflow.providers.fab", reason="apache-airflow-providers-fab is not installed")
    passwords = tmp_path_factory.mktemp("page") / "passwords.json"
    passwords.write_text(json.dumps({name: f"pw-of-{name}" for name in ("admin", "reader")}))
    settings = {
        "CORE__AUTH_MANAGER": MANAGERS[request.param],
        "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,reader:viewer",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "API_AUTH__JWT_SECRET": "a secret of at least sixty-four bytes, as the algorithm that signs wants it",
    }
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in settings.items():
            patch.setenv(f"AIRFLOW__{name}", value)
        yield _airflow(request.param)


def _airflow(manager: str) -> Any:
    from airflow.api_fastapi import app as airflows
    from airflow.utils.db import initdb
    from starlette.routing import Mount

    from airflow_s3events.plugins.s3_events import _LatePage

    airflows.purge_cached_app()
    initdb()
    app = airflows.create_app(apps="core")
    if manager == "fab":
        _add_users()
    # Before Airflow's own catch-all, where a plugin that was found at the start has it.
    app.router.routes.insert(0, Mount("/s3events", app=_LatePage()))
    return app


@pytest.fixture
def site(application: Any, queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The page with a queue and a ledger of the test's own."""
    watched = json.dumps([{"queue": queue, "aws_conn_id": "aws_default"}])
    monkeypatch.setenv("AIRFLOW__S3EVENTS__PAGE_QUEUES", watched)
    monkeypatch.setenv("AIRFLOW__S3EVENTS__PAGE_LEDGER", "sql:ledger_db")
    ledger = {"conn_type": "sqlite", "schema": f"{tmp_path}/ledger.db"}
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER_DB", json.dumps(ledger))
    return Site(application, queue, f"sqlite:///{tmp_path}/ledger.db")


def _add_users() -> None:
    create_app: Any = importlib.import_module("airflow.providers.fab.www.app").create_app
    flask = create_app(enable_plugins=False)
    with flask.app_context():
        security = flask.appbuilder.sm
        for name, role in (("admin", "Admin"), ("reader", "Viewer")):
            if security.find_user(username=name) is None:
                found = security.find_role(role)
                security.add_user(name, name, name, f"{name}@example.org", found, password=f"pw-of-{name}")


@pytest.mark.parametrize("path", GETS)
def test_whoever_is_not_logged_in_gets_nothing(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.status_code == 401
    assert "landing" not in answer.text


@pytest.mark.parametrize("path", POSTS)
def test_whoever_is_not_logged_in_writes_nothing(site: Site, path: str) -> None:
    assert site.ask("POST", path, json={"queue": site.queue, "ids": ["1"]}).status_code == 401


def test_a_forged_token_is_no_user(site: Site) -> None:
    site.client.cookies.clear()
    site.client.cookies.set("_token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.")
    assert site.client.get("/s3events/").status_code in (401, 403)


def test_there_is_no_schema_and_no_page_that_nobody_guards(site: Site) -> None:
    for path in ("docs", "redoc", "openapi.json", "static/../pages.py", "static/pages.py"):
        assert site.get(path, "admin").status_code == 404


@pytest.mark.parametrize("path", GETS)
def test_a_viewer_sees_everything(site: Site, path: str) -> None:
    site.note("a")
    answer = site.get(path, "reader")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", GETS)
def test_every_answer_is_strict(site: Site, path: str) -> None:
    headers = site.get(path, "admin").headers
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_a_viewer_may_not_redrive(site: Site) -> None:
    answer = site.write("redrive", "reader", {"queue": site.queue, "ids": ["1"]})
    assert answer.status_code == 403
    assert "right to start runs" in answer.text


@pytest.mark.parametrize("path", POSTS)
def test_a_write_without_the_proof_of_the_page_is_refused(site: Site, path: str) -> None:
    answer = site.ask("POST", path, "admin", json={"queue": site.queue, "ids": ["1"]})
    assert answer.status_code == 403
    assert "did not come from the page" in answer.text


def test_the_proof_of_another_user_is_none(site: Site) -> None:
    theirs = re.findall('data-csrf="([^"]+)"', site.get("", "reader").text)[0]
    answer = site.ask("POST", "redrive", "admin", json={"queue": site.queue}, headers={"X-CSRFToken": theirs})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Content-Type": "text/plain"}], ids=["site", "form"]
)
def test_a_write_from_another_site_is_refused(site: Site, headers: dict[str, str]) -> None:
    answer = site.write("redrive", "admin", {"queue": site.queue, "ids": ["1"]}, **headers)
    assert answer.status_code == 403


def test_whoever_sends_the_token_itself_needs_no_proof(site: Site) -> None:
    headers = {"Authorization": f"Bearer {site.token('admin')}"}
    answer = site.client.post("/s3events/dead-letters", json={"queue": site.queue}, headers=headers)
    assert answer.status_code == 200, answer.text


def test_a_queue_that_the_page_does_not_show_is_not_touched(site: Site) -> None:
    answer = site.write("redrive", "admin", {"queue": "https://sqs/another", "ids": ["1"]})
    assert (answer.status_code, "shows no such queue" in answer.text) == (400, True)


@pytest.mark.parametrize("asked", [[], {}, {"queue": 1}, {"ids": []}, {"ids": [1]}, {"ids": ["x"] * 101}])
def test_nonsense_is_refused_with_a_reason(site: Site, asked: Any) -> None:
    asked = {"queue": site.queue, **asked} if isinstance(asked, dict) and "ids" in asked else asked
    assert site.write("redrive", "admin", asked).status_code == 400


def put_letter(sqs: Any, queue: str, key: str, reason: str) -> str:
    """Put a dead letter; return the URL of its queue."""
    url = f"{queue}-dlq"
    attribute = {"DataType": "String", "StringValue": reason}
    body = object_created_body("landing", key)
    sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes={"s3events.reason": attribute})
    return url


def test_dead_letters_are_shown_and_go_back(site: Site, sqs: Any) -> None:
    letters = put_letter(sqs, site.queue, EVIL, f"refused: {EVIL}")
    assert "Look at the dead letters" in site.get("queues", "admin").text
    shown = site.write("dead-letters", "admin", {"queue": site.queue}).text
    assert "<script" not in shown
    assert "\\u202e" in shown
    ids = re.findall('name="id" value="([^"]+)"', shown)
    answer = site.write("redrive", "admin", {"queue": site.queue, "ids": ids})
    assert "1 sent back, of 1" in answer.text
    back = sqs.receive_message(QueueUrl=site.queue, MessageAttributeNames=["All"])["Messages"][0]
    assert back["MessageAttributes"]["s3events.attempt"]["StringValue"] == "1"
    assert "Messages" not in sqs.receive_message(QueueUrl=letters)


def test_a_viewer_sees_dead_letters_and_no_way_to_redrive(site: Site, sqs: Any) -> None:
    put_letter(sqs, site.queue, "a.csv", "no such DAG")
    shown = site.write("dead-letters", "reader", {"queue": site.queue}).text
    assert "no such DAG" in shown
    assert "<input" not in shown
    assert "<button" not in shown


def test_no_answer_holds_a_receipt_handle_or_a_secret(site: Site, sqs: Any) -> None:
    put_letter(sqs, site.queue, "a.csv", "no such DAG")
    site.note("a.csv")
    texts = [site.get(path, "admin").text for path in GETS]
    texts.append(site.write("dead-letters", "admin", {"queue": site.queue}).text)
    for text in texts:
        assert "secret-access-key" not in text
        assert not re.search("receipt.?handle|X-Amz-Signature|AKIATEST", text, re.IGNORECASE)


@pytest.mark.parametrize("redrive", ["False"])
def test_a_page_that_is_read_only_says_so(
    site: Site, sqs: Any, monkeypatch: pytest.MonkeyPatch, redrive: str
) -> None:
    monkeypatch.setenv("AIRFLOW__S3EVENTS__PAGE_REDRIVE", redrive)
    put_letter(sqs, site.queue, "a.csv", "no such DAG")
    assert "read-only" in site.get("queues", "admin").text
    assert site.write("redrive", "admin", {"queue": site.queue, "ids": ["1"]}).status_code == 403


def test_a_queue_without_rights_is_read_only_and_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__S3EVENTS__PAGE_QUEUES", '["https://sqs.us-east-1.amazonaws.com/1/other"]')
    shown = site.get("queues", "admin").text
    assert "Read-only, without figures: the API server may not read this queue" in shown
    assert "queue unreadable" in shown
    assert "data-letters" not in shown


def test_a_queue_without_a_region_spoils_no_other(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = json.dumps([{"queue": "no-region", "aws_conn_id": None}, site.queue])
    monkeypatch.setenv("AIRFLOW__S3EVENTS__PAGE_QUEUES", lost)
    text = site.get("queues", "admin").text
    assert "You must specify a region" in text
    assert text.count("<dt>waiting</dt>") == 1
    answer = site.write("dead-letters", "admin", {"queue": "no-region"})
    assert (answer.status_code, "You must specify a region" in answer.text) == (400, True)


def test_what_a_stranger_named_is_escaped_everywhere(site: Site) -> None:
    site.note(EVIL, reason=f"because {EVIL}", run_id="s3_x")
    for path in ("", "events", f"search?uri=s3://landing/{EVIL}"):
        text = site.get(path, "admin").text
        assert "&lt;script&gt;" in text
        assert "<script>alert" not in text
        assert "\u202e" not in text


def test_a_run_id_that_is_no_name_gets_no_link(site: Site) -> None:
    site.note("a", run_id="../../auth/logout")
    site.note("b", run_id="s3_b")
    text = site.get("", "admin").text
    assert "../../auth/logout" in text
    assert re.findall('href="([^"]*(?:logout|runs)[^"]*)"', text) == ["../dags/process/runs/s3_b"]


def test_the_last_events_come_with_the_states_of_their_runs(site: Site) -> None:
    site.note("a", run_id="s3_a")
    assert '<span class="badge quiet">gone</span>' in site.get("events", "admin").text


def test_a_search_tells_what_explain_tells(site: Site) -> None:
    site.note("in/a.csv", what="put_off", reason="DAG 'process' is paused")
    text = site.get("search?uri=s3://landing/in/a.csv", "admin").text
    assert "given back to the queue; it comes again" in text
    assert "DAG &#39;process&#39; is paused" in text
    assert "S3 was not asked: page_buckets does not name this bucket" in text


def test_a_search_of_a_named_bucket_asks_s3(site: Site, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.create_bucket(Bucket="landing-of-the-page")
    s3.put_object(Bucket="landing-of-the-page", Key="a.csv", Body=b"123")
    monkeypatch.setenv("AIRFLOW__S3EVENTS__PAGE_BUCKETS", "other,landing-*")
    text = site.get("search?uri=s3://landing-of-the-page/a.csv", "admin").text
    assert "3 bytes" in text
    assert "event never seen" in text


@pytest.mark.parametrize("uri", ["", "landing/a", "s3://landing", "https://x/y"])
def test_what_is_no_object_is_refused_with_what_to_give(site: Site, uri: str) -> None:
    answer = site.get(f"search?uri={uri}", "admin")
    assert (answer.status_code, "give s3://bucket/key" in answer.text) == (400, True)


def test_events_of_dags_that_he_may_not_read_are_not_shown(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    site.note("of-process", dag_id="process")
    site.note("of-secret", dag_id="secret")
    allowed = get_auth_manager().is_authorized_dag

    def is_authorized(*, details: Any = None, **more: Any) -> bool:
        return (details is None or details.id != "secret") and allowed(details=details, **more)

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", is_authorized)
    for path in ("", "events", "search?uri=s3://landing/of-secret"):
        text = site.get(path, "reader").text
        assert "started" not in text or "of-process" in text
        assert "DAG <strong>secret" not in text
        assert path.startswith("search") or "of-secret" not in text


def test_a_queue_with_a_dag_that_he_may_not_read_is_not_shown(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    hidden = json.dumps([{"queue": site.queue, "dispatcher": "secret"}])
    monkeypatch.setenv("AIRFLOW__S3EVENTS__PAGE_QUEUES", hidden)
    allowed = get_auth_manager().is_authorized_dag
    monkeypatch.setattr(
        get_auth_manager(),
        "is_authorized_dag",
        lambda *, details=None, **more: details is None and allowed(details=details, **more),
    )
    assert "There is no queue whose DAGs you may read" in site.get("queues", "reader").text
    assert site.write("dead-letters", "reader", {"queue": site.queue}).status_code == 403


def test_without_a_ledger_the_page_says_what_to_set(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__S3EVENTS__PAGE_LEDGER", "")
    assert "set page_ledger" in site.get("", "admin").text
    assert site.get("search?uri=s3://landing/a", "admin").status_code == 400


def test_a_setting_that_is_wrong_is_told_by_its_name(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__S3EVENTS__PAGE_QUEUES", "landing")
    for path in ("", "queues"):
        answer = site.get(path, "admin")
        assert (answer.status_code, "page_queues" in answer.text) == (400, True)


def test_a_ledger_in_dynamodb_says_why_there_is_no_chart(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__S3EVENTS__PAGE_LEDGER", "dynamodb:ledger")
    assert "DynamoDB keeps no order of time" in site.get("", "admin").text


def test_airflows_own_side_is_asked_in_the_users_name(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = json.dumps([{"queue": site.queue, "dispatcher": "no_such_dispatcher"}])
    monkeypatch.setenv("AIRFLOW__S3EVENTS__PAGE_QUEUES", watched)
    text = site.get("queues", "admin").text
    assert "Airflow does not know this DAG" in text
    assert "triggerer dead" in text
