from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_s3events import __version__
from airflow_s3events.cli import main
from airflow_s3events.commands import COMMANDS

PAYLOADS = Path(__file__).parents[1] / "payloads"
_COMMAND = [sys.executable, "-m", "airflow_s3events"]
_MEMBERS = {
    *("schema", "envelope", "event_name", "bucket", "key", "version_id", "sequencer", "size", "etag"),
    *("event_time", "region", "event_id", "run_id"),
}


def _decode(
    *arguments: str,
    stdin: int | IO[bytes] | None = None,
    body: bytes | None = None,
    stdout: int | IO[bytes] = subprocess.PIPE,
    env: dict[str, str] | None = None,
) -> tuple[int, str, str]:
    result = subprocess.run(
        [*_COMMAND, "decode", *arguments],
        stdin=stdin,
        input=body,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=os.environ | (env or {}),
        check=False,
        timeout=60,
    )
    return result.returncode, (result.stdout or b"").decode(), result.stderr.decode()


def _payload(name: str) -> str:
    return str(PAYLOADS / f"{name}.json")


def test_an_event_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", _payload("put-odd-key")]) == 0
    out, err = capsys.readouterr()
    event = json.loads(out)
    assert set(event) >= _MEMBERS
    assert (event["key"], event["schema"], err) == ("in/red flower+(100%) ü 🌷.jpg", 1, "")
    assert event["run_id"].endswith(event["event_id"])
    assert out.count("\n") == 1
    assert out.isascii()


@pytest.mark.parametrize("name", ["test-event", "sns-test-event", "empty"])
def test_a_body_without_events_prints_no_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", _payload(name)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("s3events decode: ")


@pytest.mark.parametrize("name", ["foreign-cloudtrail", "foreign-sns-confirmation", "other-major"])
def test_a_body_that_is_no_s3_event_ends_with_2(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", _payload(name)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"s3events decode: [^\n]+\n", err)


def test_bad_records_beside_good_ones_are_named_and_end_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", _payload("three-records-second-bad")]) == 3
    out, err = capsys.readouterr()
    assert [json.loads(line)["key"] for line in out.splitlines()] == ["in/1.csv", "in/3.csv"]
    assert err == "s3events decode: record 1: no s3.object.key\n"


def test_a_message_id_names_the_delivery(capsys: pytest.CaptureFixture[str]) -> None:
    main(["decode", "--message-id", "m1", _payload("put")])
    assert json.loads(capsys.readouterr().out)["delivery_id"] == "m1#0"


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_the_body_may_come_from_stdin(arguments: tuple[str, ...]) -> None:
    status, out, err = _decode(*arguments, body=Path(_payload("put")).read_bytes())
    assert (status, json.loads(out)["key"], err) == (0, "in/2026/report.csv", "")


@pytest.mark.parametrize(
    ("file", "reason"),
    [("/", "/: Is a directory"), ("no such file", "no such file: No such file"), ("a\0b", "null byte")],
)
def test_a_file_that_cannot_be_read_ends_with_2(
    file: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decode", file]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x7fELF\x02\x01\x00",
        b'{"Records": "\xff"}',
        b'{"Records":[{"eventName":"\\ud800"}]}',
        b"[" * 99_999,
    ],
)
def test_bytes_that_are_no_body_end_with_2(
    body: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "body").write_bytes(body)
    assert main(["decode", str(tmp_path / "body")]) == 2
    assert capsys.readouterr().err.startswith("s3events decode: ")


def test_an_endless_file_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "/dev/zero"]) == 2
    assert "an SQS message has at most" in capsys.readouterr().err


@settings(max_examples=30)
@given(st.binary(max_size=60))
def test_no_bytes_bring_a_traceback(body: bytes) -> None:
    read, write = os.pipe()
    os.write(write, body)
    os.close(write)
    try:
        assert main(["decode", f"/dev/fd/{read}"]) == 2
    finally:
        os.close(read)


def test_output_that_takes_ascii_alone_is_enough() -> None:
    status, out, err = _decode(_payload("put-odd-key"), env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (status, err) == (0, "")
    assert json.loads(out)["key"].endswith("🌷.jpg")


def test_a_reason_beyond_ascii_is_enough_for_any_terminal(tmp_path: Path) -> None:
    (tmp_path / "body").write_text('{"ü\\n🌷": 1}', encoding="utf-8")
    status, _, err = _decode(str(tmp_path / "body"), env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (status, err.count("\n")) == (2, 1)


def test_a_reader_that_went_away_brings_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        status, _, err = _decode(_payload("put"), stdout=closed)
    assert (status, err) == (141, "")


def test_a_full_disk_is_named() -> None:
    with open("/dev/full", "wb") as full:
        status, _, err = _decode(_payload("put"), stdout=full)
    assert (status, err) == (1, "s3events: No space left on device\n")


@pytest.mark.parametrize(("redirect", "status"), [("<&-", 2), (">&- ", 1), ("2>&-", 2)])
def test_a_closed_stream_brings_no_traceback(redirect: str, status: int) -> None:
    file = "-" if redirect == "<&-" else _payload("foreign-cloudtrail")
    command = f'"$0" -m airflow_s3events decode "$1" {redirect}'
    result = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, file], stderr=subprocess.PIPE, check=False, timeout=60
    )
    assert (result.returncode, b"Traceback" in result.stderr) == (status, False)


def test_an_interrupt_ends_as_a_shell_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("airflow_s3events.commands.decode.run", interrupted)
    assert main(["decode"]) == 130


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"s3events {__version__}\n"


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(f"    {name} " in out or f"    {name}\n" in out for name in COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["decode", "--unknown"], ["decode", "a", "b"]])
def test_a_wrong_argument_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage: s3events" in capsys.readouterr().err


def test_decode_loads_neither_airflow_nor_aws() -> None:
    code = (
        "import sys; from airflow_s3events.cli import main; main(['decode', sys.argv[1]]);"
        "assert not {'airflow', 'boto3', 'botocore', 'aiobotocore', 'asyncio'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, _payload("put")], check=True, capture_output=True, timeout=60)
