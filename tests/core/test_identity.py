from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.envelopes import parse_body
from airflow_s3events.events import ObjectEvent
from airflow_s3events.exceptions import BodyError
from airflow_s3events.identity import KNOWN_REQUEST_IDS, KNOWN_SEQUENCERS, MAX_ATTEMPT, event_id, run_id
from tests.strategies import events, keys, make_event, texts

PAYLOADS = Path(__file__).parents[1] / "payloads"
_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


def _parse(name: str, message_id: str, change: Callable[[str], str] = str) -> ObjectEvent:
    (event,) = parse_body(change((PAYLOADS / f"{name}.json").read_text()), message_id=message_id).events
    return event


@given(keys, st.booleans(), st.integers(0, MAX_ATTEMPT))
def test_a_run_id_is_fit_for_airflow(key: str, readable: bool, attempt: int) -> None:
    name = run_id(make_event(key=key), readable=readable, attempt=attempt)
    assert _FORM.fullmatch(name)
    assert ".." not in name
    assert not name.endswith(".")
    assert not name.lower().startswith(
        ("manual", "scheduled", "backfill", "dataset", "asset", "operator", "external")
    )


@given(events)
def test_any_event_has_a_name(event: ObjectEvent) -> None:
    assert run_id(event).endswith(event_id(event))
    assert re.fullmatch("[0-9a-f]{40}", event_id(event))


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("in/2026/report.csv", "in-2026-report.csv"),
        ("../../etc/passwd", "etc-passwd"),
        ("a...b", "a.b"),
        ("a/../b", "a-.-b"),
        ("manual__2026", "manual__2026"),
        ("x" * 300 + "/end.csv", "x" * 92 + "-end.csv"),
    ],
)
def test_a_run_id_tells_the_end_of_the_key(key: str, part: str) -> None:
    event = make_event(key=key)
    assert run_id(event) == f"s3_{part}_{event_id(event)}"


@pytest.mark.parametrize("key", ["/", "...", "üüü", "\x00", "-._"])
def test_a_key_of_which_nothing_can_be_read_leaves_the_hash(key: str) -> None:
    assert run_id(make_event(key=key)) == f"s3_{event_id(make_event(key=key))}"


def test_an_opaque_run_id_says_nothing_of_the_key() -> None:
    assert run_id(make_event(), readable=False) == f"s3_{event_id(make_event())}"


def test_an_attempt_is_another_run_of_the_same_event() -> None:
    assert run_id(make_event(), attempt=2) == f"{run_id(make_event())}_a2"


@pytest.mark.parametrize("attempt", [-1, MAX_ATTEMPT + 1])
def test_an_attempt_beyond_reason_is_refused(attempt: int) -> None:
    with pytest.raises(BodyError, match="attempt"):
        run_id(make_event(), attempt=attempt)


_parts = st.tuples(texts, keys, st.none() | texts.filter(lambda text: text not in ("", "null")), texts)


@given(_parts, _parts)
def test_other_bucket_key_version_or_type_is_another_event(one: Any, other: Any) -> None:
    ids = [
        event_id(make_event(bucket=bucket, key=key, version_id=version, event_type=f"ObjectCreated:{kind}"))
        for bucket, key, version, kind in (one, other)
    ]
    assert (ids[0] == ids[1]) is (one == other)


_sequencers = st.integers(1, 16**18 - 1).map(lambda number: f"{number:018X}")


@given(_sequencers, _sequencers)
def test_another_sequencer_is_another_event(one: str, other: str) -> None:
    same = event_id(make_event(sequencer=one)) == event_id(make_event(sequencer=other))
    assert same is (one == other)


@given(texts, texts)
def test_another_request_is_another_event_where_there_is_no_sequencer(one: str, other: str) -> None:
    first, second = (event_id(make_event(sequencer=None, request_id=f"r{each}")) for each in (one, other))
    assert (first == second) is (one == other)


def test_parts_do_not_run_into_each_other() -> None:
    assert event_id(make_event(bucket="a", key="bc")) != event_id(make_event(bucket="ab", key="c"))


def test_a_copy_that_comes_another_way_is_the_same_event() -> None:
    """S3's redelivery, a redrive and SNS change the message, its envelope and the configuration, no more."""
    copy = make_event(delivery_id="other#3", envelope="sns-wrapped>s3-records", configuration_id="other")
    assert event_id(copy) == event_id(make_event())


@pytest.mark.parametrize(
    ("direct", "through_eventbridge"),
    [("put", "eventbridge-created"), ("delete-marker", "eventbridge-delete-marker")],
)
def test_an_upload_is_one_event_by_s3_and_by_eventbridge(direct: str, through_eventbridge: str) -> None:
    assert event_id(_parse(direct, "m1")) == event_id(_parse(through_eventbridge, "m2"))


def test_a_sequencer_is_compared_without_case() -> None:
    lower = make_event(sequencer="0068e1a2b3c4d5e6f7")
    assert event_id(lower) == event_id(make_event())


@pytest.mark.parametrize("version", ["null", ""])
def test_the_null_version_is_no_version(version: str) -> None:
    assert event_id(make_event(version_id=version)) == event_id(make_event())


_UNTRUSTED = [
    *(None, "0", "0" * 18, "ABC", "Happy Sequencer No", "0055AED6DCD9028SEQ", *KNOWN_SEQUENCERS),
    # AWS's EventBridge sample, which moto sends; Ceph's, whose bytes are the wrong way round.
    *("617F08299329D189", "F7E6D75D20236F07"),
]


@pytest.mark.parametrize("sequencer", _UNTRUSTED)
def test_two_uploads_with_a_sequencer_that_cannot_be_trusted_are_two_events(sequencer: str | None) -> None:
    first = make_event(sequencer=sequencer, request_id="7TRQ0M4Z8XK2VBN1")
    second = make_event(sequencer=sequencer, request_id="7TRQ0M4Z8XK2VBN2")
    assert event_id(first) != event_id(second)


@pytest.mark.parametrize("sequencer", _UNTRUSTED)
def test_a_copy_with_a_sequencer_that_cannot_be_trusted_is_the_same_event(sequencer: str | None) -> None:
    first = make_event(sequencer=sequencer, delivery_id="m1#0")
    assert event_id(first) == event_id(make_event(sequencer=sequencer, delivery_id="m2#0"))


def test_known_sequencers_are_written_as_they_are_compared() -> None:
    assert [sequencer.upper() for sequencer in KNOWN_SEQUENCERS] == list(KNOWN_SEQUENCERS)


def test_an_emulator_that_repeats_request_ids_is_told_apart_by_time_and_etag() -> None:
    event = make_event(sequencer=None, request_id="repeated")
    assert event.event_time is not None
    later = make_event(
        sequencer=None, request_id="repeated", event_time=event.event_time + timedelta(milliseconds=1)
    )
    changed = make_event(sequencer=None, request_id="repeated", etag="other")
    assert len({event_id(event), event_id(later), event_id(changed)}) == 3


@pytest.mark.parametrize("request_id", [None, "", *KNOWN_REQUEST_IDS])
def test_without_sequencer_and_request_id_each_delivery_is_an_event(request_id: str | None) -> None:
    def event(delivery_id: str) -> ObjectEvent:
        return make_event(sequencer="0055AED6DCD90281E5", request_id=request_id, delivery_id=delivery_id)

    assert event_id(event("m1#0")) == event_id(event("m1#0"))
    assert len({event_id(event(each)) for each in ("m1#0", "m1#1", "m2#0")}) == 3


def test_an_event_made_by_hand_is_named_by_its_content() -> None:
    def event(**members: Any) -> ObjectEvent:
        return make_event(**{"sequencer": None, "request_id": None, "delivery_id": None} | members)

    others = [event(etag="other"), event(size=1), event(event_time=None), event(sequencer="ABC")]
    assert event_id(event()) == event_id(event())
    assert len({event_id(each) for each in (event(), *others)}) == 5


@pytest.mark.parametrize(
    "event_type", ["ObjectRestore:Completed", "ObjectRestore:Post", "LifecycleTransition"]
)
def test_two_events_about_one_write_are_two_events(event_type: str) -> None:
    """They carry the sequencer of the write, so an object restored twice would share it."""
    first = make_event(event_type=event_type, request_id="r1")
    assert event_id(first) != event_id(make_event(event_type=event_type, request_id="r2"))


def test_replication_to_two_buckets_is_two_events() -> None:
    def event(destination: str) -> ObjectEvent:
        block = {"destinationBucket": destination, "replicationRuleId": "all"}
        return make_event(
            event_type="Replication:OperationMissedThreshold", extra={"replication_event_data": block}
        )

    assert event_id(event("a")) == event_id(event("a"))
    assert event_id(event("a")) != event_id(event("b"))


def test_the_clock_of_a_compatible_store_does_not_make_two_uploads_one() -> None:
    """NooBaa's sequencer is a time in milliseconds."""
    members = {"envelope": "s3-compatible-raw", "sequencer": "0000000192A3B4C5D6"}
    assert event_id(make_event(**members, request_id="r1")) != event_id(
        make_event(**members, request_id="r2")
    )


def test_an_upload_of_the_same_key_is_another_event() -> None:
    again = _parse("put", "m1", lambda text: text.replace("0068E1A2B3C4D5E6F7", "0068E1A2B3C4D5E6F8"))
    assert event_id(again) != event_id(_parse("put", "m1"))


def test_a_thousand_events_of_one_moment_are_a_thousand_runs() -> None:
    text = (PAYLOADS / "put.json").read_text()
    body = json.loads(text)
    (record,) = body["Records"]
    names = set()
    for number in range(1000):
        record["s3"]["object"]["sequencer"] = f"0068E1A2B3{number:08X}"
        names.add(run_id(parse_body(json.dumps(body)).events[0]))
    assert len(names) == 1000


def test_the_page_names_every_constant_that_is_not_trusted() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "identity.md").read_text()
    told = [f"| `{name}` | {where} |" for name, where in {**KNOWN_SEQUENCERS, **KNOWN_REQUEST_IDS}.items()]
    assert [line for line in told if line not in page] == []
