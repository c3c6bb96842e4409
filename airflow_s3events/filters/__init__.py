"""Which object events are wanted: small predicates, combined with ``&``, ``|`` and ``~``.

::

    event_type("ObjectCreated:*") & prefix("landing/") & ~suffix(".tmp")

A filter is a value. However it was spelled (order, nesting, repetition, double negation, De Morgan), it is
kept in one form, so that equal filters are equal, hash alike and ``serialize()`` to the same plain data:
Airflow identifies a trigger by its arguments, and two spellings must not become two consumers of one queue.

That form is also the order of evaluation: cheap tests first, then your own predicates, last what S3 must be
asked for; and each only when the tests before it have not settled the answer.
"""

from __future__ import annotations

from airflow_s3events.filters.algebra import (
    MAX_DEPTH,
    EventFilter,
    all_of,
    any_of,
    everything,
    nothing,
)
from airflow_s3events.filters.named import (
    copied,
    deleted_by_lifecycle,
    deleted_by_request,
    empty,
    folder_marker,
    multipart,
    restored,
)
from airflow_s3events.filters.of_event import (
    bucket,
    event_type,
    glob,
    predicate,
    prefix,
    regex,
    size,
    suffix,
)
from airflow_s3events.filters.of_object import (
    content_type,
    encryption,
    metadata,
    object_state,
    storage_class,
    tag,
)
from airflow_s3events.filters.of_origin import principal, requester, source_network

__all__ = [
    "MAX_DEPTH",
    "EventFilter",
    "all_of",
    "any_of",
    "bucket",
    "content_type",
    "copied",
    "deleted_by_lifecycle",
    "deleted_by_request",
    "empty",
    "encryption",
    "event_type",
    "everything",
    "folder_marker",
    "glob",
    "metadata",
    "multipart",
    "nothing",
    "object_state",
    "predicate",
    "prefix",
    "principal",
    "regex",
    "requester",
    "restored",
    "size",
    "source_network",
    "storage_class",
    "suffix",
    "tag",
]
