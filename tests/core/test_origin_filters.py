"""Filters on who made the request and from where, and those that have a name."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events import filters as f
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.filters import EventFilter
from tests.core.filter_strategies import make_event


class TestPrincipal:
    @pytest.mark.parametrize(
        ("ids", "answer"),
        [
            (["AWS:AROAEXAMPLE:loader"], True),
            (["AWS:AROAEXAMPLE:*"], True),
            (["AWS:OTHER:*", "AWS:AROA*"], True),
            (["AWS:AROAEXAMPLE"], False),
            (["aws:aroaexample:loader"], False),
        ],
    )
    def test_it_is_the_whole_id_or_how_it_begins(self, ids: list[str], answer: bool) -> None:
        assert f.principal(*ids)(make_event(principal_id="AWS:AROAEXAMPLE:loader")) is answer

    def test_an_event_that_does_not_say_does_not_match(self) -> None:
        assert not f.principal("*")(make_event())
        assert (~f.principal("*"))(make_event())

    @pytest.mark.parametrize("envelope", ["eventbridge", "sns-wrapped>eventbridge"])
    def test_by_eventbridge_it_is_the_requester_and_by_s3_it_is_not(self, envelope: str) -> None:
        sent = {"principal_id": "123456789012"}
        assert f.requester("123456789012")(_of(envelope, **sent))
        assert not f.principal("123456789012")(_of(envelope, **sent))
        assert not f.requester("123456789012")(_of("s3-records", **sent))

    @pytest.mark.parametrize(
        ("value", "named"), [("arn:aws:iam::1:role/x", "ARN"), ("a*b", "not at its end"), ("", "empty")]
    )
    @pytest.mark.parametrize("make", [f.principal, f.requester])
    def test_what_would_never_match_is_refused(
        self, make: Callable[[str], EventFilter], value: str, named: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=named):
            make(value)


def _of(envelope: str, **members: Any) -> Any:
    from dataclasses import replace

    return replace(make_event(**members), envelope=envelope)


class TestSourceNetwork:
    @pytest.mark.parametrize(
        ("network", "address", "answer"),
        [
            ("10.0.0.0/8", "10.1.2.3", True),
            ("10.0.0.0/8", "11.1.2.3", False),
            ("192.0.2.7", "192.0.2.7", True),
            ("2001:db8::/32", "2001:db8::1", True),
            ("2001:db8::/32", "10.1.2.3", False),
            ("10.0.0.0/8", "::ffff:10.1.2.3", True),
            ("0.0.0.0/0", "s3.amazonaws.com", False),
            ("0.0.0.0/0", None, False),
        ],
    )
    def test_it_holds_the_addresses_of_its_network(
        self, network: str, address: str | None, answer: bool
    ) -> None:
        assert f.source_network(network)(make_event(source_ip=address)) is answer

    def test_two_spellings_of_a_network_are_one_filter(self) -> None:
        assert f.source_network("2001:DB8:0::/32") == f.source_network("2001:db8::/32")
        assert f.source_network("10.0.0.1").serialize() == {"source_network": "10.0.0.1/32"}

    @pytest.mark.parametrize("value", ["10.0.0.1/8", "office", "10.0.0.0/33", ""])
    def test_what_is_no_network_is_refused(self, value: str) -> None:
        with pytest.raises(ConfigurationError, match="source_network"):
            f.source_network(value)

    @given(st.ip_addresses().map(str))
    def test_every_address_is_in_its_own_network_and_in_that_of_all(self, address: str) -> None:
        event = make_event(source_ip=address)
        everywhere = f.source_network("0.0.0.0/0", "::/0")
        assert everywhere(event)


class TestNamed:
    @pytest.mark.parametrize(
        ("name", "event"),
        [
            ("copied", make_event(event_type="ObjectCreated:Copy")),
            ("multipart", make_event(event_type="ObjectCreated:CompleteMultipartUpload")),
            ("deleted_by_request", make_event(event_type="ObjectRemoved:DeleteMarkerCreated")),
            ("deleted_by_lifecycle", make_event(event_type="LifecycleExpiration:Delete")),
            ("restored", make_event(event_type="ObjectRestore:Completed")),
            ("folder_marker", make_event("landing/")),
            ("empty", make_event(size=0)),
        ],
    )
    def test_it_matches_its_own_and_not_an_ordinary_upload(self, name: str, event: Any) -> None:
        assert getattr(f, name)(event)
        assert not getattr(f, name)(make_event())

    def test_folder_markers_and_empty_objects_are_kept_unless_a_filter_says_otherwise(self) -> None:
        marker = make_event("landing/", size=0)
        assert f.everything(marker)
        assert f.prefix("landing/")(marker)
        assert not (f.prefix("landing/") & ~f.folder_marker)(marker)
        assert not (f.prefix("landing/") & ~f.empty)(marker)


class TestBoundedRegex:
    @pytest.mark.parametrize(
        "pattern",
        [
            r"\.csv",
            r"x+",
            r"\Ateam-\d\d/[a-z]+/part-\d+\.csv\Z",
            r"\A(\d+/)*[^/]+\.csv\Z",
            r"\A(?:/\d+)+\Z",
            r"\A.*/.*\.csv\Z",
            r"\.(csv|tsv)(\.gz)?\Z",
            r"a(\.\w+)?\Z",
            r"year=\d{4}/month=\d\d/.*\.parquet\Z",
            r"\A(?:[^/]+/)+part-\d+",
            r"(?i)\.CSV\Z",
            r"^(?P<day>[0-9-]+)/",
            r"(ab)*",
            r"(?:a|b)*",
            r"(?:ab|cde)+",
            r"\Ain/(?!tmp/)[^/]+\Z",
            r"[^é]+",
            r"[^ab]+/",
            r"(?:a(?!b))*",
            r"[^a]*?/",
            r"\A[\D]+[^日]\Z",
            r"(?:(?:ab){3}/){2,}",
        ],
    )
    def test_a_pattern_that_cannot_take_long_is_let_through(self, pattern: str) -> None:
        assert f.regex(pattern).serialize() == {"regex": pattern}

    @pytest.mark.parametrize(
        "pattern",
        [
            r"(a+)+$",
            r"(a*)*",
            r"(a|aa)+$",
            r"(?:ab|abc)*x",
            r"(?:[ab]c|bd)*x",
            r"(?:é|é日)*x",
            r".*a.*b",
            r"\A.*a.*b.*c",
            r"(\w+\s?)*$",
            r"([a-z]+)*\d",
            r"(.)\1",
            r"(\d*\d*/)*",
            r"(?=(a+)+$)",
            r"(x+x+)+y",
            r"((a|b+)c)*d",
            r"a{0,500}a{0,500}a{0,500}",
            r"(?:(?:a{1,3}){2})*b",
        ],
    )
    def test_a_pattern_that_could_take_long_is_refused_with_a_way_out(self, pattern: str) -> None:
        with pytest.raises(ConfigurationError, match="could take long") as caught:
            f.regex(pattern)
        assert "glob" in str(caught.value)

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="Python has atomic groups since 3.11")
    def test_an_atomic_group_is_looked_into(self) -> None:
        assert f.regex(r"(?>a+)b")(make_event("aab"))
        with pytest.raises(ConfigurationError, match="could take long"):
            f.regex(r"(?>(a+)+)b")

    @given(st.text("ab/.*+?()|[]\\Ad^", max_size=12), st.sampled_from(["a" * 1024, "ab" * 512, "a/" * 512]))
    def test_whatever_is_let_through_ends(self, pattern: str, key: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of Python, about sets in sets
            try:
                wanted = f.regex(pattern)
            except ConfigurationError:
                return
        assert wanted(make_event(key)) in (True, False)
