"""The judge of the asset kills sees what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.system.faults.audit_assets import is_clean, judge

MANIFEST = {"assets": {"one": "-one-", "all": "-"}, "keys": ["1-one-", "2-"]}
STORED = [("one", ["1-one-"], 1), ("all", ["1-one-", "2-"], 1)]
NOTED = [("one", ["1-one-"]), ("all", ["1-one-", "2-"])]


def verdict(stored: Any = STORED, noted: Any = NOTED, queue: int = 0, dlq: int = 0) -> bool:
    return is_clean({**judge(MANIFEST, stored, noted), "queue": queue, "dlq": dlq})


def test_each_key_in_an_asset_event_and_in_one_run_of_who_wants_it_is_clean() -> None:
    assert verdict()


def test_a_repeat_that_no_run_was_given_is_counted_and_clean() -> None:
    stored = [*STORED, ("all", ["2-"], 1)]
    assert verdict(stored, [*NOTED, ("all", [])])
    result = judge(MANIFEST, stored, [*NOTED, ("all", [])])
    assert (result["repeats"], result["runs_without_events"]) == (1, 1)


@pytest.mark.parametrize(
    ("fault", "stored", "noted"),
    [
        ("in_no_asset_event", STORED[:1], NOTED),
        ("in_no_run", STORED, NOTED[:1]),
        ("in_two_runs", STORED, [*NOTED, ("all", ["2-"])]),
        ("not_wanted", STORED, [*NOTED, ("one", ["2-"])]),
        ("stranded", [*STORED, ("all", ["2-"], 0)], NOTED),
    ],
)
def test_every_fault_is_seen(fault: str, stored: Any, noted: Any) -> None:
    assert judge(MANIFEST, stored, noted)[fault] > 0
    assert not verdict(stored, noted)


@pytest.mark.parametrize("queue", ["queue", "dlq"])
def test_what_is_left_in_a_queue_is_seen(queue: str) -> None:
    assert not verdict(**{queue: 1})
