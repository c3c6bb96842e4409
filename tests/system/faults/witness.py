"""Looks, at each delete of a message on its way to SQS, whether what came of it has succeeded."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from tests.system.aws_proxy import Call

_DELETES = ("DeleteMessage", "DeleteMessageBatch")
#: A database that is away comes back within so long.
_PATIENCE_SECONDS = 60.0


class Witness:
    """Holds each delete until it has looked.

    Args:
        queue_url: The queue to look at, and no other.
        succeeded: Of some versions of objects, those that have a run that succeeded, by the database.
    """

    def __init__(self, queue_url: str, succeeded: Callable[[list[str]], Iterable[str]]) -> None:
        self._queue_url = queue_url
        self._succeeded = succeeded
        self._versions: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        self._looked: set[str] = set()
        self._early: set[str] = set()
        self._unseen = 0

    def note(self, answer: bytes) -> None:
        """Remember which receipt handle stands for which objects."""
        try:
            messages = json.loads(answer).get("Messages") or []
        except (ValueError, AttributeError):
            return
        with self._lock:
            for message in messages:
                self._versions[message["ReceiptHandle"]] = versions_in(message["Body"])

    def look(self, call: Call) -> None:
        """If the call deletes, look first."""
        if call.action not in _DELETES:
            return
        asked = json.loads(call.body)
        if asked["QueueUrl"].rpartition("/")[2] != self._queue_url.rpartition("/")[2]:
            return
        handles = [entry["ReceiptHandle"] for entry in asked.get("Entries", [asked])]
        with self._lock:
            wanted = {version for handle in handles for version in self._versions.get(handle, ())}
        done = self._ask(sorted(wanted))
        with self._lock:
            if done is None:
                self._unseen += 1
                return
            self._looked |= wanted
            self._early |= wanted - done

    def report(self) -> dict[str, Any]:
        """``looked``: objects whose message was deleted; ``early``: before a run of theirs had succeeded."""
        with self._lock:
            return {"looked": len(self._looked), "early": sorted(self._early), "unseen": self._unseen}

    def _ask(self, versions: list[str]) -> set[str] | None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while versions:
            try:
                return set(self._succeeded(versions))
            except Exception:  # the database is away: one of the faults
                if time.monotonic() > deadline:
                    return None
                time.sleep(0.5)
        return set()


def versions_in(body: str) -> list[str]:
    """Return the versions of the objects that a body in AWS's form speaks of."""
    try:
        records = json.loads(body).get("Records") or []
        return [str(record["s3"]["object"]["versionId"]) for record in records]
    except (ValueError, AttributeError, KeyError, TypeError):
        return []
