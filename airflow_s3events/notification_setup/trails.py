"""Whether CloudTrail logs who writes and deletes the objects of a bucket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_s3events.notification_setup.findings import Finding, note, warning

_OBJECTS = "AWS::S3::Object"
#: A classic selector's value for all buckets, in any partition.
_EVERY_BUCKET = ":s3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """One trail, as CloudTrail describes it.

    Attributes:
        name: Its name.
        is_logging: It is not stopped.
        selectors: ``EventSelectors``: which data events it logs, in the classic form.
        advanced: ``AdvancedEventSelectors``: the same in the newer form; a trail has one of the two.
    """

    name: str
    is_logging: bool
    selectors: Sequence[Mapping[str, Any]] = ()
    advanced: Sequence[Mapping[str, Any]] = ()


def judge_trails(bucket_arn: str, trails: Sequence[Trail]) -> Iterator[Finding]:
    """Say which trail logs the writes and deletions of a bucket's objects, and which of them.

    Args:
        bucket_arn: ARN of the bucket.
        trails: Those of its region.
    """
    about = f"bucket {bucket_arn.rpartition(':')[2]}"
    covered = {trail.name: _scopes(trail, bucket_arn) for trail in trails if trail.is_logging}
    logging = {name: scopes for name, scopes in covered.items() if scopes}
    for name, scopes in logging.items():
        which = "all its objects" if "" in scopes else f"objects under {', '.join(sorted(scopes))}"
        yield note(about, f"trail {name} logs who writes and deletes {which}")
    if not any("" in scopes for scopes in logging.values()):
        some = "only some of its objects" if logging else "none of its objects"
        yield warning(
            about,
            f"CloudTrail logs data events of {some}: who deleted one cannot be told later; add"
            f" {_OBJECTS} data events of {bucket_arn}/ to a trail",
        )


def _scopes(trail: Trail, bucket_arn: str) -> set[str]:
    """Return the prefixes of the bucket whose writes a trail logs; empty text: all of it."""
    found = {scope for selector in trail.selectors for scope in _of_classic(selector, bucket_arn)}
    return found | {scope for selector in trail.advanced for scope in _of_advanced(selector, bucket_arn)}


def _of_classic(selector: Mapping[str, Any], bucket_arn: str) -> Iterator[str]:
    if selector.get("ReadWriteType", "All") == "ReadOnly":
        return
    for resource in selector.get("DataResources", ()):
        for value in resource.get("Values", ()) if resource.get("Type") == _OBJECTS else ():
            yield from _prefix(value, bucket_arn, is_start=True)


def _of_advanced(selector: Mapping[str, Any], bucket_arn: str) -> Iterator[str]:
    """Conditions on one field that this does not know (a name of an event, say) make it count as nothing."""
    fields = {one["Field"]: one for one in selector.get("FieldSelectors", ())}
    if fields.pop("eventCategory", {}).get("Equals") != ["Data"]:
        return
    if fields.pop("resources.type", {}).get("Equals") != [_OBJECTS]:
        return
    if fields.pop("readOnly", {"Equals": ["false"]}).get("Equals") != ["false"]:
        return
    arns = fields.pop("resources.ARN", None)
    if fields:
        return
    if arns is None:
        yield ""
        return
    for value in arns.get("StartsWith", ()):
        yield from _prefix(value, bucket_arn, is_start=True)
    for value in arns.get("Equals", ()):
        yield from _prefix(value, bucket_arn, is_start=False)


def _prefix(value: str, bucket_arn: str, *, is_start: bool) -> Iterator[str]:
    objects = f"{bucket_arn}/"
    if is_start and (value.endswith(_EVERY_BUCKET) or objects.startswith(value)):
        yield ""
    elif value.startswith(objects):
        yield value.removeprefix(objects)
