"""The page in a real browser, on a real API server beside a whole Airflow.

The server is one more than the shared Airflow has, on its database: there everybody is an admin, here one
logs in. ``S3EVENTS_SCREENSHOTS=FOLDER`` keeps the pictures that the documentation shows.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from airflow_s3events.demo.cluster import Cluster
from tests.lines import AIRFLOW, DAG_IMPORTS
from tests.page_server import PageServer, fill_ledger, put_dead_letters

pytestmark = [
    pytest.mark.skipif(AIRFLOW < (3, 1), reason="the page of Airflow 3.1 and later"),
    pytest.mark.timeout(300),
]

EVIL = "in/<img src=x onerror=alert(1)>\"'.csv"
_DAGS = f"""{DAG_IMPORTS}
import os

from airflow_s3events import s3_event_dispatcher

os.environ["AIRFLOW_CONN_LEDGER_DB"] = '''%(ledger)s'''
dispatcher = s3_event_dispatcher(
    dag_id="%(name)s", sqs_queue="%(name)s-events", routes="%(name)s-target", ledger="sql:ledger_db"
)

with DAG(dag_id="%(name)s-target", schedule=None):
    EmptyOperator(task_id="nothing")
"""


@dataclass(frozen=True)
class Site:
    """The server, and what lies behind it."""

    server: PageServer
    aws: EmbeddedAws
    landing: NotifyingBucket
    target: str

    @property
    def queue(self) -> str:
        """The queue's name."""
        return self.landing.queue_url.rpartition("/")[2]


@pytest.fixture(scope="module")
def site(system_folder: Path, cluster: Cluster, aws: EmbeddedAws) -> Iterator[Site]:
    """Three objects have their runs, three dead letters wait, and the page is served."""
    name = f"page-{secrets.token_hex(3)}"
    landing = aws.notifying_bucket(name)
    database = system_folder / f"{name}.db"
    ledger = json.dumps({"conn_type": "sqlite", "schema": str(database)})
    if _pictures() is not None:
        fill_ledger(f"sqlite:///{database}", 12_000, now=time.time(), bucket=name, dag_id=f"{name}-target")
    file = cluster.dags_folder / f"{name}.py"
    file.write_text(_DAGS.replace("%(name)s", name).replace("%(ledger)s", ledger))
    cluster.wait_for_dag(name)
    for key in ("orders/1.csv", "orders/2.csv", EVIL):
        aws.s3.put_object(Bucket=name, Key=key, Body=b"1")
    _wait(lambda: len([r for r in cluster.runs(f"{name}-target") if r["state"] == "success"]) == 3)
    letters = {"orders/a.csv": "no such DAG", "orders/b.csv": "no such DAG", EVIL: f"refused: {EVIL}"}
    put_dead_letters(aws, landing, letters, dag_id=f"{name}-target")
    watched = {"queue": f"{name}-events", "dispatcher": name, "targets": [f"{name}-target"]}
    options = {
        "page_queues": json.dumps([watched]),
        "page_ledger": "sql:ledger_db",
        "page_buckets": name,
    }
    variables = {**cluster.variables, "AIRFLOW_CONN_LEDGER_DB": ledger}
    with PageServer(system_folder / "page", variables, options) as server:
        yield Site(server, aws, landing, f"{name}-target")
    file.unlink()


def _wait(probe: Callable[[], bool], timeout_seconds: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not probe():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.3)


def _pictures() -> Path | None:
    folder = os.environ.get("S3EVENTS_SCREENSHOTS")
    return None if folder is None else Path(folder)


def test_the_server_answers_who_has_logged_in_and_nobody_else(site: Site) -> None:
    assert site.server.get("").status_code == 401
    assert site.server.get("", "reader").status_code == 200
    assert site.server.ask("POST", "redrive", json={"queue": site.queue, "ids": ["1"]}).status_code == 401


def test_airflow_has_a_link_to_it(site: Site) -> None:
    import httpx

    headers = {"Authorization": f"Bearer {site.server.token('admin')}"}
    plugins = httpx.get(f"{site.server.url}/api/v2/plugins", headers=headers).json()["plugins"]
    views = [view for plugin in plugins for view in plugin["external_views"]]
    assert [view["href"] for view in views if view["name"] == "S3 events"] == ["/s3events/"]


# In a browser


def _chromium() -> str:
    if find_spec("playwright") is None or find_spec("axe_playwright_python") is None:
        pytest.skip("the browser test needs playwright and axe-playwright-python")
    found = (
        os.environ.get("S3EVENTS_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    )
    if found is None:
        pytest.skip("no chromium here: apt-get install chromium, or set S3EVENTS_CHROMIUM")
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = _chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def open_page(site: Site, browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens the page as a user; what the browser complains of, or asks another host for, fails the test."""
    contexts: list[Any] = []
    problems: list[str] = []

    def judge(page: Any, problem: str) -> None:
        # What Airflow's own pages do is not ours.
        if f"{site.server.url}/s3events/" in page.url:
            problems.append(problem)

    def look(page: Any, request: Any) -> None:
        if not request.url.startswith(site.server.url):
            judge(page, f"asked {request.url}")

    def opened(user: str = "admin", *, theme: str = "light", width: int = 1280) -> Any:
        context = browser.new_context(color_scheme=theme, viewport={"width": width, "height": 900})
        contexts.append(context)
        context.add_cookies([{"name": "_token", "value": site.server.token(user), "url": site.server.url}])
        page = context.new_page()
        page.on("console", lambda said: judge(page, said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: judge(page, str(error)))
        page.on("dialog", lambda dialog: judge(page, f"dialog {dialog.message}"))
        page.on("request", lambda request: look(page, request))
        page.goto(f"{site.server.url}/s3events/")
        page.wait_for_selector(".queue")
        page.wait_for_selector("#events[aria-busy=false]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def violations(page: Any) -> list[str]:
    """What axe-core calls serious or worse."""
    from axe_playwright_python.sync_playwright import Axe

    # The page's own policy lets no script in that is not the page's: a test's goes in by the debugger.
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in ("serious", "critical")
    ]


def test_one_look_tells_queue_chart_and_last_events(open_page: Callable[..., Any]) -> None:
    page = open_page()
    assert "look at" in page.inner_text(".verdict")
    figures = page.inner_text(".queue .tiles")
    assert "Dead letters\n3" in figures.replace("\n\n", "\n")
    assert page.locator(".queue .facts", has_text="dispatch").count() == 1
    assert page.locator("svg.chart rect").count() >= 1
    assert page.locator("#events tbody tr").count() >= 3
    assert page.locator("#events .badge", has_text="success").count() >= 3


def test_an_event_leads_to_its_run(site: Site, open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.locator("#events tbody tr", has_text="orders/1.csv").locator("a").click()
    page.wait_for_url(f"{site.server.url}/dags/{site.target}/runs/**")


def test_an_attackers_key_is_text(site: Site, open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.click("[data-letters]")
    page.wait_for_selector("form.redrive")
    page.fill("#uri", f"s3://{site.landing.bucket}/{EVIL}")
    page.click("#search button")
    page.wait_for_selector("#found .decisions")
    assert page.locator("main img").count() == 0
    assert EVIL in page.inner_text("form.redrive")
    assert EVIL in page.inner_text("#found")


def test_another_stretch_of_time_is_a_link(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.click(".tabs >> text=7d")
    page.wait_for_url("**/?range=7d")
    assert page.inner_text(".tabs [aria-current]") == "7d"
    assert page.text_content("#chart-title").startswith("Last 7d")


def test_a_search_tells_what_is_in_s3_and_what_became_of_it(
    site: Site, open_page: Callable[..., Any]
) -> None:
    page = open_page()
    page.fill("#uri", f"s3://{site.landing.bucket}/orders/1.csv")
    page.keyboard.press("Enter")
    page.wait_for_selector("#found .decisions")
    text = page.inner_text("#found")
    assert "1 bytes" in text
    assert "a run was started" in text
    assert "success" in text


def test_a_redrive_is_asked_about_and_can_be_left(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.click("[data-letters]")
    page.check("form.redrive input[name=id] >> nth=0")
    page.click("form.redrive button[type=submit]")
    assert "1 dead letter goes back" in page.inner_text("#confirm-text")
    page.click("#confirm >> text=Leave them")
    assert page.locator("form.redrive tbody tr").count() == 3


def test_a_viewer_has_no_way_to_redrive(open_page: Callable[..., Any]) -> None:
    page = open_page("reader")
    assert "takes the right to start runs" in page.inner_text(".queue")
    page.click("[data-letters]")
    page.wait_for_selector("form.redrive")
    assert page.locator("form.redrive input, form.redrive button").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390], ids=["desk", "phone"])
def test_axe_finds_nothing_serious(site: Site, open_page: Callable[..., Any], theme: str, width: int) -> None:
    page = open_page(theme=theme, width=width)
    page.click("[data-letters]")
    page.wait_for_selector("form.redrive")
    page.fill("#uri", f"s3://{site.landing.bucket}/orders/1.csv")
    page.click("#search button")
    page.wait_for_selector("#found .decisions")
    page.click("summary")
    assert violations(page) == []
    page.check("form.redrive input[name=id] >> nth=0")
    page.click("form.redrive button[type=submit]")
    assert violations(page) == []


def test_airflows_theme_counts_more_than_the_machines(open_page: Callable[..., Any]) -> None:
    page = open_page(theme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.reload()
    assert page.evaluate(ground) != light


def _make_small(picture: Path) -> None:
    from PIL import Image

    few_colours = Image.open(picture).convert("RGB").quantize(96, dither=Image.Dither.NONE)
    few_colours.save(picture, optimize=True)


def test_the_page_has_pictures(open_page: Callable[..., Any]) -> None:
    folder = _pictures()
    if folder is None:
        pytest.skip("S3EVENTS_SCREENSHOTS names no folder")
    for theme in ("light", "dark"):
        page = open_page(theme=theme)
        page.click("[data-letters]")
        page.wait_for_selector("form.redrive")
        page.evaluate("window.scrollTo(0, 0)")
        picture = folder / f"page-{theme}.png"
        page.screenshot(path=picture, full_page=True)
        _make_small(picture)


def test_everything_goes_by_keyboard_and_letters_come_back(site: Site, open_page: Callable[..., Any]) -> None:
    """The last one: it takes the dead letters away."""
    page = open_page()
    press = page.keyboard.press

    def tab_to(selector: str) -> None:
        for _ in range(80):
            press("Tab")
            if page.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
                return
        pytest.fail(f"the Tab key does not reach {selector}")

    tab_to(".skip")
    press("Enter")
    tab_to("[data-letters]")
    press("Enter")
    page.wait_for_selector("form.redrive")
    tab_to("[data-all]")
    press("Space")
    tab_to("form.redrive button[type=submit]")
    press("Enter")
    page.wait_for_selector("#confirm[open]")
    tab_to("#confirm button[value=yes]")
    press("Enter")
    page.wait_for_selector(".redriven .note")
    assert "3 sent back, of 3" in page.inner_text(".redriven")
    assert page.evaluate("document.activeElement.className") == "redriven"
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    left = site.aws.sqs.get_queue_attributes(QueueUrl=site.landing.dlq_url, AttributeNames=names)[
        "Attributes"
    ]
    assert set(left.values()) == {"0"}
