"""What the page says, and how its settings, its chart and its links are made."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.explanations import Explanation, RunNow
from airflow_s3events.ledger import Decision, IntervalCount
from airflow_s3events.ledger.entries import Entry, read_entry, recorded
from airflow_s3events.messages import QueueAttributes
from airflow_s3events.page.chart import RANGES, Bar, chart_of, since_of
from airflow_s3events.page.settings import PageSettings, WatchedQueue
from airflow_s3events.page.tokens import csrf_token, is_from_page
from airflow_s3events.page.view import (
    QueueReading,
    duration,
    event_rows,
    found_view,
    letter_rows,
    queue_view,
    run_link,
    seen_rows,
    shown,
    verdict,
)
from airflow_s3events.testing import object_event
from airflow_s3events.watchdog import AirflowFacts, DagFacts, QueueFacts, TaskFacts, alarms

NOW = 1_800_000_000.0
HOUR = RANGES["1h"]


def entry(what: str = "started", key: str = "in/a.csv", **members: Any) -> Entry:
    event = object_event("ObjectCreated:Put", "landing", key)
    decision = Decision(event=event, what=what, **{"dag_id": "process", "run_id": "s3_a", **members})
    return read_entry(recorded(None, decision, NOW - 90))


# Settings


def test_without_options_nothing_is_shown() -> None:
    assert PageSettings.of({}) == PageSettings()


def test_a_queue_is_its_name_or_has_members() -> None:
    given = ["a", {"queue": "b", "dispatcher": "d", "targets": ["t"], "late_seconds": 5}]
    options = {"page_queues": json.dumps(given), "page_region_name": "eu-west-1"}
    first, second = PageSettings.of(options).queues
    assert first == WatchedQueue(queue="a", region_name="eu-west-1")
    assert second.dag_ids == ("d", "t")
    assert (second.late_seconds, second.aws["region_name"]) == (5, "eu-west-1")
    assert first.dag_ids == ()


def test_an_empty_connection_is_botos_own_chain() -> None:
    assert PageSettings.of({"page_aws_conn_id": ""}).aws["aws_conn_id"] is None
    assert PageSettings.of({}).aws["aws_conn_id"] == "aws_default"


def test_only_buckets_that_are_named_may_be_asked_about() -> None:
    settings = PageSettings.of({"page_buckets": "landing, invoices-*,"})
    asked = ("landing", "invoices-eu", "landing2", "")
    assert [settings.may_ask(bucket) for bucket in asked] == [True, True, False, False]
    assert not PageSettings().may_ask("landing")


def test_a_queue_is_found_by_its_name_alone() -> None:
    settings = PageSettings.of({"page_queues": '["a", "b"]'})
    assert settings.queue("b").queue == "b"
    with pytest.raises(ConfigurationError, match="no such queue"):
        settings.queue("c")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page_queues", "landing"),
        ("page_queues", '{"queue": "a"}'),
        ("page_queues", "[1]"),
        ("page_queues", '[{"dispatcher": "d"}]'),
        ("page_queues", '[{"queue": "a", "target": "t"}]'),
        ("page_queues", '[{"queue": 1}]'),
        ("page_queues", '[{"queue": "a", "targets": "t"}]'),
        ("page_queues", '[{"queue": "a", "targets": [1]}]'),
        ("page_queues", '[{"queue": "a", "late_seconds": true}]'),
        ("page_redrive", "maybe"),
    ],
)
def test_an_option_that_is_wrong_is_named(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        PageSettings.of({name: text})


@pytest.mark.parametrize(("text", "is_on"), [(None, True), ("True", True), (" false ", False)])
def test_redriving_is_offered_unless_it_is_switched_off(text: str | None, is_on: bool) -> None:
    assert PageSettings.of({"page_redrive": text}).redrive is is_on


# Chart


def test_a_bar_tells_runs_duplicates_failures_and_the_rest_apart() -> None:
    until = 7_200
    start = since_of(HOUR, until)
    counts = [
        IntervalCount(start, "started", 3, 5),
        IntervalCount(start, "restarted", 1, 1),
        IntervalCount(start, "duplicate", 2, 3),
        IntervalCount(start, "gave_up", 1, 1),
        IntervalCount(start, "put_off", 1, 2),
        IntervalCount(start, "unmatched", 4, 4),
        IntervalCount(until, "started", 1, 1),
    ]
    chart = chart_of(counts, HOUR, until)
    assert chart.bars[0] == Bar(start, runs=4, others=4, failures=2, duplicates=2 + 3 + 1)
    assert (chart.bars[0].events, chart.bars[0].height) == (10, 16)
    assert chart.total == Bar(start, runs=5, others=4, failures=2, duplicates=6)
    assert [start for start, _ in chart.rows()] == ["1970-01-01 01:01", "1970-01-01 02:00"]
    assert "11 events, 5 runs, 6 duplicates, 2 failed" in chart.summary()


@given(st.sampled_from(sorted(RANGES)), st.integers(2**30, 2**32))
def test_intervals_cover_the_range_and_end_now(name: str, until: int) -> None:
    range_ = RANGES[name]
    chart = chart_of([], range_, until)
    assert len(chart.bars) * range_.step_seconds == range_.seconds
    assert chart.bars[-1].start <= until < chart.bars[-1].start + range_.step_seconds
    assert all(bar.start % range_.step_seconds == 0 for bar in chart.bars)


@given(st.lists(st.integers(0, 10**7), min_size=60, max_size=60))
def test_every_bar_is_inside_the_picture(numbers: list[int]) -> None:
    since = since_of(HOUR, 7_200)
    counts = [IntervalCount(since + 60 * n, "started", count, count) for n, count in enumerate(numbers)]
    picture = ElementTree.fromstring(chart_of(counts, HOUR, 7_200).svg())  # noqa: S314 - of our own making
    bars = picture.findall(".//rect")
    assert len(bars) == sum(1 for count in numbers if count)
    for bar in bars:
        y, height = float(bar.attrib["y"]), float(bar.attrib["height"])
        assert 10 - 0.11 <= y <= y + height <= 220 - 26 + 0.11


@pytest.mark.parametrize(
    ("count", "top"), [(0, "4"), (4, "4"), (5, "8"), (790, "800"), (801, "2k"), (7_000_000, "8M")]
)
def test_the_scale_is_round(count: int, top: str) -> None:
    counts = [IntervalCount(since_of(HOUR, 7_200), "started", count, count)]
    texts = ElementTree.fromstring(chart_of(counts, HOUR, 7_200).svg()).findall("./text")  # noqa: S314
    assert [text.text for text in texts if text.attrib["text-anchor"] == "end"][-1] == top


# Links and texts


@pytest.mark.parametrize(("major", "link"), [(3, "../dags/d/runs/r"), (2, "../dags/d/grid?dag_run_id=r")])
def test_a_run_has_a_page_on_each_line(major: int, link: str) -> None:
    assert run_link("d", "r", major) == link


@pytest.mark.parametrize(
    "name", ["..", ".", "a/b", "javascript:alert(1)//", 'a"b', "", "a b", "x" * 251, "a\n"]
)
def test_what_is_no_name_is_in_no_link(name: str) -> None:
    assert run_link(name, "r", 3) is None
    assert run_link("d", name, 3) is None


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_link_leads_to_a_run_and_nowhere_else(dag_id: str, run_id: str) -> None:
    link = run_link(dag_id, run_id, 3)
    assert link is None or (link.count("/") == 4 and ".." not in link.split("/")[1:])


@given(st.text())
def test_what_is_shown_has_nothing_that_is_not_seen(text: str) -> None:
    assert shown(text).isprintable()


def test_letters_of_every_script_are_shown_as_they_are() -> None:
    assert shown("übersicht/報告.csv") == "übersicht/報告.csv"
    assert shown("a\u202eb\x00\n") == "a\\u202eb\\x00\\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "not known"), (0, "0 s"), (119, "119 s"), (180, "3 min"), (7_200, "2 h"), (2e5, "2 d")],
)
def test_a_length_of_time_has_one_unit(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


# Rows


def test_an_event_has_its_run_and_the_state_of_it() -> None:
    runs = {("process", "s3_a"): RunNow(state="failed")}
    row = event_rows([entry()], NOW, 3, runs)[0]
    assert (row.object, row.ago, row.tone) == ("s3://landing/in/a.csv", "90 s", "good")
    assert (row.state, row.state_tone, row.link) == ("failed", "error", "../dags/process/runs/s3_a")
    assert event_rows([entry()], NOW, 3)[0].state == ""


def test_a_run_that_airflow_does_not_have_is_gone() -> None:
    assert event_rows([entry()], NOW, 3, {("process", "s3_a"): RunNow(state="none")})[0].state == "gone"


def test_an_event_without_a_run_says_why() -> None:
    row = event_rows([replace(entry("put_off", run_id=None), late_seconds=None)], NOW, 3)[0]
    assert (row.tone, row.run_id, row.link, row.late) == ("warning", None, None, "")


def test_runs_of_airflow_stand_for_events_where_there_is_no_ledger() -> None:
    seen = [
        {"started": at, "object": "s3://b/k", "dag_id": "d", "run_id": f"r{at}", "state": "success"}
        for at in ("2026-01-01", "2026-01-02")
    ]
    rows = seen_rows(seen, 3)
    assert [row.run_id for row in rows] == ["r2026-01-02", "r2026-01-01"]
    assert (rows[0].state_tone, rows[0].link) == ("good", "../dags/d/runs/r2026-01-02")


def test_a_dead_letter_has_its_reason_and_its_run() -> None:
    letter: dict[str, Any] = {
        "message_id": "m",
        "sent_at": None,
        "events": [{"bucket": "b", "key": "k"}],
        "problem": None,
        "reason": "because",
        "dag_id": "d",
        "run_id": "r",
        "attempt": 2,
    }
    broken = {**letter, "events": [], "problem": "no JSON", "dag_id": None, "run_id": None, "sent_at": "then"}
    row, other = letter_rows([letter, broken], 3)
    assert (row.objects, row.reason, row.link, row.sent) == (
        ["s3://b/k"],
        "because",
        "../dags/d/runs/r",
        "not known",
    )
    assert (other.objects, other.link, other.sent) == (["no JSON"], None, "then")


# Queues


def reading(facts: QueueFacts, airflow: AirflowFacts | None = None, **members: Any) -> QueueReading:
    standard: dict[str, Any] = {
        "watched": WatchedQueue(queue="landing"),
        "facts": facts,
        "airflow": airflow,
        "findings": alarms(facts, airflow, NOW),
        "last": None,
    }
    return QueueReading(**standard | members)


def facts(**members: Any) -> QueueFacts:
    standard: dict[str, Any] = {"name": "landing", "attributes": attributes(), "oldest_seconds": 10.0}
    return QueueFacts(**standard | {"dead_letters": 0} | members)


def attributes(**members: Any) -> QueueAttributes:
    standard: dict[str, Any] = {
        "arn": "arn:aws:sqs:eu-west-1:1:landing",
        "visibility_seconds": 30,
        "retention_seconds": 345_600,
        "dead_letter_arn": "arn:aws:sqs:eu-west-1:1:dead",
        "max_receive_count": 20,
        "waiting": 1_234,
    }
    return QueueAttributes(**standard | members)


def test_a_healthy_queue_says_so() -> None:
    dag = DagFacts(dag_id="d", states=["running"], tasks=[TaskFacts(task_id="dispatch", state="deferred")])
    view = queue_view(reading(facts(), AirflowFacts(dispatcher=dag)))
    assert (view.tone, view.word, view.dispatcher) == ("good", "healthy", "dispatch deferred")
    assert view.figures[0] == ("waiting", "1,234", "quiet")
    assert not view.can_look
    assert verdict([view]).tone == "good"


def test_a_queue_that_is_late_and_has_dead_letters_is_to_be_looked_at() -> None:
    view = queue_view(reading(facts(oldest_seconds=1_000.0, dead_letters=3)))
    assert view.tone == "warning"
    assert [figure[2] for figure in view.figures[2:]] == ["warning", "warning"]
    assert (view.can_look, view.can_redrive) == (True, True)
    assert verdict([view]).text == "2 things to look at"


def test_whoever_may_not_redrive_may_look() -> None:
    view = queue_view(reading(facts(dead_letters=3), no_redrive="no"))
    assert (view.can_look, view.can_redrive, view.no_redrive) == (True, False, "no")


def test_a_queue_that_cannot_be_read_has_no_figures() -> None:
    view = queue_view(reading(facts(attributes=None, error="no right", dead_letters=None)))
    assert (view.tone, view.figures, view.can_look, view.arn) == ("error", [], False, "landing")
    assert verdict([view, view]).text == "2 things do not work"


def test_dead_letters_that_cannot_be_read_are_not_looked_at() -> None:
    view = queue_view(reading(facts(dead_letters=None, dead_letters_error="no right")))
    assert (view.can_look, view.figures[3][1]) == (False, "not known")


def test_a_queue_without_a_dead_letter_queue_has_none() -> None:
    bare = facts(attributes=attributes(dead_letter_arn=None, max_receive_count=None), dead_letters=None)
    view = queue_view(reading(bare))
    assert view.figures[3][1] == "none"


def test_errors_come_before_warnings_in_the_verdict() -> None:
    paused = AirflowFacts(dispatcher=DagFacts(dag_id="d", is_paused=True))
    view = queue_view(reading(facts(dead_letters=1), paused))
    assert verdict([view]).text == "1 thing does not work, 1 thing to look at"


def test_nothing_found_is_well() -> None:
    assert verdict([]).text.startswith("All is well")


# One object


def test_what_is_known_of_an_object_is_in_rows_and_findings() -> None:
    findings = [
        {"weight": weight, "about": "queue", "text": "is\nmissing"} for weight in ("error", "warning", "note")
    ]
    found = Explanation(uri="s3://landing/in/a\n.csv", stored=(), entries=[entry()], findings=findings)
    view = found_view(found, NOW, 3, "not asked")
    assert view.uri == "s3://landing/in/a\\n.csv"
    assert [row.what for row in view.rows] == ["started"]
    assert [tone for tone, _ in view.findings] == ["error", "warning", "quiet"]
    assert view.findings[0][1] == "queue: is\\nmissing"


# Writes


def test_the_proof_is_of_one_session() -> None:
    assert is_from_page(csrf_token("mine"), "mine")
    assert not is_from_page(csrf_token("mine"), "theirs")
    assert not is_from_page("", "mine")
    assert not is_from_page("ü", "mine")


def test_without_a_session_there_is_no_proof() -> None:
    assert not is_from_page(csrf_token(""), "")


def test_the_proof_does_not_tell_the_session() -> None:
    assert "mine" not in csrf_token("mine")
