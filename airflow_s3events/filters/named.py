"""Filters that have a name: they say no more than the ones they are made of."""

from __future__ import annotations

from airflow_s3events.filters.algebra import EventFilter
from airflow_s3events.filters.of_event import event_type, size, suffix

#: An object, or a version of it, that was made by a copy.
copied: EventFilter = event_type("ObjectCreated:Copy")
#: An upload in parts that was completed.
multipart: EventFilter = event_type("ObjectCreated:CompleteMultipartUpload")
#: Somebody deleted an object or a version, or put a delete marker on it.
deleted_by_request: EventFilter = event_type("ObjectRemoved:*")
#: A lifecycle rule did.
deleted_by_lifecycle: EventFilter = event_type("LifecycleExpiration:*")
#: The copy of an archived object is there to be read.
restored: EventFilter = event_type("ObjectRestore:Completed")
#: A key that ends in ``/``, as the console's "Create folder" makes it.
folder_marker: EventFilter = suffix("/")
#: An object of no bytes; an event without a size does not match.
empty: EventFilter = size(max_bytes=0)
