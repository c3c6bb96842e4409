"""The arithmetic of the benchmark that compares: places, money, growth, calls, and the tables of its page."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.testing import object_created_body
from tests.benchmarks.beside import figures, growth, page, prices
from tests.benchmarks.beside.arrivals import fates, first, objects_in, places_of, quantiles, rate
from tests.benchmarks.call_counts import actions

_SQS = b"POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\n\r\n"


def test_an_object_is_found_in_the_form_that_s3_sends_and_in_the_decoded_one() -> None:
    assert objects_in(object_created_body("landing", "incoming/file 000012.csv")) == {12}
    assert objects_in('{"key": "incoming/file 000012.csv"}') == {12}


def test_a_run_that_tells_of_an_object_twice_is_one_place() -> None:
    rows = [("b", 2.0, None, "file 000001.csv file+000001.csv"), ("a", 1.0, 1.5, "file 000001.csv")]

    assert [place.run_id for place in places_of(rows)[1]] == ["a", "b"]


def test_a_rate_leaves_out_the_first_run() -> None:
    rows = [
        ("a", 10.0, None, "file 000000.csv file 000001.csv"),
        ("b", 12.0, None, "file 000002.csv file 000003.csv"),
    ]

    assert rate(places_of(rows)) == 1.0
    assert rate(places_of(rows[:1])) == 0.0


def test_objects_in_no_run_and_in_two_are_told_apart() -> None:
    rows = [("a", 1.0, None, "file 000000.csv"), ("b", 2.0, None, "file 000000.csv file 000001.csv")]

    assert fates(places_of(rows), 3) == {"sent": 3, "runs": 2, "in no run": 1, "in two or more": 1}


def test_the_first_objects_are_those_that_were_stored_first() -> None:
    rows = [(str(at), float(at), None, f"file 00000{number}.csv") for number, at in enumerate((3, 1, 2))]

    assert set(first(places_of(rows), 2)) == {1, 2}


def test_quantiles_of_nothing_are_nothing() -> None:
    assert quantiles([]) == {"n": 0, "p50": None, "p95": None, "p99": None, "max": None}
    assert quantiles([float(number) for number in range(101)])["p99"] == 99.0


def test_a_million_objects_in_full_batches_cost_a_send_and_two_tenths() -> None:
    calls = {"ReceiveMessage": 10, "DeleteMessageBatch": 10}

    assert prices.cost_of_a_million(calls, 100) == pytest.approx(1.2 * prices.SQS_REQUEST)
    assert prices.cost_of_a_million(calls, 100, sends=False) == pytest.approx(0.2 * prices.SQS_REQUEST)


def test_listing_costs_more_than_asking_and_deleting_nothing() -> None:
    each = {
        action: prices.cost({action: 1_000_000}) for action in ("ListObjectsV2", "HeadObject", "DeleteObject")
    }

    assert each == {"ListObjectsV2": 5.0, "HeadObject": 0.4, "DeleteObject": 0.0}


def test_a_month_has_730_hours() -> None:
    assert prices.cost_of_a_month({"ReceiveMessage": 180}, 3600) == pytest.approx(180 * 730 * 0.4 / 1e6)


@given(
    st.floats(min_value=-2, max_value=2),
    st.floats(min_value=0.1, max_value=100),
    st.sets(st.integers(min_value=1, max_value=10_000), min_size=2, max_size=6),
)
def test_the_exponent_of_a_power_law_is_found(power: float, factor: float, xs: set[int]) -> None:
    found = growth.exponent({float(x): factor * x**power for x in xs})

    assert math.isclose(found, power, abs_tol=1e-6)


@pytest.mark.parametrize("points", [{}, {1.0: 2.0}, {1.0: 2.0, 2.0: 0.0}])
def test_there_is_no_growth_without_two_points_above_zero(points: dict[float, float]) -> None:
    with pytest.raises(ValueError, match="two points"):
        growth.exponent(points)
    assert growth.words(points) == growth.NONE


def test_growth_is_said_in_words() -> None:
    said = [growth.words({1.0: 8.0, 2.0: last}) for last in (8.0, 16.0, 32.0, 2.0)]

    assert [words.split(" (")[0] for words in said] == ["flat", "in step", "grows", "falls"]


def test_calls_are_named_by_their_header_or_their_first_line() -> None:
    def named(line: bytes) -> list[str]:
        return list(actions(line + b" HTTP/1.1\r\nHost: h\r\n\r\n"))

    assert list(actions(_SQS)) == ["ReceiveMessage"]
    assert named(b"GET /bucket?list-type=2&prefix=a") == ["ListObjectsV2"]
    assert named(b"HEAD /bucket/a/b.csv") == ["HeadObject"]
    assert named(b"POST /bucket?delete") == ["DeleteObjects"]
    assert list(actions(b'{"QueueUrl": "GET /bucket HTTP/1.1"}')) == []


def test_calls_are_sorted_by_kind_for_each_object() -> None:
    calls = {"ReceiveMessage": 3, "DeleteMessageBatch": 2, "GetQueueUrl": 1, "ListObjectsV2": 4}

    found = figures.each(calls, 10)

    assert found == {"receive": 0.3, "delete": 0.2, "visibility": 0.0, "Get…": 0.1, "S3": 0.4, "all": 1.0}


def _round(side_rate: float) -> dict[str, Any]:
    calls = {"ReceiveMessage": 1, "DeleteMessageBatch": 1}
    fate = {"sent": 10, "runs": 10, "in no run": 0, "in two or more": 0}
    return {"rate": side_rate, **fate, "calls": calls, "tasks_mib": 80.0, "triggerer_mib": 200.0, "load": 1.0}


def _part(**more: Any) -> dict[str, Any]:
    return {"date": "2026-11-26 05:00", "minutes": 1.0, "load_before": 1.0, "load_after": 2.0, **more}


def test_the_page_has_the_median_of_the_rounds_and_the_money() -> None:
    rounds = {"ours": [_round(10.0), _round(30.0), _round(20.0)]}

    written = page.text({"throughput": _part(sides=rounds)})

    assert "| this package: dispatcher | 20 | 1 |" in written
    assert f"| {1.2 * prices.SQS_REQUEST:.2f}, {growth.NONE} |" in written


def test_the_page_of_a_part_alone_has_its_table_and_its_load() -> None:
    kinds = {"dispatcher": {"1": {"calls": {"ReceiveMessage": 180}, "mib": 70.0, "processor_percent": 0.1}}}

    written = page.text({"idle": _part(kinds=kinds)})

    assert "calls an hour: this package: a dispatcher for each queue | 180 |" in written
    assert "| idle | 2026-11-26 05:00 | 1.0 | 1.0 | 2.0 |" in written
    assert "## How soon" not in written


def test_the_page_says_what_was_lost() -> None:
    sides = {"stock_asset": {"sent": 150, "runs": 14, "in no run": 10, "in two or more": 0}}
    killed = _part(kills=3, seed=1, processes={"triggerer": 6}, sides=sides, **{"in two asset runs": 7})

    written = page.text({"kills": killed})

    assert "| stock: watched asset, tuned | 150 | 14 | 10 | 0 |" in written


def test_a_side_that_is_not_played_at_every_place_has_a_dash_there() -> None:
    by = {"4": {"ours": _round(20.0), "stock_sensor": _round(2.0)}, "8": {"ours": _round(30.0)}}

    written = page.text({"workers": _part(by=by)})

    assert f"| objects/s: stock: `SqsSensor`, `TriggerDagRunOperator` | 2 | {growth.NONE} |" in written
