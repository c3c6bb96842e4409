"""The check of links that lead out of the pages, against a server of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.repo.external_links import ask, check, links
from tests.repo.pages import README


class Answers(BaseHTTPRequestHandler):
    """Answers with the status that the path names."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_links_are_found_once_and_without_their_anchors(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "[a](https://example.org/x#y), [b](https://example.org/x), [c](other.md), [d](http://example.org)"
    )
    assert links([page]) == {"https://example.org/x": [page, page], "http://example.org": [page]}


@pytest.mark.parametrize(
    ("status", "answer"), [(200, ""), (404, "broken: 404"), (410, "broken: 410"), (503, "unclear: 503")]
)
def test_what_a_server_answers_is_told(server: str, status: int, answer: str) -> None:
    assert ask(f"{server}/{status}") == answer


def test_a_broken_link_is_named_with_its_page_and_an_unclear_one_is_no_failure(server: str) -> None:
    said: list[str] = []
    unclear = {f"{server}/200": [README], f"{server}/403": [README]}
    assert check(unclear, said.append) == 0
    assert said[-1] == "2 links: 1 there, 1 unclear"
    assert check({**unclear, f"{server}/404": [README]}, said.append) == 3
    assert f"broken: 404  {server}/404  in README.md" in said


def test_without_a_network_nothing_is_called_broken() -> None:
    said: list[str] = []
    assert check({"http://127.0.0.1:9/": [README]}, said.append) == 5
    assert said[-1] == "1 links: 1 no answer"
