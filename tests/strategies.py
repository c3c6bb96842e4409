"""Object keys, events and bodies for Hypothesis, as wide as S3 allows."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from hypothesis import strategies as st

from airflow_s3events.events import ObjectEvent

#: Any text that UTF-8 can hold: S3 forbids no character, so dots, slashes and controls make keys, too.
texts = st.text(st.characters(exclude_categories=["Cs"]))
_awkward = st.lists(
    st.sampled_from(["..", "/", "./", "\x00", "\x1f", "+", "%2F", " ", "ü", "a", "manual__", "-"]),
    min_size=1,
    max_size=40,
).map("".join)
_long = st.sampled_from(["a", "../", "x.", "-"]).map(lambda part: (part * 1024)[:1024])
keys = (
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256) | _awkward | _long
).filter(lambda key: 1 <= len(key.encode()) <= 1024)

_maybe = st.none() | texts
_moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(
    lambda moment: moment.replace(tzinfo=timezone.utc)
)
plain_data = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)

events = st.builds(
    ObjectEvent,
    event_name=texts,
    event_type=texts,
    bucket=texts,
    key=keys,
    envelope=texts,
    event_time=st.none() | _moments,
    region=_maybe,
    version_id=_maybe,
    sequencer=_maybe,
    size=st.none() | st.integers(0, 2**63 - 1),
    etag=_maybe,
    request_id=_maybe,
    principal_id=_maybe,
    source_ip=_maybe,
    configuration_id=_maybe,
    delivery_id=_maybe,
    extra=st.dictionaries(texts, plain_data, max_size=3),
)


def make_event(**members: Any) -> ObjectEvent:
    """An event as AWS sends one, but for ``members``."""
    standard: dict[str, Any] = {
        "event_name": "ObjectCreated:Put",
        "event_type": "ObjectCreated:Put",
        "bucket": "landing-zone",
        "key": "in/a.csv",
        "envelope": "s3-records",
        "event_time": datetime(2026, 10, 5, 10, 20, 30, 456000, tzinfo=timezone.utc),
        "sequencer": "0068E1A2B3C4D5E6F7",
        "size": 2048,
        "etag": "9b2cf535f27731c974343645a3985328",
        "request_id": "7TRQ0M4Z8XK2VBN1",
        "delivery_id": "2d1b9a0e#0",
    }
    return ObjectEvent(**standard | members)
