"""Lines of decisions: their form, the limiter, and what never gets into one."""

from __future__ import annotations

import json
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.decision_lines import (
    Limiter,
    Rest,
    key_digest,
    line,
    without_keys,
    without_signatures,
)


def test_a_line_has_every_field_with_a_value_in_its_order() -> None:
    fields = {"decision": "released", "outcome": "", "receives": 3, "events": None, "dag_id": "a b"}
    assert line(fields) == 'decision=released receives=3 dag_id="a b"'


@given(st.text(min_size=1, max_size=50))
def test_no_text_makes_a_second_line_or_a_second_field(text: str) -> None:
    found = line({"reason": text, "end": 1})
    assert found.isprintable()
    assert found.isascii()
    value = found.removeprefix("reason=").removesuffix(" end=1")
    assert text in (value, json.loads(value) if value.startswith('"') else value)


def test_a_long_value_is_cut() -> None:
    assert len(line({"reason": "x" * 5_000})) < 1_100


def test_a_digest_is_made_of_the_key_alone() -> None:
    assert key_digest("in/ä.csv") == "sha256:" + sha256("in/ä.csv".encode()).hexdigest()[:16]


@given(st.text(min_size=4, max_size=30))
def test_no_form_of_a_key_is_left(key: str) -> None:
    for text in (f"at {key}.", f"conf {json.dumps({'key': key})}", f"unexpected KeyError: {key!r}"):
        found = without_keys(text, [key])
        assert key not in found.replace(key_digest(key), "")
        assert key_digest(key) in found


def test_a_run_id_keeps_its_event_id_and_loses_what_is_readable() -> None:
    name = "s3_in-secret.csv_" + "0" * 40
    assert without_keys(f"run {name} of DAG 'x' failed", []) == f"run s3_{'0' * 40} of DAG 'x' failed"


def test_what_signs_an_url_is_left_out() -> None:
    url = "https://b.s3.amazonaws.com/k?X-Amz-Credential=AKIA%2F1&X-Amz-Signature=abc&versionId=1"
    expected = "https://b.s3.amazonaws.com/k?X-Amz-Credential=***&X-Amz-Signature=***&versionId=1"
    assert without_signatures(url) == expected


def test_so_many_of_a_kind_have_a_line_and_the_others_are_counted_by_kind() -> None:
    limiter = Limiter(most=2, seconds=60)
    assert [limiter.admit("a", 0.0) for _ in range(5)] == [True, True, False, False, False]
    assert limiter.admit("b", 1.0)
    assert limiter.ended(59.9) == []
    assert limiter.ended(60.0) == [Rest("a", 3, 60.0)]


def test_a_new_window_begins_with_its_first_line() -> None:
    limiter = Limiter(most=1, seconds=60)
    assert limiter.admit("a", 0.0)
    assert limiter.ended(100.0) == []
    assert limiter.admit("a", 100.0)
    assert not limiter.admit("a", 159.0)


def test_at_an_end_every_window_ends_with_the_time_it_had() -> None:
    limiter = Limiter(most=1, seconds=60)
    limiter.admit("a", 0.0)
    limiter.admit("a", 3.0)
    assert [rest.text() for rest in limiter.end_all(5.0)] == ["a ... and 1 more like this in 5 s"]
    assert limiter.end_all(6.0) == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 30)), max_size=80))
def test_every_decision_has_a_line_or_is_counted(decisions: list[tuple[str, float]]) -> None:
    limiter, now, lines, rests = Limiter(most=3, seconds=60), 0.0, 0, []
    for kind, later in decisions:
        now += later
        rests += limiter.ended(now)
        lines += limiter.admit(kind, now)
    rests += limiter.end_all(now)
    assert lines + sum(rest.count for rest in rests) == len(decisions)
