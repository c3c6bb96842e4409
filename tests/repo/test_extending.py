"""The worked examples of docs/extending.md, put where the page says that they go."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events import envelopes, filters
from airflow_s3events.envelopes import parse_body
from airflow_s3events.exceptions import BodyError
from airflow_s3events.filters import EventFilter, algebra
from airflow_s3events.predicates import KINDS
from airflow_s3events.testing import object_event, sns_body
from tests.contract import test_ledger_stores
from tests.repo.pages import ROOT, blocks

#: Every test of the stores' own suite that takes a store, and none of one that knows its documents by time.
SUITE = [
    test
    for name, test in vars(test_ledger_stores).items()
    if name.startswith("test_") and [*inspect.signature(test).parameters] == ["store"]
    if "timed" not in test.__code__.co_names
]


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """What the page's blocks define."""
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(ROOT / "docs" / "extending.md"):
        exec(compile(block.text, str(block), "exec"), names)  # noqa: S102
    return names


@pytest.fixture
def with_branch(page: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's branch at the head of ``_read_inside``."""
    others = envelopes._read_inside

    def read_inside(document: dict[str, Any], message_id: str, outside: str) -> Any:
        found = page["branch"](document, envelopes._read, envelopes._load, message_id, outside)
        return found or others(document, message_id, outside)

    monkeypatch.setattr(envelopes, "_read_inside", read_inside)


def test_without_its_branch_the_new_envelope_is_refused_as_the_page_says(page: dict[str, Any]) -> None:
    with pytest.raises(BodyError, match="not an S3 event: a JSON object with 'payload', 'proxy'"):
        parse_body(page["sent"])


@pytest.mark.usefixtures("with_branch")
def test_the_new_envelope_is_taken_off_alone_and_inside_of_others(page: dict[str, Any]) -> None:
    assert [event.key for event in parse_body(page["sent"]).events] == ["in/räum 1.csv"]
    assert parse_body(page["sent"]).events[0].envelope == "proxy>s3-records"
    assert parse_body(sns_body(page["sent"])).events[0].envelope == "sns-wrapped>proxy>s3-records"


def test_the_new_filter_combines_reads_and_comes_back_as_all_others(
    page: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(algebra, "KINDS", {**KINDS, "rule": page["RULE"]})
    event = object_event("ObjectCreated:Put", "landing", "in/a.csv")
    orders, landing = algebra.any_leaf("rule", ["airflow-orders", "other"]), filters.prefix("in/")
    ours = algebra.any_leaf("rule", [event.configuration_id])
    assert (ours & landing)(event)
    assert not (orders | ~ours)(event)
    assert ~(orders & landing) == ~orders | ~landing
    assert EventFilter.deserialize((orders & landing).serialize()) == orders & landing
    assert "rule is 'airflow-orders'" in str(orders & landing)


@pytest.mark.parametrize("test", SUITE, ids=lambda test: test.__name__)
async def test_the_new_store_passes_the_suite_of_stores(
    test: Any, page: dict[str, Any], tmp_path: Path
) -> None:
    await test(page["FolderStore"](tmp_path))


def test_the_suite_of_stores_is_found() -> None:
    assert len(SUITE) > 10
