"""What S3, the ledger and Airflow say of one object, as lines and as plain data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_s3events.explanations import Explanation, RunNow, StoredNow
from airflow_s3events.ledger import Decision, Entry, Write
from airflow_s3events.ledger.entries import read_entry, recorded
from tests.core.test_ledger_entries import NOON, listed, notice

SETTLED = Write("id", "notification", is_decided=True)


def stored(write: Write | None = SETTLED, **members: Any) -> StoredNow:
    standard: dict[str, Any] = {"event": listed(key="a"), "is_latest": True, "is_delete_marker": False}
    return StoredNow(**standard | members, write=write)


def entry(what: str = "started", **members: Any) -> Entry:
    standard: dict[str, Any] = {"dag_id": "process", "run_id": "s3_a_1", "message_id": "m1"}
    decision = Decision(event=notice(key="a"), what=what, **standard | members)
    return read_entry(recorded(None, decision, NOON.timestamp() + 4))


def explained(*entries: Entry, versions: tuple[StoredNow, ...] = (stored(),), **members: Any) -> Explanation:
    return Explanation(uri="s3://b/a", stored=versions, entries=entries, **members)


def text(explanation: Explanation) -> str:
    return "\n".join(explanation.lines())


def test_decisions_of_one_event_stand_together() -> None:
    lines = text(explained(entry(), entry("put_off", dag_id="archive", run_id=None, reason="it is paused")))
    assert lines.count("event    ") == 1
    assert "4.0 s after it happened, by message m1; 1 in all" in lines
    assert "DAG archive: put_off" in lines
    assert "(it is paused)" in lines
    assert "run s3_a_1" in lines


def test_the_state_and_the_page_of_a_run_are_told_where_they_are_known() -> None:
    runs = {("process", "s3_a_1"): RunNow(state="failed", url="http://airflow/page")}
    one = explained(entry(), runs=runs)
    assert "run s3_a_1: failed\n    http://airflow/page" in text(one)
    (event,) = one.serialize()["events"]
    assert event["decisions"][0]["run_state"] == "failed"
    without_page = explained(entry(), runs={("process", "s3_a_1"): RunNow(state="none")})
    assert text(without_page).endswith("run s3_a_1: none")
    assert explained(entry()).serialize()["events"][0]["decisions"][0]["run_url"] is None


def test_a_reconciliation_is_named_as_what_brought_an_event() -> None:
    lines = text(explained(replace(entry(origin="reconcile", same_as="f" * 40), late_seconds=None)))
    assert "by a reconciliation" in lines
    assert f"event {'f' * 40}" in lines
    assert "after it happened" not in lines


def test_an_object_whose_event_was_seen_is_seen() -> None:
    assert explained(entry()).is_seen
    assert explained(entry(), versions=()).is_seen
    assert not explained(versions=()).is_seen
    assert not explained(entry(), versions=(stored(write=None),)).is_seen


def test_only_the_current_version_must_have_been_seen() -> None:
    old = stored(write=None, is_latest=False)
    assert explained(entry(), versions=(stored(), old)).is_seen
    marker = stored(write=None, is_delete_marker=True)
    assert explained(entry(), versions=(marker, old)).is_seen


def test_the_fate_of_each_version_is_told() -> None:
    waiting = Write("id", "notification", is_decided=False)
    bare = replace(listed(key="a"), version_id="v1", event_time=None, etag=None)
    lines = text(
        explained(
            versions=(
                stored(waiting),
                stored(None, event=bare, is_latest=False),
                stored(None, is_delete_marker=True),
            )
        )
    )
    assert "current, event seen, not settled yet" in lines
    assert "bytes, version v1, event never seen" in lines
    assert "delete marker, " in lines
    assert explained(versions=(stored(None, event=bare),)).serialize()["stored"][0]["written"] is None


def test_what_is_wrong_with_the_set_up_comes_last() -> None:
    finding = {"weight": "error", "about": "bucket b", "text": "it notifies of nothing"}
    one = explained(versions=(), findings=[finding])
    assert text(one).splitlines()[-1] == "set-up   error bucket b: it notifies of nothing"
    assert "in S3    nothing" in text(one)
    assert one.serialize()["findings"] == [finding]


def test_a_key_with_control_characters_is_shown_as_printable_ascii() -> None:
    one = replace(explained(), uri="s3://b/\x1b[31mü\n")
    assert next(one.lines()) == "s3://b/\\x1b[31m\\xfc\\n"
