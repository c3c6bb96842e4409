"""Filters on what only S3 can say of the object: each costs a call for an event that nothing else settles.

``tag`` costs one GetObjectTagging, all others together one HeadObject. What S3 said is in the event that the
run gets (``event.facts``). Nothing is known of an object that is gone by then, or newer than the event: there
these filters do not match, so their negations do; ``object_state`` tells.
"""

from __future__ import annotations

from airflow_s3events.filters.algebra import EventFilter, any_leaf


def tag(key: str, *values: str) -> EventFilter:
    """Match objects that have the tag ``key``, with any of ``values``; without values, with any at all.

    Tags can change after the upload: what counts is what they are when S3 is asked, and a message that comes
    again asks again
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html).
    """
    return any_leaf("tag", _pairs("key", key, values))


def metadata(name: str, *values: str) -> EventFilter:
    """Match objects whose user metadata has ``name``, with any of ``values``; without values, with any.

    Names are compared in lower case, as S3 stores them, and are written without ``x-amz-meta-``
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html).
    """
    return any_leaf("metadata", _pairs("name", name, values))


def content_type(*types: str) -> EventFilter:
    """Match objects of any of the media types ``types``: ``"text/csv"``, or ``"image/*"`` for a family.

    Case and parameters (``; charset=utf-8``) are not compared. It is what the uploader claimed.
    """
    return any_leaf("content_type", types)


def storage_class(*names: str) -> EventFilter:
    """Match objects in any of the storage classes ``names``, in S3's names: ``"STANDARD"``, ``"GLACIER"``.

    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html, ``x-amz-storage-class``).
    """
    return any_leaf("storage_class", names)


def encryption(*names: str) -> EventFilter:
    """Match objects encrypted as any of ``names`` says: ``"AES256"``, ``"aws:kms"``, ``"aws:kms:dsse"``.

    ``"none"``: S3 names no encryption.
    """
    return any_leaf("encryption", names)


def object_state(*states: str) -> EventFilter:
    """Match by what has become of the event's object when S3 is asked.

    ``"found"``: it is there. ``"newer"``: another upload has taken its key. ``"gone"``: it was deleted, or
    the event says so itself, in which case S3 is not asked. ``"unverified"``: an object is there, and neither
    the event's version, nor its ETag, nor its time tells whether it is this one.
    """
    return any_leaf("object_state", states)


def _pairs(name: str, key: str, values: tuple[str, ...]) -> list[dict[str, str]]:
    return [{name: key, "value": value} for value in values] or [{name: key}]
