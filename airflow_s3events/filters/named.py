"""Filters that have a name: they say no more than the ones they are made of."""

from __future__ import annotations

from airflow_s3events.filters.algebra import EventFilter
from airflow_s3events.filters.of_event import event_type, size, suffix

copied: EventFilter = event_type("ObjectCreated:Copy")
"""An object, or a version of it, that was made by a copy."""
multipart: EventFilter = event_type("ObjectCreated:CompleteMultipartUpload")
"""An upload in parts that was completed."""
deleted_by_request: EventFilter = event_type("ObjectRemoved:*")
"""Somebody deleted an object or a version, or put a delete marker on it."""
deleted_by_lifecycle: EventFilter = event_type("LifecycleExpiration:*")
"""A lifecycle rule deleted an object or a version, or put a delete marker on it."""
restored: EventFilter = event_type("ObjectRestore:Completed")
"""The copy of an archived object is there to be read."""
folder_marker: EventFilter = suffix("/")
"""A key that ends in ``/``, as the console's "Create folder" makes it."""
empty: EventFilter = size(max_bytes=0)
"""An object of no bytes; an event without a size does not match."""
