"""Signs: what is wrong is written when it begins, renewed while it lasts, and taken back when it ends."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext

import pytest

from airflow_s3events.exceptions import (
    AwsOutageError,
    ConfigurationError,
    LedgerOutageError,
    OutageError,
    SkewedClockError,
    ThrottledError,
)
from airflow_s3events.metrics import Meter
from airflow_s3events.sign_post import LOOK_SECONDS, SignPost
from airflow_s3events.signs import RENEW_SECONDS, SIGNS_KEY, Sign, Signs, sign_of
from airflow_s3events.testing import run_in_virtual_time

NOW = 1_800_000_000.0
LEDGER = LedgerOutageError("the ledger's database: connection refused")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ThrottledError("receive: RequestThrottled: slower"), "throttled"),
        (SkewedClockError("head: RequestTimeTooSkewed: too large"), "clock_wrong"),
        (ConfigurationError("receive: Signature expired: 20260101T000000Z is now earlier"), "clock_wrong"),
        (LEDGER, "ledger_away"),
        (LedgerOutageError("the ledger's database: database or disk is full"), "disk_full"),
        (LedgerOutageError('could not extend file "base/5/1": No space left on device'), "disk_full"),
        (AwsOutageError("receive: ConnectTimeoutError"), "aws_away"),
        (OutageError("Airflow's API server answered 503"), "airflow_away"),
    ],
)
def test_an_error_is_a_sign_of_what_is_away(error: Exception, code: str) -> None:
    assert sign_of(error) == code


def test_a_refusal_is_what_the_caller_says() -> None:
    assert sign_of(ConfigurationError("denied"), "refused") == "refused"


def codes(signs: list[Sign]) -> list[tuple[str, bool]]:
    return [(sign.code, bool(sign.at)) for sign in signs]


def test_nothing_is_written_while_nothing_is_wrong() -> None:
    assert Signs().due([], NOW) == []


def test_an_outage_is_written_once_renewed_each_minute_and_taken_back() -> None:
    signs = Signs()
    assert codes(signs.due([LEDGER], NOW)) == [("ledger_away", True)]
    assert signs.due([LEDGER], NOW + RENEW_SECONDS - 1) == []
    assert codes(signs.due([LEDGER], NOW + RENEW_SECONDS)) == [("ledger_away", True)]
    assert codes(signs.due([], NOW + RENEW_SECONDS + 1)) == [("ledger_away", False)]
    assert signs.due([], NOW + RENEW_SECONDS + 2) == []


def test_what_happened_once_is_written_once_until_it_happens_again() -> None:
    signs = Signs()
    signs.note({"clock_wrong": "an event came 5 s before its own time"}, NOW)
    assert codes(signs.due([], NOW)) == [("clock_wrong", True)]
    assert signs.due([], NOW + 300) == []
    signs.note({"clock_wrong": "another one"}, NOW + 301)
    assert codes(signs.due([], NOW + 301)) == [("clock_wrong", True)]


@pytest.mark.parametrize(
    ("code", "seconds"), [("ledger_away", 300), ("clock_wrong", 900), ("anomaly", 3_600)]
)
def test_an_old_sign_is_told_no_more(code: str, seconds: int) -> None:
    assert Sign(code, "seen", NOW).is_told(NOW + seconds)
    assert not Sign(code, "seen", NOW).is_told(NOW + seconds + 1)


def test_a_sign_survives_being_quoted_twice() -> None:
    sign = Sign("ledger_away", "the ledger's database: é" + "x" * 500, NOW)
    text = json.dumps(sign.serialize())
    read = Sign.deserialize(f"{SIGNS_KEY}ledger_away", text)
    assert read == Sign("ledger_away", sign.reason[:300], NOW)


@pytest.mark.parametrize(
    ("key", "data"),
    [
        (f"{SIGNS_KEY}ledger_away", Sign("ledger_away", "", 0.0).serialize()),
        ("return_value", Sign("ledger_away", "seen", NOW).serialize()),
        (f"{SIGNS_KEY}ledger_away", "no JSON"),
        (f"{SIGNS_KEY}ledger_away", None),
        (f"{SIGNS_KEY}ledger_away", {"reason": "seen"}),
        (f"{SIGNS_KEY}ledger_away", {"reason": "seen", "at": "yesterday"}),
    ],
)
def test_what_was_taken_back_or_is_none_is_no_sign(key: str, data: object) -> None:
    assert Sign.deserialize(key, data) is None


# The post


def posted(error: Exception | None = None, remark: str = "", away: bool = False) -> list[Sign]:
    written: list[Sign] = []

    async def write(sign: Sign) -> None:
        written.append(sign)

    async def work() -> None:
        meter = Meter("landing")
        async with SignPost(meter, write, away=lambda: [LEDGER] if away else []):
            if remark:
                meter.remark(remark, "seen")
            await asyncio.sleep(LOOK_SECONDS + 1)
            if error is not None:
                raise error

    with nullcontext() if error is None else pytest.raises(type(error)):
        run_in_virtual_time(work())
    return written


def test_signs_are_written_while_work_goes_on() -> None:
    assert [sign.code for sign in posted(remark="anomaly")] == ["anomaly"]
    assert [sign.code for sign in posted(away=True)] == ["ledger_away"]


def test_what_ends_the_work_is_written_before_it_ends() -> None:
    assert [(sign.code, sign.reason) for sign in posted(ConfigurationError("denied"))] == [
        ("refused", "denied")
    ]
    assert [sign.code for sign in posted(ThrottledError("slower"))] == ["throttled"]


def test_an_airflow_that_takes_no_sign_stops_no_work() -> None:
    async def write(_: Sign) -> None:
        raise OSError("gone")

    async def work() -> str:
        meter = Meter("landing")
        async with SignPost(meter, write):
            meter.remark("anomaly", "seen")
        return "done"

    assert run_in_virtual_time(work()) == "done"


def test_an_outage_that_was_met_is_a_sign_until_all_is_well() -> None:
    written: list[tuple[str, bool]] = []

    async def write(sign: Sign) -> None:
        written.append((sign.code, bool(sign.at)))

    async def work() -> None:
        async with SignPost(Meter("landing"), write) as signs:
            await signs.met(ThrottledError("slower"))
            signs.is_well()
            await signs.look()

    run_in_virtual_time(work())
    assert written == [("throttled", True), ("throttled", False)]
