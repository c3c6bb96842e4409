"""The demo's table and figures tell the truth, above all when a promise was broken."""

from __future__ import annotations

import os
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.cli import main
from airflow_s3events.demo.command import _Speech
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


def test_a_key_that_could_break_the_line_or_steer_the_terminal_is_not_shown_as_it_is() -> None:
    upload = Upload(key="a\nb\x1b[31m\ud800.csv", version_id="v", at=_AT)
    text = Report.of([upload], [], {}, repeated=0, seconds_total=1.0).text()
    assert "a\ufffdb\ufffd[31m\ufffd.csv" in text.splitlines()[2]


@pytest.mark.parametrize("name", [b"not\xffutf-8", "/".join(["x" * 250] * 5).encode()])
def test_a_file_whose_path_is_no_key_is_refused_by_name(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"x{250}|udcff"):
        list(files_of(tmp_path, 1))


def test_a_file_that_cannot_be_read_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed.csv").touch()

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ConfigurationError, match=r"closed\.csv.*Permission denied"):
        list(files_of(tmp_path, 1))


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert main(["demo"]) == 2
    assert f"TMPDIR: {tmp_path}/missing" in capsys.readouterr().out


def test_a_terminal_of_few_letters_costs_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    written = BytesIO()
    monkeypatch.setattr("sys.stdout", TextIOWrapper(written, encoding="ascii"))
    _Speech(0.0, to_stderr=False).plain("日本…")
    assert written.getvalue() == b"???\n"
