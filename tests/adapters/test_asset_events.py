"""What a task asks Airflow of an asset's events, in pages, and what a schedule by reference comes to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_s3events import events_of
from airflow_s3events.exceptions import ConfigurationError
from tests.lines import AIRFLOW

pytestmark = pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2 has no assets")

_NOON = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)


class Stored:
    """Asset events of one asset, given as Airflow's API server gives them."""

    def __init__(self, *seconds: float) -> None:
        self.events = [
            SimpleNamespace(id=number, timestamp=_NOON + timedelta(seconds=each))
            for number, each in enumerate(seconds)
        ]
        self.limits: list[int | None] = []

    def send(self, request: Any) -> Any:
        limit = getattr(request, "limit", None)
        after, before = getattr(request, "after", None), getattr(request, "before", None)
        self.limits.append(limit)
        found = sorted(self.events, key=lambda event: event.timestamp)
        found = [event for event in found if after is None or event.timestamp >= after]
        found = [event for event in found if before is None or event.timestamp <= before]
        return SimpleNamespace(asset_events=found[:limit])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Stored, float], list[int]]:
    """Return the ids of what a task is given of what is stored, between noon and so many seconds later."""
    from airflow_s3events._compat import supervisor_runs
    from airflow_s3events._compat.asset_events import asset_events_between

    def ask(stored: Stored, seconds: float) -> list[int]:
        monkeypatch.setattr(supervisor_runs, "send", stored.send)
        asset: Any = SimpleNamespace(name="landing", uri="landing")
        return [event.id for event in asset_events_between(asset, _NOON, _NOON + timedelta(seconds=seconds))]

    return ask


def test_only_what_was_stored_between_both_moments_is_given(asked: Any) -> None:
    assert asked(Stored(-1, 0, 1, 2, 3), 2) == [1, 2, 3]


@pytest.mark.skipif(AIRFLOW < (3, 2), reason="Airflow gives all at once there")
@pytest.mark.parametrize(("count", "pages"), [(99, 1), (100, 2), (101, 2), (350, 4)])
def test_many_come_in_pages_each_once_and_in_order(asked: Any, count: int, pages: int) -> None:
    stored = Stored(*range(count))
    assert asked(stored, 10_000) == list(range(count))
    assert stored.limits == [100] * pages


@pytest.mark.skipif(AIRFLOW < (3, 2), reason="Airflow gives all at once there")
def test_more_of_one_moment_than_a_page_holds_are_all_given(asked: Any) -> None:
    assert asked(Stored(*[0.0] * 250, 1.0), 10_000) == list(range(251))


def _run_of(schedule: Any) -> dict[str, Any]:
    from airflow.sdk import DAG

    run = SimpleNamespace(dag_id="process", conf=None, run_id="asset_triggered__2026-11-26T12:00:00__8fR2x")
    return {"dag": DAG(dag_id="process", schedule=schedule), "dag_run": run, "triggering_asset_events": {}}


def test_a_run_of_a_dag_that_only_refers_to_assets_says_why_it_has_no_objects() -> None:
    from airflow.sdk import Asset

    with pytest.raises(ConfigurationError, match=r"DAG 'process': .*Asset\.ref\(\)"):
        events_of(_run_of(Asset.ref(name="landing") | Asset.ref(uri="s3://landing/daily")))


def test_a_run_that_airflow_has_made_of_nothing_has_no_objects() -> None:
    from airflow.sdk import Asset

    assert events_of(_run_of(Asset("landing"))) == []
    assert events_of(_run_of(Asset("landing") & Asset.ref(name="daily"))) == []
