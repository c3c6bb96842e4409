"""What a ledger decides, step by step: pure functions, so every row and law of them is tried here."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.events import ObjectEvent
from airflow_s3events.identity import event_id
from airflow_s3events.ledger.entries import (
    NOTIFICATION,
    RECONCILE,
    Decision,
    advanced,
    claimed,
    is_older,
    read_entry,
    read_write,
    recorded,
    settled,
    write_name,
)
from airflow_s3events.ordering import Place
from tests.strategies import make_event

NOON = datetime(2026, 10, 5, 12, tzinfo=timezone.utc)
TOLERANCE = 300.0


def notice(number: int = 1, *, after: float = 0.0, **members: Any) -> ObjectEvent:
    """What S3 sent, so many seconds after noon."""
    sequencer = f"0068E1A2B3C4D5E6{number:02X}"
    return make_event(**{"sequencer": sequencer, "event_time": NOON + timedelta(seconds=after)} | members)


def listed(*, after: float = 0.0, **members: Any) -> ObjectEvent:
    """What a listing shows of the same write."""
    nothing = dict.fromkeys(("sequencer", "request_id", "delivery_id"))
    time = NOON + timedelta(seconds=after)
    return make_event(**{**nothing, "envelope": "s3-listing", "event_time": time} | members)


def claim_all(*claims: tuple[ObjectEvent, str]) -> list[str]:
    body, answers = None, []
    for event, origin in claims:
        body, answer = claimed(body, event, origin, TOLERANCE)
        answers.append(answer)
    return answers


class TestClaim:
    def test_the_first_names_the_write(self) -> None:
        assert claim_all((notice(), NOTIFICATION)) == [event_id(notice())]
        assert claim_all((listed(), RECONCILE)) == [event_id(listed())]

    def test_a_listing_after_the_notification_takes_its_name(self) -> None:
        answers = claim_all((notice(), NOTIFICATION), (listed(after=-2), RECONCILE))
        assert answers == [event_id(notice())] * 2

    def test_a_late_notification_takes_the_name_that_the_listing_gave(self) -> None:
        answers = claim_all((listed(), RECONCILE), (notice(after=2), NOTIFICATION))
        assert answers == [event_id(listed())] * 2

    def test_its_copies_keep_that_name(self) -> None:
        copies = [(notice(after=2, delivery_id=f"m{n}#0"), NOTIFICATION) for n in range(3)]
        assert set(claim_all((listed(), RECONCILE), *copies)) == {event_id(listed())}

    def test_two_notifications_of_one_content_are_two_writes_however_close(self) -> None:
        answers = claim_all((notice(1), NOTIFICATION), (notice(2, after=1), NOTIFICATION))
        assert answers == [event_id(notice(1)), event_id(notice(2, after=1))]

    def test_a_listing_stands_for_one_late_notification_not_for_two(self) -> None:
        answers = claim_all((listed(), RECONCILE), (notice(1), NOTIFICATION), (notice(2), NOTIFICATION))
        assert answers == [event_id(listed()), event_id(listed()), event_id(notice(2))]

    def test_a_listing_of_a_later_write_of_the_same_content_is_another_write(self) -> None:
        later = listed(after=TOLERANCE + 1)
        assert claim_all((notice(), NOTIFICATION), (later, RECONCILE))[1] == event_id(later)

    def test_a_notification_of_a_later_write_of_the_same_content_is_another_write(self) -> None:
        later = notice(after=TOLERANCE + 1)
        assert claim_all((listed(), RECONCILE), (later, NOTIFICATION))[1] == event_id(later)

    def test_an_old_notification_does_not_take_the_name_of_a_later_write(self) -> None:
        answers = claim_all((listed(after=TOLERANCE + 1), RECONCILE), (notice(), NOTIFICATION))
        assert answers[1] == event_id(notice())

    def test_a_multipart_upload_is_listed_with_the_time_at_which_it_began(self) -> None:
        etag: dict[str, Any] = {"etag": "9b2cf535f27731c974343645a3985328-12"}
        hours = 6 * 3600.0
        end = notice(after=hours, **etag)
        assert len(set(claim_all((end, NOTIFICATION), (listed(**etag), RECONCILE)))) == 1
        assert len(set(claim_all((listed(**etag), RECONCILE), (end, NOTIFICATION)))) == 1

    def test_a_version_is_one_write_whoever_speaks_of_it_and_whenever(self) -> None:
        events = [notice(version_id="v"), listed(version_id="v", after=9999), notice(2, version_id="v")]
        for order in itertools.permutations(events):
            claims = [(event, RECONCILE if event.sequencer is None else NOTIFICATION) for event in order]
            assert set(claim_all(*claims)) == {event_id(order[0])}

    @pytest.mark.parametrize("order", [0, 1])
    def test_a_store_that_gives_no_time_is_compared_by_content(self, order: int) -> None:
        claims = [(notice(event_time=None), NOTIFICATION), (listed(event_time=None), RECONCILE)]
        assert len(set(claim_all(*claims[order:], *claims[:order]))) == 1

    def test_an_older_notification_leaves_the_write_to_the_later_one(self) -> None:
        body, _ = claimed(None, notice(2, after=10), NOTIFICATION, TOLERANCE)
        assert claimed(body, notice(1), NOTIFICATION, TOLERANCE) == (body, event_id(notice(1)))

    _claims = st.lists(
        st.builds(lambda n, after: notice(n, after=after), st.integers(1, 4), st.integers(-900, 900))
        | st.builds(lambda after: listed(after=after), st.integers(-900, 900)),
        max_size=6,
    )

    @given(_claims)
    def test_two_notifications_never_share_a_name_but_one_of_a_listing(
        self, events: list[ObjectEvent]
    ) -> None:
        claims = [(event, RECONCILE if event.sequencer is None else NOTIFICATION) for event in events]
        listings = {event_id(event) for event, origin in claims if origin == RECONCILE}
        takers: dict[str, set[str]] = {}
        for (event, origin), name in zip(claims, claim_all(*claims), strict=True):
            if origin == NOTIFICATION:
                takers.setdefault(name, set()).add(event_id(event))
        for name, taken in takers.items():
            assert len(taken) == 1
            assert name in listings or taken == {name}

    @given(_claims)
    def test_asking_again_at_once_gives_the_same_answer(self, events: list[ObjectEvent]) -> None:
        body = None
        for event in events:
            origin = RECONCILE if event.sequencer is None else NOTIFICATION
            body, answer = claimed(body, event, origin, TOLERANCE)
            assert claimed(body, event, origin, TOLERANCE)[1] == answer


class TestListedAndKnown:
    def test_the_write_of_a_listed_object_is_known_within_the_tolerance(self) -> None:
        body, _ = claimed(None, notice(), NOTIFICATION, TOLERANCE)
        assert is_older(listed(after=TOLERANCE), body, TOLERANCE)
        assert not is_older(listed(after=TOLERANCE + 1), body, TOLERANCE)

    def test_a_version_is_known_whatever_the_time(self) -> None:
        body, _ = claimed(None, notice(version_id="v"), NOTIFICATION, TOLERANCE)
        assert is_older(listed(version_id="v", after=10**6), body, TOLERANCE)

    def test_a_delete_writes_nothing(self) -> None:
        assert write_name(notice(event_type="ObjectRemoved:Delete")) is None

    def test_a_listing_and_a_notification_name_one_write_alike(self) -> None:
        assert write_name(listed()) == write_name(notice())
        assert write_name(listed(version_id="null")) == write_name(notice())
        assert write_name(listed(size=0)) == write_name(notice(size=None))

    @pytest.mark.parametrize("members", [{"etag": "x"}, {"size": 1}, {"key": "x"}, {"bucket": "x"}], ids=str)
    def test_other_content_is_another_write(self, members: dict[str, Any]) -> None:
        assert write_name(listed(**members)) != write_name(notice())


WHATS = (
    "put_off",
    "not_stored",
    "ignored",
    "dropped",
    "unmatched",
    "stale",
    "gave_up",
    "duplicate",
    "started",
    "restarted",
)


def decision(what: str = "started", **members: Any) -> Decision:
    standard: dict[str, Any] = {
        "event": notice(),
        "what": what,
        "dag_id": "d",
        "run_id": "r",
        "message_id": "m",
    }
    return Decision(**standard | members)


class TestRecord:
    def test_the_first_time_says_when_and_by_which_message(self) -> None:
        entry = read_entry(recorded(None, decision(message_id="m1"), NOON.timestamp() + 12.5))
        assert (entry.seen, entry.first_message, entry.late_seconds) == (1, "m1", 12.5)
        assert entry.event["key"] == "in/a.csv"
        assert entry.has_run

    def test_of_persons_the_principal_alone_is_kept(self) -> None:
        event = notice(principal_id="AWS:AIDA", source_ip="192.0.2.7", extra={"a": "secret"})
        body = recorded(None, decision(event=event), 0.0)
        assert body["event"]["principal_id"] == "AWS:AIDA"
        assert not {"192.0.2.7", "secret"} & set(str(body).split("'"))

    def test_a_duplicate_counts_and_leaves_the_start_as_it_was(self) -> None:
        started = recorded(None, decision(message_id="m1"), 10.0)
        entry = read_entry(recorded(started, decision("duplicate", message_id="m2"), 20.0))
        assert (entry.what, entry.seen, entry.decided_at) == ("started", 2, 10.0)
        assert (entry.first_message, entry.last_message, entry.last_seen) == ("m1", "m2", 20.0)

    def test_what_was_put_off_is_decided_in_the_end(self) -> None:
        entry = read_entry(recorded(recorded(None, decision("put_off", run_id=None), 10.0), decision(), 20.0))
        assert (entry.what, entry.run_id, entry.first_seen, entry.decided_at) == ("started", "r", 10.0, 20.0)

    def test_an_event_without_a_time_has_no_lateness(self) -> None:
        assert read_entry(recorded(None, decision(event=notice(event_time=None)), 1.0)).late_seconds is None

    @given(st.permutations(WHATS))
    def test_the_weightiest_decision_stays_in_whatever_order_they_come(self, whats: list[str]) -> None:
        body = None
        for now, what in enumerate(whats):
            body = recorded(body, decision(what), float(now))
        assert body is not None
        entry = read_entry(body)
        assert (entry.what, entry.seen, entry.first_seen) == ("restarted", len(WHATS), 0.0)


class TestSettled:
    def test_a_write_is_decided_once_its_event_is(self) -> None:
        body, _ = claimed(None, notice(), NOTIFICATION, TOLERANCE)
        assert not read_write(body).is_decided
        assert read_write(settled(body, decision()) or {}).is_decided
        assert not read_write(settled(body, decision("put_off")) or {}).is_decided

    def test_a_notification_decides_the_write_that_a_listing_named(self) -> None:
        body, name = claimed(None, listed(), RECONCILE, TOLERANCE)
        assert read_write(settled(body, decision(same_as=name)) or {}).is_decided

    def test_another_event_decides_nothing(self) -> None:
        body, _ = claimed(None, notice(2), NOTIFICATION, TOLERANCE)
        assert settled(body, decision()) == body
        assert settled(None, decision()) is None

    def test_what_is_decided_stays_decided(self) -> None:
        body, _ = claimed(None, notice(), NOTIFICATION, TOLERANCE)
        started = settled(body, decision())
        assert settled(started, decision("put_off")) == started

    def test_each_dag_has_a_fate_of_its_own(self) -> None:
        body, _ = claimed(None, notice(), NOTIFICATION, TOLERANCE)
        body = settled(body, decision()) or {}
        body = settled(body, decision("put_off", dag_id="other", origin="reconcile/n/1")) or {}
        write = read_write(body)
        assert write.fates == {"d": ("started", NOTIFICATION), "other": ("put_off", "reconcile/n/1")}
        assert (write.is_settled("d"), write.is_settled("other"), write.is_settled("third")) == (
            True,
            False,
            False,
        )
        assert not write.is_decided
        assert read_write(settled(body, decision(dag_id="other")) or {}).is_decided

    def test_the_weightier_fate_of_a_dag_stays(self) -> None:
        body, _ = claimed(None, notice(), NOTIFICATION, TOLERANCE)
        for what in ("duplicate", "started", "put_off", "duplicate"):
            body = settled(body, decision(what)) or {}
        assert read_write(body).fates == {"d": ("started", NOTIFICATION)}

    def test_what_starts_nothing_is_decided_whatever_waited(self) -> None:
        body, _ = claimed(None, notice(), NOTIFICATION, TOLERANCE)
        body = settled(settled(body, decision("put_off")), decision("dropped", dag_id="")) or {}
        assert read_write(body).is_decided

    def test_a_later_write_of_the_same_content_has_no_fate_yet(self) -> None:
        body, _ = claimed(None, notice(), NOTIFICATION, TOLERANCE)
        body, _ = claimed(settled(body, decision()), notice(2, after=600), NOTIFICATION, TOLERANCE)
        assert read_write(body).fates == {}

    def test_what_an_earlier_version_noted_is_decided_for_all_dags_at_once(self) -> None:
        body, _ = claimed(None, notice(), NOTIFICATION, TOLERANCE)
        del body["fates"]
        assert not read_write(body).is_settled("d")
        write = read_write(settled(body, decision()) or {})
        assert (write.fates, write.is_settled("d"), write.is_settled("other")) == (None, True, True)


class TestMark:
    @given(st.lists(st.integers(0, 9), min_size=1))
    def test_ends_at_the_newest_and_at_the_first_of_those(self, positions: list[int]) -> None:
        body, answer = None, ""
        for seat, position in enumerate(positions):
            body, answer = advanced(body, Place("lane", f"{position:02}"), str(seat))
        assert answer == str(positions.index(max(positions)))
