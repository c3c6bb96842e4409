"""What a ledger asks of a place to keep things: documents by name, each written only over what was read.

Everything a ledger must decide once ("was it the first", "is it the newest") is a function from one document
to its next version, in ``entries``. A store knows nothing of that: it refuses a version that is not the next
one. So all stores are alike, small, and held to one suite (``tests/contract/test_ledger_stores.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable


class Counted(NamedTuple):
    """How a document stands in time, for ``latest`` and ``counts``.

    Attributes:
        moment: Seconds since the epoch.
        label: What it is counted as; at most 20 characters of ASCII.
        times: How many it stands for.
    """

    moment: int
    label: str
    times: int


class IntervalCount(NamedTuple):
    """Documents of one label in one interval.

    Attributes:
        start: Of the interval, in seconds since the epoch.
        label: As in ``Counted``.
        documents: How many there are.
        times: How many they stand for.
    """

    start: int
    label: str
    documents: int
    times: int


@dataclass(frozen=True, slots=True)
class Document:
    """One version of one document.

    Attributes:
        name: At most 320 characters of ASCII; begins with its kind and a slash.
        version: From 1; each write gives the next.
        body: Plain data (JSON types only), at most some kilobytes.
        subject: What the document is about, for ``about``: an ``object_id``; empty for none.
        expires_at: Seconds since the epoch after which it may be purged; None: never.
        counted: Its place in time, where it has one; a store that keeps no order of time forgets it.
    """

    name: str
    version: int
    body: dict[str, Any]
    subject: str = ""
    expires_at: int | None = None
    counted: Counted | None = None


class Store(Protocol):
    """A place for documents. Every call raises ``OutageError`` where waiting helps."""

    async def read(self, names: Sequence[str]) -> dict[str, Document]:
        """Return those of the documents that there are, each as its last accepted write left it."""
        ...

    async def write(self, documents: Sequence[Document]) -> set[str]:
        """Write each document, of distinct names, whose stored version is the one before; 1 is for a new one.

        Each by itself: one that is refused does not keep the others from being written. Returns the names of
        those that were refused.
        """
        ...

    async def about(self, subject: str) -> list[Document]:
        """Return the documents of one subject; those written in the last second may be missing."""
        ...

    async def purge(self, before: float) -> int:
        """Remove in bulk what expired before that moment (seconds since the epoch); return how many."""
        ...


@runtime_checkable
class TimedStore(Store, Protocol):
    """A store that knows its documents by time, too. DynamoDB has no order over all items of a table."""

    async def latest(self, most: int) -> list[Document]:
        """Return up to ``most`` documents that have a place in time, the newest first."""
        ...

    async def counts(self, since: int, until: int, step_seconds: int) -> list[IntervalCount]:
        """Count what lies in intervals of ``step_seconds`` from ``since`` (inclusive) until ``until``.

        Intervals in which there is nothing are left out.
        """
        ...
