"""The demo's table and figures tell the truth, above all when a promise was broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.demo.report import Report
from airflow_s3events.demo.samples import files_of, samples
from airflow_s3events.demo.upload import Upload
from airflow_s3events.exceptions import ConfigurationError

_AT = 1_800_000_000.0


def _upload(number: int) -> Upload:
    return Upload(key=f"key-{number}", version_id=f"v{number}", at=_AT)


def _run(number: int, *, run_id: str = "", state: str = "success") -> dict[str, Any]:
    return {
        "dag_run_id": run_id or f"run-{number}",
        "state": state,
        "queued_at": f"2027-01-15T08:00:0{number}.500000Z",
        "conf": {"s3_event": {"key": f"key-{number}", "version_id": f"v{number}"}},
    }


def _seen(number: int) -> dict[str, Any]:
    return {"key": f"key-{number}", "version_id": f"v{number}", "size": 1, "etag": "e"}


def _report(runs: list[dict[str, Any]], seen: dict[str, dict[str, Any]], objects: int = 2) -> Report:
    uploads = [_upload(number) for number in range(1, objects + 1)]
    return Report.of(uploads, runs, seen, repeated=1, seconds_total=30.04)


def test_one_good_run_for_each_object_is_good() -> None:
    report = _report([_run(1), _run(2)], {"run-1": _seen(1), "run-2": _seen(2)})
    assert report.is_good
    assert report.figures() == {
        "objects": 2,
        "runs_created": 2,
        "runs_succeeded": 2,
        "duplicates_refused": 1,
        "lost": 0,
        "seconds_to_run_p50": 2.0,
        "seconds_to_run_p95": 2.5,
        "seconds_total": 30.0,
    }


def test_an_object_without_a_run_is_lost() -> None:
    report = _report([_run(1)], {"run-1": _seen(1)})
    assert not report.is_good
    assert report.figures()["lost"] == 1
    assert "lost" in report.text().splitlines()[3]


def test_a_second_run_of_one_object_is_counted_against_the_refused_duplicates() -> None:
    runs = [_run(1), _run(1, run_id="second"), _run(2)]
    report = _report(runs, {"run-1": _seen(1), "run-2": _seen(2)})
    assert not report.is_good
    assert (report.figures()["runs_created"], report.figures()["duplicates_refused"]) == (3, 0)


def test_a_run_whose_task_saw_another_object_has_not_succeeded() -> None:
    report = _report([_run(1), _run(2)], {"run-1": _seen(2), "run-2": _seen(2)})
    assert not report.is_good
    assert report.figures()["runs_succeeded"] == 1


def test_a_failed_run_is_not_lost_but_not_good() -> None:
    report = _report([_run(1), _run(2, state="failed")], {"run-1": _seen(1)})
    assert not report.is_good
    assert (report.figures()["lost"], report.figures()["runs_succeeded"]) == (0, 1)


def test_with_no_run_at_all_there_are_figures_and_a_table() -> None:
    report = _report([], {})
    assert (report.figures()["seconds_to_run_p50"], report.figures()["lost"]) == (None, 2)
    assert "2 lost" in report.text()


def test_samples_are_as_many_as_asked_for_and_differ() -> None:
    objects = dict(samples(50))
    assert len(objects) == len(set(objects.values())) == 50


def test_files_are_named_by_their_path_below_the_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c d.txt").write_bytes(b"2")
    (tmp_path / "a.txt").write_bytes(b"1")
    assert list(files_of(tmp_path, 5)) == [("a.txt", b"1"), ("b/c d.txt", b"2")]
    assert len(list(files_of(tmp_path, 1))) == 1


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="it has no files"):
        list(files_of(tmp_path, 5))
