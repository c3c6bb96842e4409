"""Tests of an event's type, bucket and key."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import Any

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.predicates.kinds import Kind, Test, any_text, some_text
from airflow_s3events.predicates.regex_bounds import check_bounded

# event_type

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
# S3 adds types and compatible stores have their own, so others are accepted: these only catch slips of case.
_NAMES = (
    "ReducedRedundancyLostObject",
    "ObjectCreated",
    "ObjectRemoved",
    "ObjectRestore",
    "Replication",
    "LifecycleTransition",
    "IntelligentTiering",
    "ObjectAcl",
    "LifecycleExpiration",
    "ObjectTagging",
    "ObjectAnnotation",
    "ObjectRetention",
    "Put",
    "Post",
    "Copy",
    "CompleteMultipartUpload",
    "Delete",
    "DeleteMarkerCreated",
    "Completed",
    "OperationFailedReplication",
    "OperationNotTracked",
    "OperationMissedThreshold",
    "OperationReplicatedAfterThreshold",
)
_SPELLING = {name.lower(): name for name in _NAMES}
# These reach us under S3's names (https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html).
_DETAIL_TYPES = (
    "Object Created",
    "Object Deleted",
    "Object Restore Initiated",
    "Object Restore Completed",
    "Object Restore Expired",
    "Object Storage Class Changed",
    "Object Access Tier Changed",
    "Object ACL Updated",
    "Object Tags Added",
    "Object Tags Deleted",
    "Object Annotation Created",
    "Object Annotation Removed",
)
_EVENT_TYPE = re.compile(r"([A-Za-z0-9]+(?: [A-Za-z0-9]+)*)(?::(\*|[A-Za-z0-9]+))?")


def _check_event_type(value: Any) -> str:
    text = some_text("event_type", value).removeprefix("s3:")
    if text in _DETAIL_TYPES:
        raise ConfigurationError(
            f"event_type: {value!r} is EventBridge's name; use S3's, such as 'ObjectCreated:*', for both"
        )
    if not (parts := _EVENT_TYPE.fullmatch(text)):
        raise ConfigurationError(
            f"event_type: {value!r} is not of the form 'ObjectCreated:Put' or 'ObjectCreated:*'"
        )
    for name in parts.groups("*"):
        if name != (right := _SPELLING.get(name.lower(), name)):
            raise ConfigurationError(f"event_type: {value!r} would match nothing; S3 writes {right!r}")
    return ":".join(parts.groups("*"))


def _event_type_test(value: str) -> Test:
    family, _, name = value.partition(":")
    if name != "*":
        return lambda event: event.event_type == value
    # LifecycleTransition and IntelligentTiering have no member: the family is the type.
    start = f"{family}:"
    return lambda event: event.event_type.startswith(start) or event.event_type == family


# bucket, prefix, suffix


def _check_bucket(value: Any) -> str:
    if set("/:*") & set(some_text("bucket", value)):
        raise ConfigurationError(f"bucket: {value!r} is not a bucket's name (no s3://, no ARN, no wildcard)")
    return str(value)


def _bucket_test(value: str) -> Test:
    return lambda event: event.bucket == value


def _prefix_test(value: str) -> Test:
    return lambda event: event.key.startswith(value)


def _suffix_test(value: str) -> Test:
    return lambda event: event.key.endswith(value)


# glob, regex


def _compile(kind: str, pattern: str, source: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            # A bracket within brackets may mean something else to a later Python.
            warnings.simplefilter("error", FutureWarning)
            return re.compile(source)
    except (re.error, OverflowError, RecursionError, FutureWarning) as error:
        raise ConfigurationError(f"{kind}: {pattern!r} is not a valid pattern: {error}") from error


_GLOB_TOKEN = re.compile(r"\[(!?)(\]?[^\]]*)\]|(.)", re.DOTALL)
_FOLDERS = "(?:[^/]*/)*?"


def _check_glob(value: Any) -> str:
    segments = some_text("glob", value).split("/")
    # a/**/**/b says no more than a/**/b
    kept = [
        here for before, here in zip([None, *segments], segments, strict=False) if not here == before == "**"
    ]
    pattern = "/".join(kept)
    _compile("glob", pattern, _translate(pattern))
    return pattern


def _glob_test(value: str) -> Test:
    fullmatch = _compile("glob", value, _translate(value)).fullmatch
    return lambda event: fullmatch(event.key) is not None


def _translate(pattern: str) -> str:
    r"""Return ``pattern`` as a regular expression for ``fullmatch``.

    What follows a star is fitted at the leftmost place, once for good: that leaves most to the rest, so no
    other place could do better. A plain regular expression would try them all, and each further star would
    multiply the time that a hostile key takes.
    """
    names = (f"fit{number}" for number in count())
    runs: list[list[str]] = [[]]
    for segment in pattern.split("/"):
        if segment == "**":
            runs.append([])
        else:
            runs[-1].append(_translate_segment(pattern, segment, names))
    *before, last = runs
    source = ""
    for position, run in enumerate(before):
        fixed = "".join(f"{segment}/" for segment in run)
        source += _fit_once(_FOLDERS + fixed, names) if position else fixed
    if before:
        source += _FOLDERS if last else ".*"
    return f"(?s:{source}{'/'.join(last)})"


def _translate_segment(pattern: str, segment: str, names: Iterator[str]) -> str:
    if "**" in segment:
        raise ConfigurationError(
            f"glob: in {pattern!r}, ** must stand alone between slashes, as in 'in/**/*.csv'"
        )
    first, *rest = _split_at_stars(pattern, segment)
    fits = "".join(_fit_once(f"[^/]*?{chunk}", names) for chunk in rest[:-1])
    return first + fits + "".join(f"[^/]*{chunk}" for chunk in rest[-1:])


def _split_at_stars(pattern: str, segment: str) -> list[str]:
    chunks = [""]
    for token in _GLOB_TOKEN.finditer(segment):
        inverted, members, character = token.groups()
        if character == "*":
            chunks.append("")
        elif character == "?":
            chunks[-1] += "[^/]"
        elif character == "[" or members == "":
            raise ConfigurationError(
                f"glob: in {pattern!r}, [ is not closed or empty; for the character itself write [[]"
            )
        else:
            chunks[-1] += re.escape(character) if character else _translate_class(inverted, members)
    return chunks


def _translate_class(inverted: str, members: str) -> str:
    body = ""
    for low, high, single in re.findall(r"(.)-(.)|(.)", members, re.DOTALL):
        body += re.escape(single) if single else f"{re.escape(low)}-{re.escape(high)}"
    return f"[^/{body}]" if inverted else f"(?!/)[{body}]"


def _fit_once(source: str, names: Iterator[str]) -> str:
    # An atomic group, for Pythons before 3.11, which have none.
    name = next(names)
    return f"(?=(?P<{name}>{source}))(?P={name})"


def _check_regex(value: Any) -> str:
    pattern = some_text("regex", value)
    _compile("regex", pattern, pattern)
    check_bounded(pattern)
    return pattern


def _regex_test(value: str) -> Test:
    search = _compile("regex", value, value).search
    return lambda event: search(event.key) is not None


KEY_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "bucket": Kind(
            check=_check_bucket, test=_bucket_test, cost=1, says="bucket is {}", denies="bucket is not {}"
        ),
        "suffix": Kind(
            check=partial(any_text, "suffix"),
            test=_suffix_test,
            cost=2,
            says="key ends with {}",
            denies="key does not end with {}",
        ),
        "prefix": Kind(
            check=partial(any_text, "prefix"),
            test=_prefix_test,
            cost=2,
            says="key begins with {}",
            denies="key does not begin with {}",
        ),
        "event_type": Kind(
            check=_check_event_type,
            test=_event_type_test,
            cost=2,
            says="event type is {}",
            denies="event type is not {}",
            show=str,
        ),
        "glob": Kind(
            check=_check_glob, test=_glob_test, cost=10, says="key is like {}", denies="key is not like {}"
        ),
        "regex": Kind(
            check=_check_regex,
            test=_regex_test,
            cost=10,
            says="key has a match of {}",
            denies="key has no match of {}",
        ),
    }
)
