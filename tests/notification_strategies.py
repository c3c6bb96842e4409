"""Notification configurations as AWS returns them, for Hypothesis: few letters, so that rules often meet."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import strategies as st

from airflow_s3events.bucket_notifications import EVENT_TYPES, Rule, check_event_types
from airflow_s3events.bucket_notifications.rules import KINDS

DESTINATIONS = [
    "arn:aws:sqs:eu-west-1:111122223333:a",
    "arn:aws:sqs:eu-west-1:111122223333:b",
    "arn:aws:sns:eu-west-1:111122223333:t",
    "arn:aws:lambda:eu-west-1:111122223333:function:f",
]
_few = st.text("ab/ é+%.", max_size=5)
event_types = st.lists(st.sampled_from(EVENT_TYPES), min_size=1, max_size=3, unique=True)
ids = st.sampled_from(["ours", "theirs", "a", "b", "c"])

#: Rules as this package writes them.
rules = st.builds(
    lambda id_, destination, events, prefix, suffix: Rule(
        id=id_, destination=destination, events=check_event_types(events), prefix=prefix, suffix=suffix
    ),
    ids,
    st.sampled_from(DESTINATIONS),
    event_types,
    _few,
    _few,
)


@st.composite
def _entries(draw: st.DrawFn, arn: str, destination: str) -> dict[str, Any]:
    """One entry as S3 returns it: names capitalised, values encoded, events in any order, or no filter."""
    rule = draw(rules)
    entry: dict[str, Any] = {"Id": rule.id, arn: destination, "Events": draw(event_types)}
    filters = [
        {"Name": name, "Value": draw(st.sampled_from([text, text.replace(" ", "+")]))}
        for name, text in (
            ("Prefix", rule.prefix.replace("%", "%25")),
            ("Suffix", rule.suffix.replace("%", "")),
        )
        if draw(st.booleans())
    ]
    if filters:
        entry["Filter"] = {"Key": {"FilterRules": filters}}
    return entry


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """What ``GetBucketNotificationConfiguration`` returns, with its ``ResponseMetadata``."""
    found: dict[str, Any] = {"ResponseMetadata": {"HTTPStatusCode": 200}}
    taken: set[str] = set()
    for service, (name, arn) in KINDS.items():
        there = [text for text in DESTINATIONS if f":{service}:" in text]
        entries = st.sampled_from(there).flatmap(partial(_entries, arn))
        drawn = [entry for entry in draw(st.lists(entries, max_size=3)) if entry["Id"] not in taken]
        drawn = list({entry["Id"]: entry for entry in drawn}.values())
        taken |= {entry["Id"] for entry in drawn}
        if drawn:
            found[name] = drawn
    if draw(st.booleans()):
        found["EventBridgeConfiguration"] = {}
    if draw(st.booleans()):
        found["SomethingNew"] = {"Enabled": True}
    return found
