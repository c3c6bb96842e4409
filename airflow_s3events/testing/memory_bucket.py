"""A bucket in memory that notifies a queue, as a bucket of S3 does."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

from airflow_s3events.testing.bodies import test_event_body
from airflow_s3events.testing.event_types import event_body
from airflow_s3events.testing.memory_queue import InMemoryQueue


class InMemoryBucket:
    """Objects in a dict; each change sends S3's own message to the queue.

    ::

        bucket = InMemoryBucket("landing", queue)
        bucket.put_object("orders/a.csv", b"1,2")
        bucket.delete_object("orders/a.csv")

    Args:
        name: Of the bucket.
        queue: Where its messages go. As on AWS, the first is a test event.
        versioned: Whether the bucket has versions: objects have version ids, and a delete lays a marker.
    """

    def __init__(self, name: str, queue: InMemoryQueue, *, versioned: bool = False) -> None:
        self.name = name
        #: Contents by key; what is deleted is gone from here, versions or not.
        self.objects: dict[str, bytes] = {}
        self._queue = queue
        self._versioned = versioned
        self._versions = itertools.count(1)
        queue.put(test_event_body(name))

    def put_object(self, key: str, body: bytes = b"", **record: Any) -> None:
        """Store an object and send ``ObjectCreated:Put``.

        Args:
            key: Decoded.
            body: Content; size and ETag follow from it.
            **record: Other members of the message, as for ``object_record``.
        """
        self.objects[key] = body
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        self._send("ObjectCreated:Put", key, {"size": len(body), "etag": etag, **record})

    def delete_object(self, key: str, **record: Any) -> None:
        """Delete an object and send what S3 sends: of a delete marker, or of the end of the object."""
        self.objects.pop(key, None)
        self._send(
            "ObjectRemoved:DeleteMarkerCreated" if self._versioned else "ObjectRemoved:Delete", key, record
        )

    def send_event(self, event_type: str, key: str, **record: Any) -> None:
        """Send an event of any other type; arguments and errors as for ``event_body``."""
        self._send(event_type, key, record)

    def _send(self, event_type: str, key: str, record: dict[str, Any]) -> None:
        version = {"version_id": f"version-{next(self._versions)}"} if self._versioned else {}
        self._queue.put(event_body(event_type, self.name, key, **{**version, **record}))
