"""Events, filters and routes for Hypothesis: few letters, so that filters match often enough to disagree."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from airflow_s3events import filters as f
from airflow_s3events.events import ObjectEvent
from airflow_s3events.facts import ObjectFacts
from airflow_s3events.filters import EventFilter

_TYPES = ("ObjectCreated:Put", "ObjectCreated:Copy", "ObjectRemoved:Delete", "LifecycleTransition")
_short = st.text("ab/.\n", max_size=4)


def make_event(
    key: str = "landing/a.csv",
    *,
    event_type: str = "ObjectCreated:Put",
    bucket: str = "inbox",
    size: int | None = 10,
    **more: Any,
) -> ObjectEvent:
    return ObjectEvent(
        event_name=event_type,
        event_type=event_type,
        bucket=bucket,
        key=key,
        size=size,
        envelope="s3-records",
        **more,
    )


events = st.builds(
    make_event,
    st.text("ab/.\n", min_size=1, max_size=8),
    event_type=st.sampled_from(_TYPES),
    bucket=st.sampled_from(["a", "b"]),
    size=st.none() | st.integers(0, 3),
)


def key_is_short(event: ObjectEvent) -> bool:
    return len(event.key) < 4


def _size(bounds: tuple[int, int]) -> EventFilter:
    return f.size(min_bytes=min(bounds), max_bytes=max(bounds))


glob_patterns = (
    st.lists(
        st.just("**")
        | st.lists(st.sampled_from(["a", "b", ".", "*", "?", "[ab]", "[!a]", "[.-a]"]), max_size=4).map(
            "".join
        ),
        min_size=1,
        max_size=4,
    )
    .map("/".join)
    .filter(lambda text: text != "" and all(part == "**" or "**" not in part for part in text.split("/")))
)

leaves: st.SearchStrategy[EventFilter] = st.one_of(
    st.sampled_from([*_TYPES, "ObjectCreated:*"]).map(f.event_type),
    st.sampled_from(["a", "b"]).map(f.bucket),
    _short.map(f.prefix),
    _short.map(f.suffix),
    glob_patterns.map(f.glob),
    st.sampled_from(["a", "a.b", r"\Aa", "[ab]/"]).map(f.regex),
    st.tuples(st.integers(0, 3), st.integers(0, 3)).map(_size),
    st.just(f.predicate(f"{__name__}:key_is_short")),
    st.just(f.everything),
    st.just(f.nothing),
)


def _combined(inner: st.SearchStrategy[EventFilter]) -> st.SearchStrategy[EventFilter]:
    several = st.lists(inner, min_size=1, max_size=3)
    return (
        several.map(lambda items: f.all_of(*items))
        | several.map(lambda items: f.any_of(*items))
        | inner.map(lambda item: ~item)
    )


filters: st.SearchStrategy[EventFilter] = st.recursive(leaves, _combined, max_leaves=6)


_words = st.sampled_from(["a", "b"])
fact_leaves: st.SearchStrategy[EventFilter] = st.one_of(
    st.tuples(_words, st.lists(_words, max_size=2)).map(lambda pair: f.tag(pair[0], *pair[1])),
    st.tuples(_words, st.lists(_words, max_size=2)).map(lambda pair: f.metadata(pair[0], *pair[1])),
    st.sampled_from(["text/csv", "text/*"]).map(f.content_type),
    st.sampled_from(["STANDARD", "GLACIER"]).map(f.storage_class),
    st.sampled_from(["none", "aws:kms"]).map(f.encryption),
    st.sampled_from(["found", "gone"]).map(f.object_state),
)
#: Filters some of whose tests need to know what S3 says.
asking_filters: st.SearchStrategy[EventFilter] = st.recursive(leaves | fact_leaves, _combined, max_leaves=6)

_texts = st.dictionaries(_words, _words, max_size=2)


def _answers(is_there: bool, tags: dict[str, str], head: dict[str, Any]) -> dict[str, ObjectFacts]:
    if not is_there:
        return {part: ObjectFacts(state="gone", asked=(part,)) for part in ("tags", "head")}
    return {
        "tags": ObjectFacts(state="found", asked=("tags",), tags=tags),
        "head": ObjectFacts(state="found", asked=("head",), **head),
    }


#: What S3 would say of one object, by part.
answers: st.SearchStrategy[dict[str, ObjectFacts]] = st.builds(
    _answers,
    st.sampled_from([True, True, True, False]),
    _texts,
    st.fixed_dictionaries(
        {
            "content_type": st.sampled_from([None, "text/csv", "text/CSV; charset=utf-8", "image/png"]),
            "storage_class": st.sampled_from(["STANDARD", "GLACIER"]),
            "encryption": st.sampled_from([None, "aws:kms"]),
            "metadata": _texts,
        }
    ),
)
