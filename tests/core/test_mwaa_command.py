"""``s3events mwaa-bundle``: a folder, written once, and never over what others wrote."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.cli import main

QUEUE = "arn:aws:sqs:eu-west-1:111122223333:landing-events"
METADATA = """Metadata-Version: 2.4
Name: airflow-provider-s3events
Version: 1.2.3
Requires-Python: >=3.10
Requires-Dist: apache-airflow>=2.10.1
"""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return wheel_at(tmp_path / "airflow_provider_s3events-1.2.3-py3-none-any.whl")


def wheel_at(path: Path, metadata: str = METADATA) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("airflow_provider_s3events-1.2.3.dist-info/METADATA", metadata)
    return path


def mwaa_bundle(folder: Path, *more: object, airflow: str = "2.10") -> int:
    options = ["--airflow", airflow, "--queue", QUEUE, "--dead-letter-queue", f"{QUEUE}-dlq"]
    return main(["mwaa-bundle", *options, "--out", str(folder / "bundle"), *map(str, more)])


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_file_that_is_written_is_named(
    tmp_path: Path, wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mwaa_bundle(tmp_path, "--wheel", wheel) == 0
    out, err = capsys.readouterr()
    assert {tuple(line.split()) for line in out.splitlines()} == {
        ("written", str(path)) for path in (tmp_path / "bundle").rglob("*") if path.is_file()
    }
    assert err == ""


def test_a_second_run_writes_nothing(tmp_path: Path, wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mwaa_bundle(tmp_path, "--wheel", wheel)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "bundle").rglob("*")}
    capsys.readouterr()
    assert mwaa_bundle(tmp_path, "--wheel", wheel, "--json") == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "bundle").rglob("*")} == before
    said = json.loads(capsys.readouterr().out)
    assert said["airflow"] == "2.10.3"
    assert {file["state"] for file in said["files"]} == {"unchanged"}


def test_a_file_that_differs_stops_all_before_anything_is_written(
    tmp_path: Path, wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "requirements.txt").write_text("pandas\n")
    assert mwaa_bundle(tmp_path, "--wheel", wheel) == 2
    assert files_of(tmp_path / "bundle") == {"requirements.txt": b"pandas\n"}
    assert "requirements.txt" in capsys.readouterr().err


def test_with_replace_a_file_that_differs_is_written(tmp_path: Path, wheel: Path) -> None:
    mwaa_bundle(tmp_path, "--wheel", wheel)
    expected = files_of(tmp_path / "bundle")
    (tmp_path / "bundle" / "requirements.txt").write_text("pandas\n")
    assert mwaa_bundle(tmp_path, "--wheel", wheel, "--replace") == 0
    assert files_of(tmp_path / "bundle") == expected


def test_without_a_wheel_the_version_that_runs_is_pinned(tmp_path: Path) -> None:
    from airflow_s3events import __version__

    assert mwaa_bundle(tmp_path, airflow="3.3") == 0
    assert f"\nairflow-provider-s3events=={__version__}\n".encode() in files_of(tmp_path)["requirements.txt"]


def test_no_dead_letter_queue_is_allowed_and_told(
    tmp_path: Path, wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--airflow", "3.3", "--queue", QUEUE, "--wheel", str(wheel), "--out", str(tmp_path / "bundle")]
    assert main(["mwaa-bundle", *options]) == 0
    assert "--dead-letter-queue" in capsys.readouterr().err


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *more: Any, airflow: str = "3.3") -> str:
    assert mwaa_bundle(folder, *more, airflow=airflow) == 2
    assert not (folder / "bundle").exists()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("s3events mwaa-bundle: ")
    return err


def test_an_image_that_is_too_old_for_the_wheel_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = wheel_at(
        tmp_path / "airflow_provider_s3events-1.2.3-py3-none-any.whl", METADATA.replace("2.10.1", "3.0")
    )
    assert "apache-airflow>=3.0" in refused(capsys, tmp_path, "--wheel", path, airflow="2.11")


@pytest.mark.parametrize(
    "name",
    [
        "airflow_provider_s3events-1.2.3.tar.gz",
        "airflow_provider_s3events-1.2.3-cp312-cp312-linux_x86_64.whl",
        "another-1.2.3-py3-none-any.whl",
    ],
)
def test_what_is_no_wheel_of_this_package_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert name in refused(capsys, tmp_path, "--wheel", wheel_at(tmp_path / name))


@pytest.mark.parametrize("content", [b"no archive", b"PK\x05\x06" + bytes(18)])
def test_a_wheel_without_the_inside_of_one_is_refused(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "airflow_provider_s3events-1.2.3-py3-none-any.whl"
    path.write_bytes(content)
    assert "build it again" in refused(capsys, tmp_path, "--wheel", path)


def test_a_wheel_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "airflow_provider_s3events-9-py3-none-any.whl"
    assert str(path) in refused(capsys, tmp_path, "--wheel", path)
